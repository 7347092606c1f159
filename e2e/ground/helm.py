"""Helm itself, built from its Go module: what renders the chart here is what renders it at its users'.

A binding to Python would be there sooner, but cannot be told which APIs a cluster serves, nor show the notes.
"""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING, Any, Final

import yaml

from ground.cache import GroundError, cached
from ground.golang import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VERSION: Final = "v4.3.1"
KUBERNETES: Final = "1.37.0"
"""The version that a cluster is taken to have; no cluster is asked."""


def program() -> Path:
    """Return Helm's executable, built the first time."""
    return cached(
        f"bin/helm-{VERSION}",
        lambda draft: build(f"helm.sh/helm/v4/cmd/helm@{VERSION}", draft),
        doing="building Helm (4 minutes the first time)",
    )


def helm(*words: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run Helm away from any cluster and from the user's own settings; raises GroundError with its words when it refuses."""
    with tempfile.TemporaryDirectory(prefix="dbcustody-helm-") as home:
        done = subprocess.run(
            [str(program()), *map(str, words)],
            env={"HOME": home, "PATH": "", "KUBECONFIG": f"{home}/none", **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise GroundError(f"helm {words[0]}: {done.stderr.strip()}")
    return done.stdout


def template(chart: Path, values: Mapping[str, Any], *, release: str, namespace: str, apis: Sequence[str] = ()) -> str:
    """Return what *chart* becomes on a cluster that also serves *apis*; raises GroundError when Helm refuses the values."""
    return _with_values("template", chart, values, release=release, namespace=namespace, flags=_flags(apis))


def notes(chart: Path, values: Mapping[str, Any], *, release: str, namespace: str) -> str:
    """Return what Helm tells the person who has just installed *chart*."""
    flags = ("--dry-run=client",)
    said = _with_values("install", chart, values, release=release, namespace=namespace, flags=flags)
    return said.partition("\nNOTES:\n")[2]


def _flags(apis: Sequence[str]) -> tuple[str, ...]:
    return ("--kube-version", KUBERNETES, *(word for api in apis for word in ("--api-versions", api)))


def _with_values(
    verb: str, chart: Path, values: Mapping[str, Any], *, release: str, namespace: str, flags: Sequence[str]
) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(values), file)
        file.flush()
        return helm(verb, release, chart, "--namespace", namespace, "--values", file.name, *flags)
