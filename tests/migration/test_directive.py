"""Directives: what the head of a file may say, and that nothing misspelt, misplaced or contradictory is passed over."""

from __future__ import annotations

import pytest

from dbcustody.migration.directive import Directives, Head, Phase, Span, Waiver, read_head
from dbcustody.migration.statement import cut

EVERYTHING = """-- What this does, for people.
-- dbcustody: revision shop_7
-- dbcustody: down-revision 20260101_000000, shop_6
--dbcustody:transaction off
-- DBCUSTODY : class long
-- dbcustody: budget 30min
-- dbcustody: idempotent because it counts on from the last row
-- dbcustody: allow drop-column because nobody reads it since 4.2
-- dbcustody: allow long-lock because it is at night
-- dbcustody: phase contract
-- dbcustody: invariant select count(*) = 0 from t where a is null;
-- dbcustody: requires pg_trgm
-- dbcustody: requires uuid-ossp
CREATE TABLE t (a int);
"""


def head(text: str) -> Head:
    """Return the head of *text*."""
    return read_head(text, cut(text).statements)


def faults(text: str) -> list[str]:
    """Return what is wrong with the head of *text*."""
    return [str(fault) for fault in head(text).faults]


def test_everything_that_can_be_said() -> None:
    """Each word has its field; those that may be repeated keep their order."""
    assert head(EVERYTHING) == Head(
        directives=Directives(
            revision="shop_7",
            down_revisions=("20260101_000000", "shop_6"),
            transaction=False,
            span=Span.LONG,
            budget_seconds=1800.0,
            idempotent="it counts on from the last row",
            waivers=(Waiver("drop-column", "nobody reads it since 4.2"), Waiver("long-lock", "it is at night")),
            phase=Phase.CONTRACT,
            invariants=("select count(*) = 0 from t where a is null",),
            requires=("pg_trgm", "uuid-ossp"),
        ),
        faults=(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "select 1", "", "-- nothing\n/* at all */ select 1", "/* -- dbcustody: transaction off\n*/ select 1",
        "-- see dbcustody: the tool\nselect 1",
        "select '\n-- dbcustody: transaction off\n'", 'select $$\n-- dbcustody: phase x\n$$, "\n-- dbcustody: x"',
        "/* /* */ -- dbcustody: transaction off\n*/",
    ],
)  # fmt: skip
def test_a_silent_head(text: str) -> None:
    """Comments for people, directives that are commented out, and literals say nothing."""
    assert head(text) == Head(directives=Directives(), faults=())


@pytest.mark.parametrize(
    ("said", "seconds"), [("250ms", 0.25), ("90s", 90.0), ("30 min", 1800.0), ("6h", 21600.0), ("168h", 604800.0)]
)  # fmt: skip
def test_budgets(said: str, seconds: float) -> None:
    """With the units of PostgreSQL."""
    assert head(f"-- dbcustody: budget {said}").directives.budget_seconds == seconds


def test_the_first_of_a_chain() -> None:
    """It says so; silence means the file before."""
    assert head("-- dbcustody: down-revision none").directives.down_revisions == ()
    assert head("").directives.down_revisions is None


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("transacton off", "there is no directive 'transacton'; is 'transaction' meant"),
        ("frob", "there is no directive 'frob'; there are revision, down-revision, transaction, class, budget, idempotent, allow, phase,"),
        ("", "there is no directive ''; there are revision"),
        ("Transaction off", "there is no directive 'Transaction'; is 'transaction' meant"),
        ("revision 2026-01", "revision cannot be '2026-01'; must be letters, digits and '_', at most 32"),
        (f"revision {'a' * 33}", "must be letters, digits and '_', at most 32"),
        ("down-revision a, ", "down-revision cannot be 'a,'; must be letters, digits"),
        ("transaction no", "transaction cannot be 'no'; must be on or off"),
        ("class medium", "class cannot be 'medium'; must be short or long"),
        ("phase delete", "phase cannot be 'delete'; must be expand or contract or data"),
        ("budget 30", "budget cannot be '30'; must be a number with ms, s, min or h, such as 30min"),
        ("budget 0s", "budget cannot be '0s'"),
        ("budget 169h", "budget cannot be '169h'; must be at most a week, 168h"),
        ("idempotent", "idempotent cannot be ''; must be 'because' and the reason"),
        ("idempotent because", "idempotent cannot be 'because'; must be 'because' and the reason"),
        ("allow drop-column", "allow cannot be 'drop-column'; must be the name of a rule, 'because' and the reason"),
        ("allow drop-column because ", "allow cannot be 'drop-column because'"),
        ("invariant delete from t", "invariant cannot be 'delete from t'; must be one query that returns true"),
        ("invariant select 1; select 2", "must be one query that returns true"),
        ("invariant select (1", "must be one query that returns true"),
        ("requires a b", "requires cannot be 'a b'; must be the name of one extension"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(said: str, what: str) -> None:
    """Each is told with its line and what could be meant."""
    (fault,) = faults(f"-- head\n  -- dbcustody: {said}\nselect 1")
    assert fault.startswith("line 2, column 3: ")
    assert what in fault


def test_all_faults_are_told_and_the_rest_is_read() -> None:
    """One that is wrong does not hide another, nor what is right."""
    found = head(
        "-- dbcustody: phase data\n-- dbcustody: phase data\n-- dbcustody: budget soon\n-- dbcustody: budget 1h\nselect 1"
    )
    assert [fault.what for fault in found.faults] == [
        "phase is said twice",
        "budget cannot be 'soon'",
        "budget is said twice",
    ]
    assert found.directives == Directives(phase=Phase.DATA)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("select 1;\n-- dbcustody: transaction off\n", "line 2, column 1"),
        ("select 1 -- dbcustody: transaction off\n", "line 1, column 10"),
        ("select 'a';\n/*\n-- dbcustody: allow x because y */ select 2", "line 3, column 1"),
    ],
)
def test_a_directive_below_the_head(text: str, place: str) -> None:
    """It would be overlooked by people, so it is a fault wherever it looks like one."""
    assert faults(text) == [
        f"{place}: a directive stands below the head; write it above the first statement, where it is seen"
    ]


def test_a_comment_that_does_not_end() -> None:
    """The fault is that of the statements; the directives before it are read."""
    assert head("-- dbcustody: transaction on\n/* -- dbcustody: frob").directives == Directives(transaction=True)
