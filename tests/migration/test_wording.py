"""SQL that is written for recipes means what it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pglast import keywords

from dbcustody.migration.wording import (
    RESERVED,
    given_name,
    literal,
    named_at,
    names_within,
    quote,
    quote_relation,
    type_at,
    within,
    write,
)

if TYPE_CHECKING:
    from tests.migration.conftest import MakeTerms


@pytest.mark.parametrize(
    "text",
    [
        "check (a > 0 and f(a, - 1) = 'X'::text and s.b in (1, 2) and c[1:2] is not null)", "numeric(10, 2)", "select count(*) from s.t",
        "int[] default '{}'::int[]", "E'a\\'b' || U&\"c\"", "unique (a, b)", "references b(id) on delete cascade",
    ],
)  # fmt: skip
def test_what_is_written_is_the_same_statement(text: str, terms_of: MakeTerms) -> None:
    """Read again it has the same terms, and people write it alike."""
    terms = terms_of(text)
    assert terms_of(write(terms)) == terms
    assert write(terms).replace(" ", "") == text.replace(" ", "")
    assert "( " not in write(terms)


def test_names() -> None:
    """Quotes stand where PostgreSQL asks for them."""
    assert [quote(name) for name in ("plain", "Big", "order", 'a"b', "name")] == [
        "plain",
        '"Big"',
        '"order"',
        '"a""b"',
        "name",
    ]
    assert (quote_relation("", "t"), quote_relation("s", "Order")) == ("t", 's."Order"')
    assert literal("it's") == "'it''s'"
    assert set(keywords.RESERVED_KEYWORDS) | set(keywords.TYPE_FUNC_NAME_KEYWORDS) == RESERVED


def test_names_that_postgres_gives() -> None:
    """The longer of two parts is cut first, as makeObjectName does."""
    assert given_name("t", ["a", "b"], "fkey") == "t_a_b_fkey"
    assert given_name("t", [], "pkey") == "t_pkey"
    assert given_name("t" * 70, [], "pkey") == "t" * 58 + "_pkey"
    assert given_name("t" * 40, ["c" * 40], "key") == "t" * 29 + "_" + "c" * 29 + "_key"
    assert given_name("t", ["c" * 80], "key") == "t_" + "c" * 57 + "_key"


def test_parts(terms_of: MakeTerms) -> None:
    """Of what stands in parentheses, and in front of a list."""
    terms = terms_of('only s."T b" foreign key ("A b", c) references u (d)')
    assert named_at(terms) == 's."T b"'
    assert named_at(()) == ""
    assert names_within(terms) == ("A b", "c")
    assert (within(("a",)), within(("(", "a"))) == ((), ("a",))
    assert names_within(("(", ")")) == ()
    assert type_at(terms_of("varchar(9) collate x not null")) == terms_of("varchar(9) collate x")
