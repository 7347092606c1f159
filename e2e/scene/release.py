"""A release of the chart by Helm, as an administrator installs, upgrades and uninstalls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chartmaking.copies import CHART
from ground.helm import helm
from ground.image import Image
from ground.kubernetes import Cluster
from ground.process import wait_until
from scene.api import Api
from scene.deployment import Deployment
from scene.evidence import OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

RELEASE: Final = "dbcustody"


@dataclass
class Release:
    """The release in *cluster*, whose nodes have *image*."""

    cluster: Cluster
    api: Api
    image: Image

    @property
    def operator(self) -> Deployment:
        """What it runs."""
        return Deployment(self.cluster, self.api, self.image)

    def make_namespace(self) -> None:
        """Make the operator's namespace, which takes no pod outside of the `restricted` profile."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.api.create("namespaces", {"metadata": {"name": OPERATOR_NAMESPACE, "labels": labels}})

    def install(self, *words: str, chart: Path = CHART) -> None:
        """Install the chart with our image."""
        self._helm("install", RELEASE, chart, *self._image(), *words)

    def upgrade(self, *words: str) -> None:
        """Bring the release to the chart and the image as they are now."""
        self._helm("upgrade", RELEASE, CHART, *self._image(), *words)

    def uninstall(self) -> None:
        """Uninstall it, and wait until its pods are gone."""
        self._helm("uninstall", RELEASE)
        assert wait_until(lambda: self.api.list("pods", OPERATOR_NAMESPACE) == [], 60)

    def _image(self) -> tuple[str, ...]:
        repository, tag = self.image.reference.rsplit(":", 1)
        return ("--set", f"image.repository={repository},image.tag={tag}")

    def _helm(self, verb: str, *words: str | Path) -> None:
        helm(verb, *words, "--namespace", OPERATOR_NAMESPACE, environment=self.cluster.environment)
