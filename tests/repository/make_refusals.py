"""Makes the published vectors that every reader must refuse: `python make_refusals.py FOLDER`, beside those of make_vectors.py.

Each is one step away from a sound one. Some are closed or signed with the right key by a writer that breaks the rules: there the cipher
finds nothing, and the reader must look itself. Running it again gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import make_vectors as sound
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CONTEXT = [*sound.IDS, "data-001.pgc"]
KEY = sound.derive(sound.DATA_KEY, "object", CONTEXT)
HEADER_BYTES, SEALED_BYTES = 64, 2**sound.EXPONENT + 16
OTHER_PREFIX = bytes.fromhex("11121314151617")

Case = dict[str, object]


def closed(plaintext: bytes, header: bytes, *, bound_to: bytes | None = None, last: int = 1) -> bytes:
    """Return *plaintext* as one chunk behind *header*, by a writer that does as it is told."""
    nonce = header[6:13] + bytes(4) + bytes([last])
    return header + AESGCM(KEY).encrypt(nonce, plaintext, header if bound_to is None else bound_to)


def header_with(**changes: int | bytes) -> bytes:
    """Return a header in which something is not as format 1 has it."""
    parts: dict[str, int | bytes] = {"magic": b"DBC1", "version": 1, "exponent": sound.EXPONENT, "reserved": bytes(51)}
    magic, version, exponent, reserved = (parts | changes).values()
    return bytes(magic) + bytes([int(version), int(exponent)]) + sound.PREFIX + bytes(reserved)


def flipped(data: bytes, index: int) -> bytes:
    """Return *data* with one bit of the byte at *index* turned."""
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def chunks_of(stored: bytes) -> list[bytes]:
    """Return the chunks of a stored object, each with its tag."""
    return [stored[start : start + SEALED_BYTES] for start in range(HEADER_BYTES, len(stored), SEALED_BYTES)]


def cut_objects(stored: bytes) -> dict[str, tuple[str, bytes]]:
    """Return objects of which something is missing, or that go on."""
    return {
        "empty": ("an empty file is not an empty object: that has a header and one chunk", b""),
        "half a header": ("cut within the header", stored[:40]),
        "header only": ("even an empty object has one chunk", stored[:HEADER_BYTES]),
        "cut within a chunk": ("the rest of a chunk authenticates nothing", stored[:-1]),
        "cut within a tag": ("a chunk has at least its tag", stored[: HEADER_BYTES + 15]),
        "cut between chunks": ("the chunk that is last now was not closed as the last", stored[: HEADER_BYTES + 3 * SEALED_BYTES]),
        "one byte more": ("nothing may follow the last chunk", stored + b"\x00"),
        "a chunk more": ("the last chunk is not the last any more", stored + chunks_of(stored)[0]),
        "twice": ("an object behind an object", stored + stored),
    }  # fmt: skip


def shuffled_objects(stored: bytes) -> dict[str, tuple[str, bytes]]:
    """Return objects whose chunks are whole and not where they belong."""
    header, chunks = stored[:HEADER_BYTES], chunks_of(stored)
    other = other_object()
    return {
        "first chunk missing": ("the nonce counts chunks", header + b"".join(chunks[1:])),
        "chunk missing": ("the nonce counts chunks", header + b"".join(chunks[:2] + chunks[3:])),
        "chunk twice": ("the nonce counts chunks", header + b"".join([*chunks[:2], *chunks[1:]])),
        "chunks exchanged": ("the nonce counts chunks", header + b"".join([chunks[1], chunks[0], *chunks[2:]])),
        "last chunk first": ("the nonce says which chunk is the last", header + b"".join([chunks[-1], *chunks[:-1]])),
        "chunk of another object": ("each object has a prefix of its own", header + b"".join([chunks_of(other)[0], *chunks[1:]])),
        "header of another object": ("the header is authenticated with each chunk", other[:HEADER_BYTES] + b"".join(chunks)),
    }  # fmt: skip


def other_object() -> bytes:
    """Return another object of the same key and length, with a prefix of its own."""
    header = b"DBC1" + bytes([1, sound.EXPONENT]) + OTHER_PREFIX + bytes(51)
    size, plaintext = 2**sound.EXPONENT, sound.text_of(100)
    parts = [plaintext[start : start + size] for start in range(0, len(plaintext), size)]
    sealed = [
        AESGCM(KEY).encrypt(OTHER_PREFIX + number.to_bytes(4, "big") + bytes([number == len(parts) - 1]), part, header)
        for number, part in enumerate(parts)
    ]
    return header + b"".join(sealed)


def changed_objects(stored: bytes) -> dict[str, tuple[str, bytes]]:
    """Return objects with one bit changed, and objects that were closed against the rules with the right key."""
    magic, version = header_with(magic=b"DBC2"), header_with(version=2)
    large, reserved = header_with(exponent=25), header_with(reserved=bytes(50) + b"\x01")
    plain = header_with()
    return {
        "prefix changed": ("the prefix is part of the nonce", flipped(stored, 6)),
        "chunk size changed": ("the header is authenticated", flipped(stored, 5)),
        "ciphertext changed": ("each chunk is authenticated", flipped(stored, HEADER_BYTES)),
        "tag changed": ("each chunk is authenticated", flipped(stored, len(stored) - 1)),
        "another magic": ("closed so with the right key; only DBC1 is format 1", closed(b"text", magic)),
        "another version": ("closed so with the right key; only version 1 is known", closed(b"text", version)),
        "chunks of 32 MiB": ("closed so with the right key; 2^24 is the largest, for a reader's memory", closed(b"text", large)),
        "reserved byte": ("closed so with the right key; what is reserved is zero", closed(b"text", reserved)),
        "header not bound": ("closed without the header as associated data", closed(b"text", plain, bound_to=b"")),
        "no last chunk": ("its only chunk was not closed as the last", closed(b"text", plain, last=0)),
        "another last flag": ("the flag of the last chunk is 1", closed(b"text", plain, last=2)),
    }  # fmt: skip


def object_cases() -> list[Case]:
    """Return the objects to refuse; the last ones are sound, but were closed for another place."""
    stored, _ = sound.seal(KEY, sound.EXPONENT, sound.text_of(100))
    found = cut_objects(stored) | shuffled_objects(stored) | changed_objects(stored)
    cases: list[Case] = [
        {"name": name, "why": why, "context": CONTEXT, "stored": data.hex()} for name, (why, data) in found.items()
    ]
    moved = {
        "another name": [*sound.IDS, "data-002.pgc"],
        "another attempt": [*sound.IDS[:3], sound.ATTEMPT[::-1], CONTEXT[-1]],
    }
    return cases + [
        {"name": name, "why": "the key is bound to the object's place", "context": context, "stored": stored.hex()}
        for name, context in moved.items()
    ]  # fmt: skip


def wrapped_key_cases() -> list[Case]:
    """Return the wrapped keys to refuse."""
    context = [*sound.IDS, sound.KEY_ID]
    good = sound.wrap(sound.DATA_KEY, b"data", context)
    text = sound.canonical(good).decode()
    nonce, wrapped, check = (str(good[name]) for name in ("nonce", "wrapped", "check"))
    changed: dict[str, tuple[str, Case]] = {
        "nonce changed": ("authenticated", {"nonce": flip_digit(nonce)}),
        "wrapped changed": ("authenticated", {"wrapped": flip_digit(wrapped)}),
        "wrapped cut": ("32 bytes and a tag", {"wrapped": wrapped[:-2]}),
        "check changed": ("it is not of this key", {"check": flip_digit(check)}),
        "capital digits": ("digits are small", {"wrapped": wrapped.upper()}),
        "space between digits": ("digits are all there is", {"wrapped": f"{wrapped[:2]} {wrapped[2:]}"}),
        "another key id": ("the key id is bound", {"keyId": "k2027"}),
        "another format": ("only 1 is known", {"format": 2}),
        "a field more": ("the format has no such field", {"unknown": 1}),
        "check is a number": ("check is text", {"check": 7}),
    }
    documents = {name: (why, sound.canonical(good | change).decode()) for name, (why, change) in changed.items()}
    documents |= {
        "newline behind": ("not the canonical form", text + "\n"),
        "field twice": ("two readers could disagree", text[:-1] + f',"wrapped":"{wrapped}"}}'),
        "no field": ("nothing in it", "{}"),
        "no JSON": ("cut", text[:-1]),
    }
    key, other = sound.KEY_ENCRYPTION_KEY.hex(), hashlib.sha256(b"vector: another key").hexdigest()
    cases: list[Case] = [
        {"name": name, "why": why, "key": key, "context": context, "document": document}
        for name, (why, document) in documents.items()
    ]
    elsewhere = [*sound.IDS[:2], "20260201T020000Z-shop-nightly-5e1d0c2a", sound.ATTEMPT, sound.KEY_ID]
    return [
        *cases,
        {"name": "another key", "why": "closed with another one", "key": other, "context": context, "document": text},
        {"name": "another backup", "why": "bound to its place", "key": key, "context": elsewhere, "document": text},
    ]


def flip_digit(digits: str) -> str:
    """Return hex *digits* with another first one."""
    return ("1" if digits[0] == "0" else "0") + digits[1:]


def manifest_cases(good: bytes) -> list[Case]:
    """Return the manifests to refuse: forged ones, and some that were signed with the right key and say what no manifest can say."""
    document = json.loads(good)
    text, mac, objects = good.decode(), document["mac"], document["objects"]
    cases = {
        "size changed": ("the signature does not fit", text.replace('"tableCount":2', '"tableCount":1')),
        "signature changed": ("the signature does not fit", text.replace(mac, flip_digit(mac))),
        "signature in capitals": ("digits are small", text.replace(mac, mac.upper())),
        "signature missing": ("an encrypted backup is signed", text.replace(f'"mac":"{mac}",', "")),
        "space": ("not the canonical form", text.replace(":", ": ")),
        "newline behind": ("not the canonical form", text + "\n"),
        "order of fields": ("not the canonical form", json.dumps(dict(reversed(document.items())), separators=(",", ":"))),
        "field twice": ("two readers could disagree", text[:-1] + ',"tableCount":2}'),
        "escaped letter": ("not the canonical form", text.replace('"Full"', '"\\u0046ull"')),
        "byte order mark": ("not the canonical form", "\ufeff" + text),
        "number as a fraction": ("not the canonical form", text.replace('"tableCount":2', '"tableCount":2.0')),
        "not a number": ("no JSON", text.replace('"tableCount":2', '"tableCount":NaN')),
        "cut": ("no JSON", text[:-1]),
        "nested without end": ("no JSON that a reader must read", "[" * 2000),
    }  # fmt: skip
    changes: dict[str, tuple[str, Case]] = {
        "format 2": ("only 1 is known", {"format": 2}),
        "format true": ("a format is a number", {"format": True}),
        "another cipher": ("not known", {"encryption": "ROT13"}),
        "attempt that climbs": ("no folder's name", {"attempt": "../../../etc"}),
        "object twice": ("one object, one name", {"objects": [*objects, objects[0]]}),
        "object that climbs": ("no object's name", {"objects": [objects[0] | {"name": "../schema.pgc"}]}),
        "object of another kind": ("no object's name", {"objects": [objects[0] | {"name": "manifest.json"}]}),
        "negative size": ("no size", {"objects": [objects[0] | {"bytes": -1}]}),
        "size in quotes": ("no number", {"objects": [objects[0] | {"bytes": "9"}]}),
        "size true": ("no number", {"objects": [objects[0] | {"bytes": True}]}),
        "no objects": ("a list is there, even when it is empty", {"objects": None}),
    }
    cases |= {f"signed: {name}": (why, signed_manifest(document | change)) for name, (why, change) in changes.items()}
    return [{"name": name, "why": why, "document": text} for name, (why, text) in cases.items()]


def signed_manifest(document: Case) -> str:
    """Return *document* signed with the key of the place that it names."""
    ids = [str(document[name]) for name in ("storageId", "custodyId", "backupId", "attempt")]
    unsigned = {name: value for name, value in document.items() if name != "mac"}
    return sound.canonical(sound.sign(unsigned, sound.derive(sound.DATA_KEY, "manifest-mac", ids))).decode()


def fact_cases(files: dict[str, bytes]) -> list[Case]:
    """Return the facts to refuse, by the name under which they lie."""
    folder = f"{sound.CUSTODY_ID}/backups/{sound.BACKUP_ID}"
    hold, release, verified = (files[f"{folder}/{name}.1.json"].decode() for name in ("hold", "release", "verified"))
    mac = json.loads(release)["mac"]
    as_release = hold.replace('"because":"audit"', '"because":"audit is over"')
    cases = {
        "release with a hold's signature": ("the kind is signed", "release.1.json", hold),
        "release made of a hold": ("the signature does not fit", "release.1.json", as_release),
        "release without a signature": ("the backup is signed", "release.1.json", release.replace(f'"mac":"{mac}",', "")),
        "signature changed": ("the signature does not fit", "release.1.json", release.replace(mac, flip_digit(mac))),
        "release of another number": ("the number is the name's", "release.2.json", release),
        "hold of another number": ("the number is the name's", "hold.2.json", hold),
        "mark as a hold": ("it has other fields", "hold.1.json", verified),
        "level raised": ("the signature does not fit", "verified.1.json", verified.replace('"Read"', '"Restore"')),
        "fact of another backup": ("it names its backup", "verified.1.json", verified.replace("20260131T", "20260201T")),
        "newline behind": ("not the canonical form", "verified.1.json", verified + "\n"),
        "a field more": ("the format has no such field", "verified.1.json", verified[:-1] + ',"zzz":1}'),
        "another format": ("only 1 is known", "verified.1.json", verified.replace('"format":1', '"format":2')),
    }  # fmt: skip
    return [
        {"name": name, "why": why, "objectName": place, "document": text} for name, (why, place, text) in cases.items()
    ]


def main(folder: Path) -> None:
    """Write refused.json into *folder*."""
    files = sound.backup_files()
    manifest = files[f"{sound.CUSTODY_ID}/backups/{sound.BACKUP_ID}/manifest.json"]
    document = {
        "objects": object_cases(),
        "wrappedKeys": wrapped_key_cases(),
        "manifests": manifest_cases(manifest),
        "facts": fact_cases(files),
    }
    (folder / "refused.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
