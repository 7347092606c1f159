"""The keyring: a folder with one file per key id, as a mounted Secret has it.

A key is exactly 32 bytes: raw, or in base64, or as 64 hex digits; one trailing newline is stripped. Keys that consist of printable bytes
are refused however they are written: they are typed or generated text more often than not, and carry far fewer than 256 bits
(32 random bytes are all printable once in 10^13 times).
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
LARGEST_FILE_BYTES: Final = 4096
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_KEY_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What may stand in a storage key; the repository's grammar says the same."""
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
    line = content.removesuffix(b"\n")
    text = line.removesuffix(b"\r")
    candidates = (content, line, text, _from_hex(text), _from_base64(text))
    key = next((candidate for candidate in candidates if len(candidate) == KEY_BYTES), None)
    if key is None:
        raise _invalid(key_id, f"is {len(text)} bytes long")
    if _PRINTABLE.issuperset(key):
        raise _invalid(key_id, "consists of printable characters only, which hold far fewer than 256 bits")
    return key


def read_keyring(folder: Path, active_key_id: str, *, secret_name: str) -> Keyring:
    """Return the keyring that lies in *folder*.

    Raises UnavailableError (SecretNotFound) when the folder holds nothing, or when a file vanishes while it is read (Kubernetes swaps the
    whole folder when the Secret changes); RefusedError (KeyInvalid, KeyMissing) for its content.
    """
    try:
        contents = {path.name: _read(path) for path in sorted(folder.iterdir()) if _is_key_file(path)}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(secret_name) from error
    if not contents:
        raise _missing(secret_name)
    return make_keyring(contents, active_key_id)


def make_keyring(contents: Mapping[str, bytes], active_key_id: str) -> Keyring:
    """Return the keyring of key files' *contents* by id; raises RefusedError (KeyInvalid, KeyMissing)."""
    for key_id in contents:
        if _KEY_ID.fullmatch(key_id) is None:
            raise _refused(
                f"key {key_id[:80]!r}: its name cannot be a key id; must be letters, digits, '.', '_', '-', at most 63"
            )
    keyring = Keyring(active_key_id, {key_id: parse_key(key_id, content) for key_id, content in contents.items()})
    keyring.key(active_key_id)
    return keyring


def _is_key_file(path: Path) -> bool:
    """Kubernetes keeps its own links in a mounted Secret; they begin with two dots."""
    return not path.name.startswith("..") and path.is_file()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE_BYTES)
    except PermissionError as error:
        raise _refused(f"key {path.name!r}: its file cannot be read by this user; change its mode or owner") from error


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else b""


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _missing(secret_name: str) -> UnavailableError:
    return UnavailableError(
        f"keyring Secret {secret_name!r}: is missing or empty; create it", reason=Reason.SECRET_NOT_FOUND
    )


def _invalid(key_id: str, found: str) -> RefusedError:
    return _refused(f"key {key_id!r}: {found}; must be exactly 32 random bytes, raw, in base64 or as 64 hex digits")


def _refused(message: str) -> RefusedError:
    return RefusedError(message, reason=Reason.KEY_INVALID)
