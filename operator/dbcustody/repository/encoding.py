"""How names of PostgreSQL's encodings are said in Python."""

from __future__ import annotations

import codecs
import re
from typing import Final

_FAMILIES: Final = ((re.compile(r"WIN(\d+)"), r"cp\1"), (re.compile(r"KOI8([RU])"), r"koi8_\1"))


def codec_of(encoding: str) -> str:
    """Return Python's name for PostgreSQL's *encoding*; what Python does not know is read as UTF-8."""
    for pattern, replacement in _FAMILIES:
        encoding = pattern.sub(replacement, encoding)
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "utf-8"
