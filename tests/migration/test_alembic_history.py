"""What Alembic's table says against a source and a ledger: what is to be adopted, how the table moves, and every difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.migration.alembic_history import adoption, moved, parents_of, with_alembic
from dbcustody.migration.alembic_source import read_alembic
from dbcustody.migration.graph import ancestors, ends, in_order
from dbcustody.migration.history import Kind, compare
from dbcustody.migration.ledger import Attempt, Standing, State, standing_by
from dbcustody.migration.script import SourceFile

PARENTS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d",)}


def scripts_of(parents: dict[str, tuple[str, ...]]) -> tuple:
    """Return a folder of revisions that follow *parents*."""
    texts = {
        name: f"revision = {name!r}\ndown_revision = {above!r}\ndef upgrade(): ...\n" for name, above in parents.items()
    }
    found = read_alembic(SourceFile(name=f"{name}.py", content=text.encode()) for name, text in texts.items())
    assert found.faults == ()
    return found.scripts


SCRIPTS = scripts_of(PARENTS)


def ledger(*revisions: str, state: State = State.APPLIED) -> tuple[Attempt, ...]:
    """Return a ledger in which *revisions* came to *state*, one after the other."""
    return tuple(
        Attempt(ordinal=number, revision=one, name=one, state=state, checksum=None)
        for number, one in enumerate(revisions, 1)
    )


def found(heads: tuple[str, ...] | None, *present: str) -> list[tuple[Kind, str]]:
    """Return the differences of a ledger with *present* to Alembic's *heads*."""
    history = with_alembic(compare(SCRIPTS, ledger(*present)), heads, SCRIPTS)
    return [(one.kind, one.name) for one in history.differences]


def test_what_the_heads_follow_is_adopted() -> None:
    """In the order of the chain, and what the ledger knows already is not among it."""
    assert [one.revision for one in adoption(("d",), SCRIPTS, ()).scripts] == ["a", "b", "c", "d"]
    assert [one.revision for one in adoption(("b", "c"), SCRIPTS, ledger("a")).scripts] == ["b", "c"]
    assert adoption(("b",), SCRIPTS, ledger("a", "b")).scripts == ()


def test_what_contradicts_is_told_and_nothing_adopted() -> None:
    """A head that nobody knows; what the ledger has in and Alembic not; what is in in part."""
    unknown = adoption(("b", "zz"), SCRIPTS, ledger("a"))
    more = adoption(("b",), SCRIPTS, ledger("a", "c"))
    partly = adoption(("b",), SCRIPTS, ledger("a", state=State.PARTIAL))
    assert ([one.what for one in unknown.faults], unknown.scripts) == (
        ["zz is in Alembic's table, and no file is of it"],
        (),
    )
    assert ([one.file for one in more.faults], more.scripts) == (["c.py"], ())
    assert ([one.what for one in partly.faults], partly.scripts) == (["is in in part, as the ledger has it"], ())


def test_x7_a_revision_that_no_file_is_of_is_a_difference() -> None:
    """An older image came back: all of it is in, and more; with something pending beside it, a person has to look."""
    ahead = with_alembic(compare(SCRIPTS, ledger(*PARENTS)), ("zz",), SCRIPTS)
    behind = with_alembic(compare(SCRIPTS, ()), ("zz",), SCRIPTS)
    assert ([one.kind for one in ahead.differences], ahead.is_ahead) == ([Kind.UNKNOWN_REVISION], True)
    assert ([one.kind for one in behind.differences], behind.is_ahead) == ([Kind.UNKNOWN_REVISION], False)
    assert compare(SCRIPTS, ledger(*PARENTS)).is_ahead is False


def test_both_tell_the_same_or_it_is_told() -> None:
    """Without a table there is nothing to differ from."""
    assert found(None, "a") == []
    assert found(("b", "c"), "a", "b", "c") == []
    assert (
        found(
            (),
        )
        == []
    )
    assert found(("d",)) == [(Kind.UNADOPTED, "d")]
    assert found(("a",), "a", "b") == [(Kind.TAKEN_BACK, "b")]
    assert found(("c",), "a", "b") == [(Kind.UNADOPTED, "c"), (Kind.TAKEN_BACK, "b")]
    (alone,) = with_alembic(compare(SCRIPTS, ()), ("a",), SCRIPTS).differences
    (several,) = with_alembic(compare(SCRIPTS, ()), ("d",), SCRIPTS).differences
    assert ("before it" in alone.what, "with 3 before it" in several.what) == (False, True)


@pytest.mark.parametrize(
    ("heads", "revision", "is_in", "after"),
    [
        ((), "a", True, ("a",)),
        (("a",), "b", True, ("b",)),
        (("b",), "c", True, ("b", "c")),
        (("b", "c"), "d", True, ("d",)),
        (("d",), "b", True, ("d",)),
        (("d",), "d", True, ("d",)),
        (("d",), "d", False, ("b", "c")),
        (("b", "c"), "c", False, ("b",)),
        (("b",), "b", False, ("a",)),
        (("a",), "a", False, ()),
        (("d",), "b", False, ("d",)),
        (("zz",), "a", True, ("a", "zz")),
    ],
)
def test_the_table_moves_as_alembics_own(
    heads: tuple[str, ...],
    revision: str,
    is_in: bool,  # noqa: FBT001
    after: tuple[str, ...],
) -> None:
    """In, and out again; what others follow changes nothing."""
    assert moved(heads, revision, PARENTS, is_in=is_in) == after


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Draw a graph without circles."""
    count = draw(st.integers(1, 12))
    return {
        f"r{one:02}": tuple(
            sorted({f"r{draw(st.integers(0, one - 1)):02}" for _ in range(draw(st.integers(0, 3)))}) if one else ()
        )
        for one in range(count)
    }


@given(graphs(), st.randoms(use_true_random=False))
def test_any_graph_is_walked_as_a_whole(parents: dict[str, tuple[str, ...]], chance: object) -> None:
    """Each is once in the order, behind its parents; one by one the table holds the ends of what is in, and back the same way."""
    names = {one: str(chance.random()) for one in parents}  # type: ignore[attr-defined]
    order = in_order(parents, names)
    assert sorted(order) == sorted(parents)
    heads: tuple[str, ...] = ()
    before = []
    for number, one in enumerate(order):
        assert set(parents[one]) <= set(order[:number])
        before.append(heads)
        heads = moved(heads, one, parents, is_in=True)
        assert set(heads) == set(ends(order[: number + 1], parents))
    assert {*heads, *ancestors(heads, parents)} == set(parents)
    for one in reversed(order):
        heads = moved(heads, one, parents, is_in=False)
        assert set(heads) == set(before.pop())


def test_what_failed_leaves_a_revision_where_it_stood() -> None:
    """So that no table moves for it."""
    assert standing_by(State.FAILED) is None
    assert (standing_by(State.IMPORTED), standing_by(State.ROLLED_BACK)) == (Standing.IN, Standing.OUT)


def test_a_branch_that_is_not_in_is_not_late() -> None:
    """Only what something follows that is in has come too late; the order within a graph is nobody's claim."""
    kinds = {one.kind for one in compare(SCRIPTS, ledger("a", "c")).differences}
    late = [(one.kind, one.name) for one in compare(SCRIPTS, ledger("a", "c", "d")).differences]
    assert (kinds, late) == (set(), [(Kind.OUT_OF_ORDER, "b")])
    assert compare(SCRIPTS, ledger("a", "c", "b", "d", "e")).differences == ()


def test_x5_several_ends_are_told_with_the_command_that_joins_them() -> None:
    """Both of them, and nothing runs until they are one."""
    scripts = scripts_of({"a": (), "b": ("a",), "c": ("a",)})
    differences = compare(scripts, ledger("a")).differences
    assert [(one.kind, one.name) for one in differences] == [(Kind.SEVERAL_HEADS, "b"), (Kind.SEVERAL_HEADS, "c")]
    assert "alembic merge -m '...' b c" in differences[0].helps
    assert parents_of(scripts) == {"a": (), "b": ("a",), "c": ("a",)}
