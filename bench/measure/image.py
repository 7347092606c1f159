"""The size of the image, unpacked."""

from __future__ import annotations

import json
import tarfile
from typing import Final

from ground.image import application_image
from measure.figure import Figure

MOST_BYTES: Final = 350_000_000


def measure(*, rounds: int) -> list[Figure]:  # noqa: ARG001 - a size does not vary
    """Return the sum of the files in all layers."""
    image, size = application_image(), 0
    with tarfile.open(image.archive) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or _missing())
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer) or _missing()) as files:
                size += sum(member.size for member in files if member.isreg())
    return [Figure("image, unpacked", "bytes", (float(size),), float(MOST_BYTES), "most")]


def _missing() -> None:
    raise RuntimeError("the archive of the image is not whole")
