"""Fingerprints and differences: each property counts, and what is told is what changed."""

from __future__ import annotations

import re

import pytest

from dbcustody.migration.catalogue import Catalogue, Key, Kind, make_catalogue
from dbcustody.migration.fingerprint import Change, Turn, differences, fingerprint

ROWS = [
    ("schema", ["public"], {}),
    ("table", ["public", "people"], {"column order": '["id", "age"]'}),
    ("column", ["public", "people", "id"], {"type": "integer"}),
    ("column", ["public", "people", "age"], {"type": "integer", "default": "3"}),
]


def made(*changes: tuple[str, list[str], dict[str, str]], without: tuple[str, ...] = ()) -> Catalogue:
    """Return the catalogue with rows that are others or more, and some less."""
    rows = {(kind, *path): (kind, path, properties) for kind, path, properties in [*ROWS, *changes]}
    return make_catalogue([row for key, row in rows.items() if key[-1] not in without])


def told(after: Catalogue) -> list[str]:
    """Return in what it differs."""
    return [str(change) for change in differences(made(), after)]


def test_it_is_32_digits_of_everything() -> None:
    """And of nothing but the value."""
    assert re.fullmatch(r"[0-9a-f]{32}", fingerprint(made()))
    assert fingerprint(made()) == fingerprint(made())


def test_it_stays_what_it_was() -> None:
    """A release that counts otherwise must have another format."""
    assert fingerprint(Catalogue({})) == "e3b2dafa57530e68811acd7b74eb6926"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (made(), []),
        (made(("schema", ["audit"], {})), ["Added schema audit"]),
        (made(without=("age",)), ["Missing column public.people.age"]),
        (
            made(("column", ["public", "people", "age"], {"type": "bigint"})),
            [
                "Changed column public.people.age: default: 3 -> nothing",
                "Changed column public.people.age: type: integer -> bigint",
            ],
        ),
        (made(without=("people", "id", "age")), ["Missing table public.people"]),
        (
            made(("table", ["public", "t"], {}), ("column", ["public", "t", "a"], {"type": "text"})),
            ["Added table public.t"],
        ),
        (
            made(("table", ["public", "people"], {"column order": '["age", "id"]'})),
            ['Changed table public.people: column order: ["id", "age"] -> ["age", "id"]'],
        ),
        (
            made(("table", ["public", "people"], {"column order": '["id", "name"]'})),
            [],
        ),
        (
            made(("table", ["public", "people"], {})),
            [],
        ),
        (
            made(("view", ["public", "people"], {}), without=("age", "id")),
            ["Added view public.people"],
        ),
    ],
)
def test_differences_are_told_object_by_object(after: Catalogue, words: list[str]) -> None:
    """What is a part of something that came or went is not told; nor is an order of columns that are others."""
    assert told(after) == words


def test_long_texts_are_cut_to_where_they_differ() -> None:
    """On one line."""
    key = Key(Kind.VIEW, ("public", "v"))
    text = "select\n  " + ", ".join(f"column_{number}" for number in range(60))
    change = Change(
        turn=Turn.CHANGED, key=key, aspect="definition", before=text + ", a from b", after=text + ", c from b"
    )
    same = Change(turn=Turn.CHANGED, key=key, aspect="definition", before=text, after=text[:-1])

    assert str(change) == (
        "Changed view public.v: definition: …7, column_58, column_59, a from b -> …7, column_58, column_59, c from b"
    )
    assert str(same).endswith("column_59 -> …n_57, column_58, column_5")
    early = Change(turn=Turn.CHANGED, key=key, aspect="definition", before="x" * 300, after="y")
    assert str(early) == f"Changed view public.v: definition: {'x' * 100}… -> y"


@pytest.mark.parametrize(
    ("aspect", "words"),
    [
        ("default", "Changed column public.people.mail: default"),
        ("type", "Changed column public.people.mail: type: 'secret' -> nothing"),
        (None, "Changed column public.people.mail"),
    ],
)
def test_for_a_status_no_literal_is_told(aspect: str | None, words: str) -> None:
    """Only what cannot have one in it."""
    key = Key(Kind.COLUMN, ("public", "people", "mail"))
    assert Change(turn=Turn.CHANGED, key=key, aspect=aspect, before="'secret'").redacted == words
