"""Definitions are read before the rows and held against what comes with them: between the two somebody could have changed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbcustody.errors import DamagedError
from dbcustody.jobs.definitions import definitions, take_all

HEAD = [b"abc", b"def"]


@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"a", b"bcdefg", b"h"], [b"abcdef", b"gh"]])
def test_same_beginning_passes(pieces: list[bytes]) -> None:
    """However the archive is cut, it passes as it is."""
    with definitions() as found:
        take_all(found, HEAD)
        assert list(found.compared(pieces, "x")) == pieces


@pytest.mark.parametrize("pieces", [[b"abcdeX"], [b"Xbcdefgh"], [b"abc", b"Xef"], [b"abc"], []])
def test_another_beginning_is_refused(pieces: list[bytes]) -> None:
    """Other bytes, or fewer, are not what was read a moment ago."""
    with definitions() as found:
        take_all(found, HEAD)
        with pytest.raises(DamagedError, match="a moment ago"):
            list(found.compared(pieces, "x"))


def test_file_has_no_name_and_is_gone_afterwards() -> None:
    """Definitions are names of tables and columns: they lie on no disk."""
    with definitions() as found:
        take_all(found, HEAD)
        path = Path(f"/proc/self/fd/{found.file}")
        assert (str(path.readlink()).startswith("/memfd:"), path.read_bytes()) == (True, b"abcdef")
    assert not path.exists()
