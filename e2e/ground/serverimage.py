"""An image with a PostgreSQL server, as the public one is: programs of one major, a user `postgres` with number 999, and no port."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from ground.archive import write_image
from ground.cache import cached
from ground.image import Image
from ground.postgres import VERSIONS, server_folder
from ground.root import base_archive

_HOME: Final = "usr/local/pgsql"
"""Where PostgreSQL installs itself from its sources."""
_USER: Final = "postgres:x:999:999::/tmp:/bin/sh\n"


def server_image(major: int) -> Image:
    """Return the image; it is made once."""
    reference = f"localhost/postgres:{VERSIONS[major]}"
    name = f"servers/postgres-{VERSIONS[major]}-{base_archive().stem}.tar"
    doing = f"making an image of PostgreSQL {major}"
    return Image(reference, cached(name, lambda draft: _make(draft, reference, major), doing=doing))


def _make(draft: Path, reference: str, major: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.tar"
        shutil.copy(base_archive(), layer)
        with tarfile.open(layer) as archive:
            names = set(archive.getnames())
            known = archive.extractfile("./etc/passwd" if "./etc/passwd" in names else "etc/passwd")
            users = (known.read() if known is not None else b"") + _USER.encode()
        with tarfile.open(layer, "a") as archive:
            archive.add(server_folder(major), _HOME)
            entry = tarfile.TarInfo("etc/passwd")
            entry.size, entry.mode = len(users), 0o644
            archive.addfile(entry, io.BytesIO(users))
        write_image(draft, reference, layer)
