"""The one way to write JSON that is signed or compared: sorted keys, no spaces, ASCII.

Whatever bytes a storage gives back end here as a value, as DamagedError, or as RefusedError for a newer format; as nothing else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any, TypeVar

from dbcustody.codec import decode, encode, parse_json
from dbcustody.errors import DamagedError, InvalidSpecError, RefusedError
from dbcustody.reason import Reason

T = TypeVar("T")


def canonical(value: object) -> bytes:
    """Return *value* (a dataclass or plain JSON) in its canonical form."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of *data* as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse(cls: type[T], data: bytes, what: str) -> T:
    """Return the *cls* (a dataclass) that *data* holds.

    Raises DamagedError naming *what* when it does not hold one, RefusedError (FormatUnknown) when *cls* has a format and another one
    stands there: the format is looked at before anything else, because a later format may have other fields.
    """
    value = _parse_object(data, what)
    _check_format(cls, value, what)
    try:
        return decode(cls, value)
    except InvalidSpecError as error:
        raise DamagedError(f"{what}: {error}") from error


def parse_exactly(cls: type[T], data: bytes, what: str) -> T:
    """Return the *cls* that *data* holds like `parse`; raises DamagedError also when *data* is not its canonical form.

    Two readers can disagree about bytes in another form (repeated keys, fields that one of them does not know).
    """
    value = parse(cls, data, what)
    if canonical(value) != data:
        raise DamagedError(f"{what}: is not in canonical form; somebody rewrote it")
    return value


def _parse_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value: Any = parse_json(data.decode())
    except ValueError as error:
        raise DamagedError(f"{what}: is not JSON") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{what}: must be a JSON object")
    return value


def _check_format(cls: Any, value: dict[str, Any], what: str) -> None:
    known = next((field.default for field in fields(cls) if field.name == "format"), None)
    found = value.get("format")
    if known is None or (found == known and type(found) is int):
        return
    if type(found) is not int:
        raise DamagedError(f"{what}: has no format number")
    raise RefusedError(
        f"{what}: has format {str(found)[:20]}; this version of dbcustody reads {known}", reason=Reason.FORMAT_UNKNOWN
    )
