"""The keyring: a folder with one file per key id, as a mounted Secret has it.

A key is exactly 32 bytes: raw, or in base64, or as 64 hex digits; one trailing newline is stripped. Raw keys of printable bytes are
refused: they are typed or generated text more often than not, and carry far fewer than 256 bits.
"""

from __future__ import annotations

import base64
import binascii
import re
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY_BYTES: Final = 32
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_PRINTABLE = frozenset(string.printable.encode())


@dataclass(frozen=True, slots=True)
class Keyring:
    """Key-encryption keys by id; the active one closes what is written from now on."""

    active_key_id: str
    keys: dict[str, bytes] = field(repr=False)

    @property
    def active_key(self) -> bytes:
        """The key that closes what is written from now on."""
        return self.key(self.active_key_id)

    def key(self, key_id: str) -> bytes:
        """Return the key of *key_id*; raises RefusedError (KeyMissing) when the keyring has none."""
        if key_id not in self.keys:
            known = ", ".join(sorted(self.keys)) or "none"
            raise RefusedError(
                f"keyring: has no key {key_id!r} (it has {known}); put it back", reason=Reason.KEY_MISSING
            )
        return self.keys[key_id]


def parse_key(key_id: str, content: bytes) -> bytes:
    """Return the 32 bytes that a key file's *content* stands for; raises RefusedError (KeyInvalid) without quoting any of it."""
    text = content.removesuffix(b"\n").removesuffix(b"\r")
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    if (decoded := _from_base64(text)) is not None:
        return decoded
    raw = content if len(content) == KEY_BYTES else text
    if len(raw) != KEY_BYTES:
        raise _invalid(key_id, f"is {len(raw)} bytes long")
    if all(byte in _PRINTABLE for byte in raw):
        raise _invalid(key_id, "consists of printable characters only, which hold far fewer than 256 bits")
    return raw


def read_keyring(folder: Path, active_key_id: str, *, secret_name: str) -> Keyring:
    """Return the keyring that lies in *folder*.

    Raises UnavailableError (SecretNotFound) when the folder holds nothing, RefusedError (KeyInvalid, KeyMissing) for its content.
    """
    files = (
        {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and _names_a_key(path.name)}
        if folder.is_dir()
        else {}
    )
    if not files:
        raise UnavailableError(
            f"keyring Secret {secret_name!r}: is missing or empty; create it", reason=Reason.SECRET_NOT_FOUND
        )
    return make_keyring({key_id: path.read_bytes() for key_id, path in files.items()}, active_key_id)


def make_keyring(contents: Mapping[str, bytes], active_key_id: str) -> Keyring:
    """Return the keyring of key files' *contents* by id; raises RefusedError (KeyInvalid, KeyMissing)."""
    keyring = Keyring(active_key_id, {key_id: parse_key(key_id, content) for key_id, content in contents.items()})
    keyring.key(active_key_id)
    return keyring


def _names_a_key(name: str) -> bool:
    """Kubernetes keeps its own links in a mounted Secret; they begin with two dots."""
    return not name.startswith("..")


def _from_base64(text: bytes) -> bytes | None:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return decoded if len(decoded) == KEY_BYTES else None


def _invalid(key_id: str, found: str) -> RefusedError:
    return RefusedError(
        f"key {key_id!r}: {found}; must be exactly 32 random bytes, raw, in base64 or as 64 hex digits",
        reason=Reason.KEY_INVALID,
    )
