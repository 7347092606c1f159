"""The catalogue as a value: what is part of it, what is left out, and that two of the same DDL are one."""

from __future__ import annotations

import pytest

from dbcustody.migration.catalogue import (
    FOREIGN_LEDGERS,
    Catalogue,
    Key,
    Kind,
    counts,
    from_text,
    is_excluded,
    make_catalogue,
    to_text,
)

ROWS = [
    ("column", ["public", "people", "id"], {"type": "integer", "null": "not null"}),
    ("schema", ["public"], {}),
    ("table", ["public", "people"], {"column order": '["id"]'}),
    ("function", ["public", "f(integer)"], {"body": "select 1"}),
]
PEOPLE = Key(Kind.TABLE, ("public", "people"))
AGE = Key(Kind.COLUMN, ("public", "people", "age"))


def test_the_order_of_rows_is_none_of_ours() -> None:
    """Nor that of the properties."""
    turned = [(kind, path, dict(reversed(properties.items()))) for kind, path, properties in reversed(ROWS)]
    assert to_text(make_catalogue(ROWS)) == to_text(make_catalogue(turned))


def test_its_text_comes_back() -> None:
    """With every letter."""
    catalogue = make_catalogue([*ROWS, ("view", ["Bücher", 'a"b'], {"definition": "select '\n\u2028'"})])
    assert from_text(to_text(catalogue)) == catalogue
    assert from_text("[]") == Catalogue({})


@pytest.mark.parametrize("text", ["", "{}}", "[1]", '[["table", ["a"]]]', '[["planet", ["a"], {}]]', "3"])
def test_another_text_is_refused(text: str) -> None:
    """A catalogue that was damaged is not believed."""
    with pytest.raises(ValueError, match=r".*"):
        from_text(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("public", "people"), "public.people"),
        (("public", "People"), 'public."People"'),
        (("a.b", 'c"d'), '"a.b"."c""d"'),
        (("public", "order", "1st"), 'public.order."1st"'),
        (("public", 'f(integer, public."Mood")'), 'public.f(integer, public."Mood")'),
        (("public", "F(integer)"), 'public."F(integer)"'),
    ],
)  # fmt: skip
def test_names_are_quoted_where_they_must_be(path: tuple[str, ...], name: str) -> None:
    """By their letters alone: which words are reserved is another matter in each version."""
    assert Key(Kind.TABLE, path).name == name


def test_what_it_is_stands_before_the_name() -> None:
    """For people."""
    assert str(Key(Kind.MATERIALIZED_VIEW, ("public", "v"))) == "materialized view public.v"


@pytest.mark.parametrize(
    ("key", "glob", "is_out"),
    [
        (PEOPLE, "public.people", True),
        (AGE, "public.people", True),
        (AGE, "public.people.age", True),
        (PEOPLE, "public.people.age", False),
        (PEOPLE, "public.p*", True),
        (PEOPLE, "*.people", True),
        (PEOPLE, "PUBLIC.people", False),
        (PEOPLE, "public", False),
        (Key(Kind.SCHEMA, ("audit",)), "audit.*", True),
        (Key(Kind.SCHEMA, ("audit",)), "*.tmp_*", False),
        (Key(Kind.SCHEMA, ("public",)), "public.people", False),
        (Key(Kind.EVENT_TRIGGER, ("watch",)), "watch", True),
    ],
)
def test_globs_match_an_object_with_its_parts(key: Key, glob: str, is_out: bool) -> None:  # noqa: FBT001
    """A schema goes when everything in it does."""
    assert is_excluded(key, ["nothing.at.all", glob]) is is_out


def test_what_is_excluded_is_not_in_it() -> None:
    """And without globs nothing is made anew."""
    whole = make_catalogue(ROWS)
    assert [str(key) for key in make_catalogue(ROWS, ["public.people"]).objects] == [
        "function public.f(integer)",
        "schema public",
    ]
    assert whole.without(()) is whole


@pytest.mark.parametrize("name", sorted(FOREIGN_LEDGERS))
def test_books_of_other_tools_are_none_of_it(name: str) -> None:
    """With all their parts, and so is our schema."""
    rows = [
        ("table", ["app", name], {}),
        ("column", ["app", name, "version"], {"type": "text"}),
        ("sequence", ["dbcustody", "attempt_id_seq"], {}),
        ("schema", ["dbcustody"], {}),
    ]
    assert make_catalogue(rows).objects == {}


def test_a_column_of_that_name_is_a_column() -> None:
    """Only tables are books."""
    rows = [("column", ["app", "people", "schema_migrations"], {"type": "text"})]
    assert len(make_catalogue(rows).objects) == 1


KEPT = "CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'it''s, b'::character varying(9)])::text[])))"
RESTORED = (
    "CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('it''s, b'::character varying(9))::text])))"
)


def test_an_expression_is_the_same_after_a_dump() -> None:
    """PostgreSQL writes a list of varchars otherwise once it has read it back."""
    key = ["public", "people", "kind_check"]
    before, after = (
        make_catalogue([("constraint", key, {"definition": text, "body": KEPT})]) for text in (KEPT, RESTORED)
    )
    assert before == after
    assert before.objects[Key(Kind.CONSTRAINT, tuple(key))] == {"definition": RESTORED, "body": KEPT}


def test_across_majors_parsed_queries_are_not_compared() -> None:
    """Whether they are there is."""
    rows = [
        ("view", ["public", "v"], {"definition": "SELECT people.id FROM people", "options": "[]"}),
        ("function", ["public", "f()"], {"body": "select 1", "parsed body": "RETURN 1"}),
    ]
    assert list(make_catalogue(rows).across_majors().objects.values()) == [{"body": "select 1"}, {"options": "[]"}]


def test_they_are_counted() -> None:
    """By kind."""
    assert counts(make_catalogue(ROWS)) == {Kind.COLUMN: 1, Kind.FUNCTION: 1, Kind.SCHEMA: 1, Kind.TABLE: 1}
