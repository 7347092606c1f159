"""The text of a migration file, from its bytes: what is no text is told apart before anybody looks for statements in it.

Line ends of Windows become those of everybody else before anything looks at the text: its checksum, its statements and what the ledger
keeps are of one and the same text, on whatever machine it was checked out.
"""

from __future__ import annotations

import codecs
import hashlib
from typing import Final

from dbcustody.migration.fault import Fault, Lines

LARGEST_BYTES: Final = 1024 * 1024
"""A ConfigMap holds no more, the ledger keeps every text, and nobody reviews more."""
_MARKS: Final = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_text(content: bytes) -> str | Fault:
    """Return the text of *content*, its lines ended by line feeds alone, or why it is none."""
    if len(content) > LARGEST_BYTES:
        helps = "cut it into several migrations; rows in bulk belong into a seed"
        return Fault(what=f"has {len(content)} bytes, and {LARGEST_BYTES} is the most", helps=helps)
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return Fault(
                what=f"begins with a byte order mark of {encoding}", helps="save it as UTF-8 without a byte order mark"
            )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return _no_text(content, error.start, f"has the byte 0x{content[error.start]:02x}, which is not UTF-8 there")
    if "\0" in text:
        return _no_text(content, content.index(b"\0"), "holds a NUL, which no text of PostgreSQL may")
    return text.replace("\r\n", "\n")


def checksum(text: str) -> str:
    """Return the SHA-256 of *text* in UTF-8, in hexadecimal digits; the text is one that `read_text` returned."""
    return hashlib.sha256(text.encode()).hexdigest()


def _no_text(content: bytes, offset: int, what: str) -> Fault:
    before = content[:offset].decode()
    return Fault(
        what=what, helps="save it as UTF-8; a binary file is no migration", place=Lines(before).place(len(before))
    )
