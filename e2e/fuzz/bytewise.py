"""Changes of bytes that know nothing of what they mean, and of an envelope's chunks: flips, cuts, repetitions, splices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.envelope import HEADER_BYTES, TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Change = Callable[[Random, bytes, tuple[bytes, ...]], bytes]

MOST_EDITS: Final = 4
ODD_BYTES: Final = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\n", b"\r\n", b" ", b'"', b"\\", b"{", b"]", b",", b"0", b"-", b"/", b"..",
                    b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xd9\xa1", b"\xe2\x80\xae")  # fmt: skip
LONGEST_NOISE: Final = 300
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)


def place(random: Random, data: bytes) -> int:
    """Return an index within *data*, or its end."""
    return random.randint(0, len(data))


def flip(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Flip one bit."""
    if not data:
        return b"\x00"
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut_end(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Leave the end away."""
    return data[: place(random, data)]


def cut_middle(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Leave something in the middle away."""
    start = place(random, data)
    return data[:start] + data[start + random.choice(_SIZES) :]


def insert(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Put something odd between."""
    start = place(random, data)
    piece = random.choice(ODD_BYTES) if random.random() < 0.7 else random.randbytes(random.choice(_SIZES))
    return data[:start] + piece + data[start:]


def overwrite(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Put something odd over what is there."""
    start = place(random, data)
    piece = random.choice(ODD_BYTES) if random.random() < 0.7 else random.randbytes(random.choice(_SIZES))
    return data[:start] + piece + data[start + len(piece) :]


def repeat(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Say something twice."""
    start, size = place(random, data), random.choice(_SIZES)
    return data[: start + size] + data[start:]


def exchange(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Let two stretches change places."""
    first, second, third = sorted(place(random, data) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def splice(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Begin as one document and go on as another."""
    other = random.choice(others)
    start = place(random, data)
    return data[:start] + other[start if random.random() < 0.5 else place(random, other) :]


def noise(random: Random, _: bytes, __: tuple[bytes, ...]) -> bytes:
    """Return bytes that nobody meant."""
    return random.randbytes(random.randrange(LONGEST_NOISE))


def several(changes: tuple[Change, ...], random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Apply one of *changes*, and sometimes some more."""
    for _ in range(random.randint(1, MOST_EDITS) if random.random() < 0.3 else 1):
        data = random.choice(changes)(random, data, others)
    return data


BLIND: Final = (flip, flip, flip, cut_end, cut_middle, insert, overwrite, repeat, exchange, splice)


def blindly(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change bytes whatever they mean."""
    return noise(random, data, others) if random.random() < 0.02 else several(BLIND, random, data, others)


def _cut_up(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return header and sealed chunks of an envelope, by the chunk size that its header names."""
    exponent = data[5] if len(data) > 5 and data[5] <= 8 else 4
    size = (1 << exponent) + TAG_BYTES
    body = data[HEADER_BYTES:]
    return data[:HEADER_BYTES], [body[start : start + size] for start in range(0, len(body), size)]


def drop_chunk(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Leave a whole chunk away, often the last."""
    header, chunks = _cut_up(data)
    if chunks:
        del chunks[-1 if random.random() < 0.5 else random.randrange(len(chunks))]
    return header + b"".join(chunks)


def repeat_chunk(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Say a whole chunk twice, at any place."""
    header, chunks = _cut_up(data)
    if chunks:
        chunks.insert(random.randint(0, len(chunks)), random.choice(chunks))
    return header + b"".join(chunks)


def shuffle_chunks(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Put the chunks in another order."""
    header, chunks = _cut_up(data)
    random.shuffle(chunks)
    return header + b"".join(chunks)


def borrow_chunk(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Take a chunk, or the header, of another object."""
    header, chunks = _cut_up(data)
    strange_header, strange = _cut_up(random.choice(others))
    if random.random() < 0.3 or not chunks or not strange:
        return strange_header + b"".join(chunks)
    chunks[random.randrange(len(chunks))] = random.choice(strange)
    return header + b"".join(chunks)


def change_header(random: Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Change one byte of the header: magic, version, chunk size, prefix or what is reserved."""
    changed = bytearray(data)
    index = random.randrange(14) if random.random() < 0.8 else random.randrange(HEADER_BYTES)
    if index < len(changed):
        changed[index] = random.choice((0, 1, 2, 3, 4, 5, 8, 16, 20, 24, 25, 31, 32, 63, 64, 128, 255))
    return bytes(changed)


CHUNKWISE: Final = (drop_chunk, repeat_chunk, shuffle_chunks, borrow_chunk, change_header)


def chunkwise(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change an envelope by bytes or by whole chunks."""
    if random.random() < 0.5:
        return blindly(random, data, others)
    return several(CHUNKWISE, random, data, others)
