"""Changes of JSON documents that know what JSON is: other kinds of values, other spellings of the same value, fields that come and go."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fuzz.bytewise import blindly

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Path = tuple[str | int, ...]

DEEP: Final = "deep"
ODD_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**40, 10**4000, 0.0, -0.0, 1.0, 1.5, 1e308, 1e16,
    "", " ", "0", "1", "null", "\x00", "a\nb", "\u00e9", "e\u0301", "\ud800", "\udfff\ud800", "\u202e", "\uff11", "\u0661", "\ufeff",
    "\U0001f512", "\u212a", "..", "/", "../../x", "a" * 63, "a" * 64, "a" * 129, "a" * 5000, [], {}, [[]], [None], {"": None},
    {"format": 1}, [1, "a", {}], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-31T02:00:00+00:00",
    "2026-01-31t02:00:00z", "2026-01-31T02:00:00.5Z", "2026-W05-6T02:00:00Z", "20260131T020000Z", "2026-01-31T24:00:00Z", "2026-01-31",
    "2026-01-31T02:00:00Z\n", "2026-01-31 02:00:00Z", "1" * 64, "G" * 64, "AES-256-GCM-STREAM", "aes-256-gcm-stream", DEEP,
)  # fmt: skip
ODD_NAMES: Final = (
    "",
    "mac",
    "Mac",
    "format",
    "encryption",
    "unknown",
    "storage_id",
    "__class__",
    "self",
    "a" * 300,
    "\ud800",
    "n\u00e4me",
)
STOWAWAYS: Final = ('"":0,', '"mac":null,', " ", "/**/", ",")
DEPTHS: Final = (2, 10, 100, 20_000)
"""And, half of the time, somewhere near the depth at which Python gives up."""


def deep(random: Random) -> Any:
    """Return a value that is nested deeply."""
    value: Any = 1
    for _ in range(random.choice(DEPTHS[:3]) if random.random() < 0.5 else random.randint(850, 1050)):
        value = [value] if random.random() < 0.9 else {"a": value}
    return value


def odd(random: Random) -> Any:
    """Return a value that does not belong where it is put."""
    value = random.choice(ODD_VALUES)
    return deep(random) if value is DEEP else value


def nudge(random: Random, value: Any) -> Any:
    """Return a value of the same kind that is nearly *value*."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        as_float = float(value) if abs(value) < 2**64 else -1.0
        return random.choice((value + 1, value - 1, -value, value * 2, value + 2**32, as_float, str(value)))
    if isinstance(value, str):
        return _nudged_text(random, value)
    if isinstance(value, list):
        return random.choice((value * 2, value[::-1], value[1:], value[:-1], [*value, odd(random)], [value]))
    return {name: value[name] for name in value if random.random() < 0.8}


def _nudged_text(random: Random, text: str) -> str:
    start = random.randint(0, len(text))
    letter = random.choice('0123456789abcdefABCDEFxyzT:-+. /\\"\x00\u00e9\ud800\uff11')
    return random.choice((
        text[:start] + letter + text[start + 1 :], text[:start] + letter + text[start:], text[:start] + text[start + 1 :],
        text.upper(), text.swapcase(), text + " ", text + "\n", text[::-1], text * 2, text[:start],
    ))  # fmt: skip


@lru_cache(maxsize=256)
def parsed(data: bytes) -> tuple[Any, tuple[Path, ...]]:
    """Return the value of *data* and the paths of everything in it; None for what is no JSON."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    return value, tuple(_paths(value, ()))


def _paths(value: Any, here: Path) -> list[Path]:
    found = [here]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        found += _paths(item, (*here, name))
    return found


def at(value: Any, path: Path) -> Any:
    """Return what lies at *path*."""
    for name in path:
        value = value[name]
    return value


def replaced(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return *value* with what lies at *path* changed; the original stays as it is."""
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], change)
    return copy


def alter(random: Random, data: bytes, others: tuple[bytes, ...]) -> Any:
    """Return the value of *data* with one thing in it changed."""
    value, paths = parsed(data)
    path, kind = random.choice(paths), random.random()
    if kind < 0.3:
        return replaced(value, path, lambda _: odd(random))
    if kind < 0.6:
        return replaced(value, path, lambda old: nudge(random, old))
    if kind < 0.8:
        return replaced(value, path[:-1], lambda old: _other_members(random, old))
    donor, donor_paths = parsed(random.choice(others))
    from_there = path if path in donor_paths and random.random() < 0.6 else random.choice(donor_paths)
    return replaced(value, path, lambda _: at(donor, from_there))


def _other_members(random: Random, old: Any) -> Any:
    """Return the mapping *old* with a field more, less, renamed, or with two values exchanged."""
    if not isinstance(old, dict) or not old:
        return nudge(random, old)
    name, other, kind = random.choice(list(old)), random.choice(list(old)), random.randrange(4)
    if kind == 0:
        return {one: item for one, item in old.items() if one != name}
    if kind == 1:
        return old | {random.choice(ODD_NAMES): odd(random)}
    if kind == 2:
        return {(_renamed(random, one) if one == name else one): item for one, item in old.items()}
    return old | {name: old[other], other: old[name]}


def _renamed(random: Random, name: str) -> str:
    return random.choice(
        (name.upper(), name.lower(), name + " ", name + "\x00", name[:-1], "_" + name, random.choice(ODD_NAMES))
    )


def canonical_bytes(value: Any) -> bytes:
    """Return the canonical form of plain JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def is_in_one_form(data: bytes) -> bool:
    """Return whether *data* is the canonical form of what it holds; asked of nobody who is tried."""
    return canonical_bytes(json.loads(data)) == data


def respell(random: Random, value: Any) -> bytes:
    """Return *value* in a form that is not the canonical one."""
    kind = random.randrange(6)
    if kind == 0:
        return json.dumps(value, sort_keys=True, indent=random.choice((0, 1, "\t"))).encode()
    if kind == 1:
        reverse = dict(sorted(value.items(), reverse=True)) if isinstance(value, dict) else value
        return json.dumps(reverse, separators=(",", ":")).encode()
    if kind == 2:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
            errors="surrogatepass"
        )
    if kind == 3:
        return json.dumps(value).encode(random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32")))
    data = canonical_bytes(value)
    return (
        data + random.choice((b"\n", b" ", b"\x00", b"{}", data)) if kind == 4 else random.choice((b" ", b"\n")) + data
    )


def respell_text(random: Random, data: bytes) -> bytes:
    """Return the text with one token in another spelling, said twice, or out of all proportion."""
    text, kind = data.decode(errors="replace"), random.randrange(5)
    if kind == 0:
        return _at_random(random, text, r"[A-Za-z0-9]", lambda found: f"\\u{ord(found):04{random.choice('xX')}}")
    if kind == 1:
        forms = (
            "{}.0",
            "{}e0",
            "0{}",
            "+{}",
            "{}0",
            "-{}",
            "{}" + "0" * 6000,
            "{}e999",
            "NaN",
            "-Infinity",
            "0x{}",
            "{}_0",
        )
        return _at_random(
            random, text, r"(?<=[:\[,])-?[0-9]+(?=[,}\]])", lambda found: random.choice(forms).format(found)
        )
    if kind == 2:
        return _at_random(random, text, r'"[A-Za-z0-9]+":("[^"]*"|[0-9a-z]+)', lambda found: f"{found},{found}")
    if kind == 3:
        size = random.choice(DEPTHS) if random.random() < 0.5 else random.randint(850, 1050)
        nested = random.choice(("[" * size + "]" * size, "[" * size, '{"a":' * size + "1" + "}" * size))
        return _at_random(random, text, r'(?<=:)("[^"]*"|[0-9]+)', lambda _: nested)
    return _at_random(random, text, r'(?<=[{,])"', lambda found: random.choice(STOWAWAYS) + found)


def _at_random(random: Random, text: str, pattern: str, change: Callable[[str], str]) -> bytes:
    """Change one match of *pattern*, the first behind a random place."""
    compiled = re.compile(pattern)
    match = compiled.search(text, random.randint(0, len(text))) or compiled.search(text)
    if match is not None:
        text = text[: match.start()] + change(match[0]) + text[match.end() :]
    return text.encode(errors="replace")


def jsonwise(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change a JSON document: what it says, how it is spelled, or its bytes."""
    kind = random.random()
    if kind < 0.3:
        return blindly(random, data, others)
    if kind < 0.45:
        return respell_text(random, data)
    value = alter(random, data, others)
    for _ in range(random.randrange(3) if random.random() < 0.2 else 0):
        try:
            value = alter(random, canonical_bytes(value), others)
        except RecursionError:
            break
    return _spelled(random, value) if kind > 0.55 else _respelled(random, value, data)


def _spelled(random: Random, value: Any) -> bytes:
    try:
        data = canonical_bytes(value)
    except RecursionError:
        return b"[" * 2000
    return respell_text(random, data) if random.random() < 0.1 else data


def _respelled(random: Random, value: Any, data: bytes) -> bytes:
    try:
        return respell(random, value if random.random() < 0.5 else parsed(data)[0])
    except (RecursionError, UnicodeEncodeError):
        return b"[" * 2000
