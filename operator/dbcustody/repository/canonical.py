"""The one way to write JSON that is signed or compared: sorted keys, no spaces, ASCII."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from dbcustody.codec import decode, encode
from dbcustody.errors import DamagedError, InvalidSpecError

T = TypeVar("T")


def canonical(value: object) -> bytes:
    """Return *value* (a dataclass or plain JSON) in its canonical form."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of *data* as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse(cls: type[T], data: bytes, what: str) -> T:
    """Return the *cls* that *data* holds; raises DamagedError naming *what* when it does not hold one."""
    try:
        value: Any = json.loads(data)
    except ValueError as error:
        raise DamagedError(f"{what}: is not JSON") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{what}: must be a JSON object")
    try:
        return decode(cls, value)
    except InvalidSpecError as error:
        raise DamagedError(f"{what}: {error.message}") from error
