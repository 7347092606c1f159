"""Opens a downloaded backup with nothing but this file, Python 3.11 or later, the package `cryptography`, and a key.

This file is copied around alone, so it imports nothing of dbcustody: it is the second, independent reader of the format that
docs/repository-format.md describes. What it writes are plain archives for pg_restore and a JSON file, checked against the manifest;
docs/restore-by-hand.md goes on from there. It refuses whatever is not exactly what was written, and never overwrites a file.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import errno
import hashlib
import hmac
import json
import os
import re
import string
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALGORITHM = "AES-256-GCM-STREAM"
HEADER = struct.Struct(">4sBB7s51s")
KEY_BYTES, NONCE_BYTES, TAG_BYTES, LARGEST_CHUNK_EXPONENT = 32, 12, 16, 24
COPY_BYTES = 1 << 20
LARGEST_DOCUMENT_BYTES = 16 << 20
IDS = ("storageId", "custodyId", "backupId", "attempt")
CONTENT = re.compile(r"(schema\.pgc|catalogue\.json|(whole|data-[0-9]{3})\.pgc(\.[0-9]{3})?)")
ATTEMPT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LEDGER_ENTRY = re.compile(r"([0-9]{12})\.json")
PRINTABLE = frozenset(string.printable.encode())
Ids = tuple[str, ...]


class Refusal(Exception):  # noqa: N818 - this program's one way to say no
    """What is here is damaged, incomplete, or not for this key; the text is for the person at the keyboard."""


class StoredObject(NamedTuple):
    """One object as the manifest promises it."""

    name: str
    size: int
    plaintext_size: int
    sha256: str
    chunks: int


class Backup(NamedTuple):
    """A manifest that was read; not yet authenticated."""

    fields: dict[str, Any]
    ids: Ids
    objects: tuple[StoredObject, ...]
    is_encrypted: bool


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*; raises Refusal when it is none, is of another format, or was written by something else."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_DOCUMENT_BYTES)
        document = json.loads(data.decode("ascii"))
        is_canonical = isinstance(document, dict) and canonical(document) == data
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path}: is not JSON") from error
    if not is_canonical:
        raise Refusal(f"{path}: is not in canonical form; somebody rewrote it")
    if type(document.get("format")) is not int or document["format"] != 1:
        raise Refusal(f"{path}: is not of format 1, the one that this program reads")
    return dict(document)


def canonical(document: dict[str, Any]) -> bytes:
    """Return the one form in which a document is signed: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def field(document: dict[str, Any], name: str, kind: type, where: str) -> Any:
    """Return a field of the kind that it must have, no number below zero, no text beyond ASCII; raises Refusal otherwise."""
    value = document.get(name)
    is_sound = value >= 0 if isinstance(value, int) else not isinstance(value, str) or value.isascii()
    if type(value) is not kind or not is_sound:
        raise Refusal(f"{where}: {name} is missing or of the wrong kind")
    return value


def read_backup(path: Path) -> Backup:
    """Return the manifest in *path*; raises Refusal when it is none, or names what no backup has."""
    document, where = read_document(path), str(path)
    ids = tuple(field(document, name, str, where) for name in IDS)
    objects = tuple(read_object(item, where) for item in field(document, "objects", list, where))
    if len({item.name for item in objects}) != len(objects):
        raise Refusal(f"{where}: names an object twice")
    if ATTEMPT.fullmatch(ids[-1]) is None:
        raise Refusal(f"{where}: its attempt is no folder's name")
    if document.get("encryption") not in (None, ALGORITHM):
        raise Refusal(f"{where}: is encrypted in a way that this program does not know")
    return Backup(document, ids, objects, document.get("encryption") is not None)


def read_object(item: object, where: str) -> StoredObject:
    """Return one entry of the manifest's `objects`; its name is a file's name and nothing else."""
    if not isinstance(item, dict):
        raise Refusal(f"{where}: objects must be JSON objects")
    name = field(item, "name", str, where)
    if CONTENT.fullmatch(name) is None:
        raise Refusal(f"{where}: {name[:80]!r} is no object of a backup")
    sizes = [field(item, key, int, where) for key in ("bytes", "plaintextBytes", "chunks")]
    return StoredObject(name, sizes[0], sizes[1], field(item, "sha256", str, where), sizes[2])


def read_key(path: Path) -> bytes:
    """Return the 32 bytes in a key file: raw, in base64, or as 64 hex digits, one newline behind it or none."""
    content = path.read_bytes()
    text = content.removesuffix(b"\n").removesuffix(b"\r")
    decoded = (unhex(text.decode("latin-1"), 2 * KEY_BYTES), from_base64(text))
    forms = (content, content.removesuffix(b"\n"), text, *decoded)
    key = next((form for form in forms if len(form) == KEY_BYTES), None)
    if key is None or PRINTABLE.issuperset(key):
        raise Refusal(f"{path}: is no key; it must be 32 random bytes, raw, in base64 or as 64 hex digits")
    return key


def from_base64(text: bytes) -> bytes:
    """Return what *text* stands for in base64, or nothing when it is not that."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def unhex(text: str, length: int) -> bytes:
    """Return the bytes for exactly *length* hex digits, or nothing."""
    return bytes.fromhex(text) if len(text) == length and set(text) <= set(string.hexdigits) else b""


def prefixed(parts: Sequence[str]) -> bytes:
    """Return the parts one after the other, each behind its length in four bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def derive(secret: bytes, label: str, context: Sequence[str]) -> bytes:
    """Return HKDF-SHA-256 (RFC 5869) without salt, 32 bytes: extract, then the one block of expand."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, prefixed(["dbcustody", label, *context]) + b"\x01", "sha256")


def unwrap(path: Path, key: bytes, ids: Ids) -> bytes:
    """Return the data key in *path*, a `key.<key id>.json`; raises Refusal when *key* does not open it."""
    document, where = read_document(path), str(path)
    names = ("keyId", "nonce", "wrapped", "check")
    key_id, nonce, wrapped, check = (field(document, name, str, where) for name in names)
    context = (*ids, key_id)
    expected = derive(key, "key-check", context)[:8].hex()
    if not hmac.compare_digest(expected.encode(), check.encode(errors="replace")):
        raise Refusal(f"{path}: was closed with another key than the one given, or for another backup")
    try:
        cipher = AESGCM(key)
        opened = cipher.decrypt(
            unhex(nonce, 2 * NONCE_BYTES), unhex(wrapped, 2 * (KEY_BYTES + TAG_BYTES)), prefixed(context)
        )
    except (InvalidTag, ValueError) as error:
        raise Refusal(f"{path}: is damaged") from error
    if document.keys() != {"format", *names} or nonce + wrapped != (nonce + wrapped).lower():
        raise Refusal(f"{path}: is damaged; it has fields that the format does not know, or digits in capital letters")
    return opened


def authenticate(backup: Backup, data_key: bytes) -> None:
    """Raise Refusal when the manifest is not what the holder of *data_key* signed."""
    unsigned = {name: value for name, value in backup.fields.items() if name != "mac"}
    expected = hmac.digest(derive(data_key, "manifest-mac", backup.ids), canonical(unsigned), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), str(backup.fields.get("mac")).encode(errors="replace")):
        raise Refusal("manifest: its signature does not fit; it was changed after the backup")


class Checked:
    """A stored object that is read once from front to back, counted and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.chunks, self.digest = file, 0, 0, hashlib.sha256()

    def read(self, length: int) -> bytes:
        """Return the next *length* bytes, fewer only at the end."""
        data = self.file.read(length)
        self.size += len(data)
        self.digest.update(data)
        return data


def plaintext(stored: Checked, key: bytes | None, name: str) -> Iterator[bytes]:
    """Yield the content of a stored object; with a *key*, only what it authenticates."""
    if key is None:
        while piece := stored.read(COPY_BYTES):
            yield piece
        return
    header = stored.read(HEADER.size)
    exponent, prefix = read_header(header, name)
    cipher, sealed_size = AESGCM(key), (1 << exponent) + TAG_BYTES
    sealed = stored.read(sealed_size)
    for counter in range(1 << 32):
        following = stored.read(sealed_size)
        nonce = prefix + counter.to_bytes(4, "big") + (b"\x00" if following else b"\x01")
        try:
            yield cipher.decrypt(nonce, sealed, header)
        except (InvalidTag, ValueError) as error:
            raise Refusal(f"{name}: chunk {counter} is damaged, or the object is cut") from error
        stored.chunks += 1
        if not following:
            return
        sealed = following
    raise Refusal(f"{name}: goes on after its last possible chunk")


def read_header(header: bytes, name: str) -> tuple[int, bytes]:
    """Return the chunk size's exponent and the nonces' prefix; raises Refusal for anything but a header of version 1."""
    if len(header) == HEADER.size:
        magic, version, exponent, prefix, reserved = HEADER.unpack(header)
        if (magic, version, any(reserved)) == (b"DBC1", 1, False) and exponent <= LARGEST_CHUNK_EXPONENT:
            return exponent, prefix
    raise Refusal(f"{name}: does not begin with a header of format 1")


def open_object(source: Path, target: BinaryIO, item: StoredObject, key: bytes | None) -> None:
    """Append the content of *source* to *target*; raises Refusal when it is not what the manifest promises."""
    if not source.is_file():
        raise Refusal(f"{item.name}: is not there (looked for {source})")
    with source.open("rb") as file:
        stored, written = Checked(file), 0
        for piece in plaintext(stored, key, item.name):
            written += target.write(piece)
    if (stored.size, stored.digest.hexdigest()) != (item.size, item.sha256):
        raise Refusal(f"{item.name}: is not the object that the manifest names (size or SHA-256 differ)")
    if (written, stored.chunks) != (item.plaintext_size, item.chunks):
        raise Refusal(f"{item.name}: holds another amount of data than the manifest says")


def write_file(target: Path, parts: Sequence[tuple[StoredObject, Path]], data_key: bytes | None, ids: Ids) -> int:
    """Create *target* from its parts, readable by nobody else, and only when all of it was right. Returns its size."""
    if target.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(target))
    draft = target.with_name(f"{target.name}.partial")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for item, source in parts:
                key = None if data_key is None else derive(data_key, "object", (*ids, item.name))
                open_object(source, file, item, key)
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
        publish(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return size


def publish(draft: Path, target: Path) -> None:
    """Give *draft* its name; a hard link never overwrites, and where there are none, the name was free a moment ago."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:
        draft.rename(target)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line; ends the process with status 2 when it cannot be meant."""
    parser = argparse.ArgumentParser(
        prog="dbcustody-decrypt", description="Open a downloaded backup and check it against its manifest."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--backup", type=Path, metavar="DIR", help="the backup's folder, with manifest.json in it")
    where.add_argument("--manifest", type=Path, metavar="FILE", help="the manifest, for objects downloaded one by one")
    add = parser.add_argument
    add("--wrapped-key", type=Path, metavar="FILE", help="with --manifest: the file key.<key id>.json")
    add("--key-file", type=Path, metavar="FILE", help="the key; leave it out when nothing is encrypted")
    add("--key-id", metavar="ID", help="with --backup: which key that is; needed when there are several")
    add("--object", action="append", type=Path, metavar="NAME", default=[], help="only this one; may be repeated")
    add("--ledger", type=Path, metavar="DIR", help="the erasure ledger; by default ../../ledger from --backup")
    add("--output", type=Path, metavar="DIR", required=True, help="where to write; nothing is overwritten")
    options = parser.parse_args(arguments)
    if options.manifest and not options.object:
        parser.error("--manifest needs --object: the downloaded object's file")
    if bool(options.wrapped_key) is not bool(options.manifest and options.key_file):
        parser.error(
            "--wrapped-key goes with --manifest and --key-file, and they with it; --backup finds it by --key-id"
        )
    return options


def wrapped_key_file(options: argparse.Namespace, attempt: str) -> Path:
    """Return the file with the data key as closed for the given key."""
    if options.wrapped_key is not None:
        return Path(options.wrapped_key)
    folder = Path(options.backup) / attempt
    ids = sorted(path.name[len("key.") : -len(".json")] for path in folder.glob("key.*.json"))
    wanted = [key_id for key_id in ids if options.key_id in {None, key_id}]
    if len(wanted) != 1:
        raise Refusal(f"{folder}: name the key with --key-id; this backup is closed for: {', '.join(ids) or 'none'}")
    return folder / f"key.{wanted[0]}.json"


def data_key_of(backup: Backup, options: argparse.Namespace) -> bytes | None:
    """Return the data key after the manifest proved itself with it, or None for a backup that is not encrypted."""
    if not backup.is_encrypted:
        if options.key_file:
            raise Refusal("manifest: says that nothing is encrypted; leave the key out if that is right")
        say("warning", "this backup is not encrypted: digests are checked, but nobody can say who wrote it")
        return None
    if not options.key_file:
        raise Refusal("manifest: this backup is encrypted; give the key with --key-file")
    data_key = unwrap(wrapped_key_file(options, backup.ids[-1]), read_key(options.key_file), backup.ids)
    authenticate(backup, data_key)
    return data_key


def files_of(backup: Backup, options: argparse.Namespace) -> dict[str, list[tuple[StoredObject, Path]]]:
    """Return the files to write, each with the objects that make it up, in their order, and where these lie.

    Raises Refusal for a wanted name that the manifest does not know, and when it lacks a part between others.
    """
    attempt = options.backup / backup.ids[-1] if options.backup else None
    folders = {path.name: attempt or path.parent for path in options.object}
    files: dict[str, list[tuple[StoredObject, Path]]] = {}
    for item in sorted(backup.objects):
        name = item.name if item.name.endswith(("pgc", "json")) else item.name.rpartition(".")[0]
        folder = folders.get(name) if folders else attempt
        if folder is not None:
            files.setdefault(name, []).append((item, folder / item.name))
    for name, parts in files.items():
        expected = [name if number == 0 else f"{name}.{number:03d}" for number in range(len(parts))]
        if [item.name for item, _ in parts] != expected:
            raise Refusal(f"{name}: the manifest lacks a part of it")
    if unknown := sorted(folders.keys() - files.keys()):
        raise Refusal(f"{', '.join(unknown)}: stands for no file of this backup")
    return files


def open_backup(options: argparse.Namespace) -> int:
    """Write the files of the backup and return how many could not be; raises Refusal when nothing can be said of any."""
    backup = read_backup(options.manifest or options.backup / "manifest.json")
    data_key, files, failures = data_key_of(backup, options), files_of(backup, options), 0
    say_what_else(backup, options)
    options.output.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, parts in files.items():
        try:
            size = write_file(options.output / name, parts, data_key, backup.ids)
            print(f"{name}: {size} bytes, {'authentic' if data_key else 'digest fits'}")
        except (Refusal, OSError) as error:
            failures += 1
            say("error", str(error))
    return failures


def say_what_else(backup: Backup, options: argparse.Namespace) -> None:
    """Warn of what stands beside the backup and matters before anybody uses the data."""
    if options.backup and (options.backup / "tombstone.json").exists():
        say("warning", "a tombstone stands beside this backup: it was deleted, and may hold what should be gone")
    ledger = options.ledger or (options.backup.resolve().parent.parent / "ledger" if options.backup else None)
    if ledger is None or not ledger.is_dir():
        say("warning", "no erasure ledger was found; if there is one, replay it before anybody uses the restored data")
        return
    entries = [int(match[1]) for path in ledger.iterdir() if (match := LEDGER_ENTRY.fullmatch(path.name))]
    watermark = field(backup.fields, "ledgerWatermark", int, "manifest")
    if newer := [sequence for sequence in entries if sequence > watermark]:
        say("warning", f"{len(newer)} entries of the erasure ledger are newer than this backup (after {watermark}): "
             "people were erased since; replay the ledger before anybody uses the restored data")  # fmt: skip


def say(kind: str, text: str) -> None:
    """Say what the person must know, beside the result; *kind* is warning or error."""
    print(f"{kind}: {text}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything that was asked for was written and right, 1 when anything was not."""
    options = parse_arguments(arguments)
    try:
        return 1 if open_backup(options) else 0
    except (Refusal, OSError) as error:
        say("error", str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
