"""Patterns of names, as psql has them: what fits, and what is none."""

from __future__ import annotations

import pytest

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.encoding import codec_of
from dbcustody.repository.pattern import fits_schema, fits_table


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("orders", {"public.orders", "sales.orders"}),
        ("public.ORDERS", {"public.orders"}),
        ("sales.*", {"sales.orders", "sales.a.b", 'sales."'}),
        ("*.order?", {"public.orders", "sales.orders"}),
        ('sales."a.b"', {"sales.a.b"}),
        ('"S"."*"', set[str]()),
        ('sales.""""', {'sales."'}),
    ],
)
def test_tables_that_fit(pattern: str, fitting: set[str]) -> None:
    """Without a schema in every one; letters outside of quotes are small ones, wildcards inside of them are none."""
    tables = [("public", "orders"), ("sales", "orders"), ("sales", "a.b"), ("sales", '"')]
    assert {f"{schema}.{name}" for schema, name in tables if fits_table(pattern, schema, name)} == fitting


def test_schemas_that_fit() -> None:
    """A pattern of one part."""
    assert [fits_schema(one, "tenant_7") for one in ("tenant_*", "Tenant_7", '"Tenant_7"', "tenant")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("pattern", ["", "a.", ".a", "a.b.c", '"a'])
def test_no_pattern(pattern: str) -> None:
    """It is refused in the words of what is wanted."""
    with pytest.raises(RefusedError, match=r"must be name, schema\.name, with") as caught:
        fits_table(pattern, "a", "b")
    assert caught.value.reason is Reason.INVALID_SPEC


def test_a_schema_is_one_name() -> None:
    """A table is none."""
    with pytest.raises(RefusedError, match=r"schemas: 'a\.b' is no pattern; must be name, with"):
        fits_schema("a.b", "a")


def test_encodings() -> None:
    """What Python calls otherwise, and what it does not know."""
    assert [codec_of(one) for one in ("UTF8", "WIN1252", "KOI8R", "LATIN9", "MULE_INTERNAL")] == [
        "utf-8", "cp1252", "koi8-r", "iso8859-15", "utf-8"
    ]  # fmt: skip
