"""Drift: the last fingerprint against what is there now; what cannot be known is never said to be the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.migration.catalogue import Catalogue, make_catalogue
from dbcustody.migration.drift import (
    Drift,
    Likeness,
    Moment,
    Print,
    Taken,
    is_of,
    judge_drift,
    known_fingerprint,
    present_revisions,
    take,
)
from dbcustody.migration.fingerprint import FORMAT
from dbcustody.migration.ledger import Attempt, State


def catalogue(*tables: str, view: str = "SELECT people.id") -> Catalogue:
    """Return one with tables, and a view that each major writes otherwise."""
    rows = [("table", ["public", name], {}) for name in tables]
    return make_catalogue([*rows, ("view", ["public", "v"], {"definition": view})])


def taken(found: Catalogue, *exclude: str, major: int = 17) -> Taken:
    """Return what was taken, without what is excluded."""
    return take(found.without(exclude), exclude=exclude, server_major=major)


def printed(found: Taken, attempt: int | None = 1) -> Print:
    """Return what the ledger says of it."""
    return Print(
        fingerprint=found.fingerprint,
        format=FORMAT,
        exclude=found.exclude,
        server_major=found.server_major,
        moment=Moment.AFTER,
        attempt=attempt,
    )


OLD = taken(catalogue("people"))
NEW = taken(catalogue("people", "tmp"))


def judged(before: Taken, now: Taken, *, is_kept: bool = True) -> Drift:
    """Return how *now* stands to what was written down *before*."""
    return judge_drift(printed(before), before.catalogue if is_kept else None, now)


def test_the_globs_are_a_set() -> None:
    """In whatever order they were given, and how often."""
    assert take(catalogue(), exclude=["b.*", "a.*", "b.*"], server_major=17).exclude == ("a.*", "b.*")


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_same_is_no_drift(is_kept: bool) -> None:  # noqa: FBT001
    """Whether or not the catalogue was kept."""
    drift = judged(OLD, taken(catalogue("people")), is_kept=is_kept)
    assert (drift.likeness, drift.changes, drift.told) == (Likeness.SAME, (), "as it was left")
    assert drift.found == drift.expected == OLD.fingerprint


def test_a_change_is_drift_and_told() -> None:
    """With both fingerprints."""
    drift = judged(OLD, NEW)
    assert (drift.likeness, drift.told) == (Likeness.DRIFTED, "Added table public.tmp")
    assert (drift.found, drift.expected) == (NEW.fingerprint, OLD.fingerprint)


def test_without_the_catalogue_it_is_drift_nevertheless() -> None:
    """In what is not known, and said to be so."""
    drift = judged(OLD, NEW, is_kept=False)
    assert (drift.likeness, drift.changes, drift.told) == (
        Likeness.DRIFTED,
        (),
        "it is not known in what: the last catalogue was not kept",
    )


def test_much_is_told_in_short() -> None:
    """The rest is counted."""
    drift = judged(OLD, taken(catalogue("people", *(f"t{number}" for number in range(10, 23)))))
    assert drift.told.endswith("Added table public.t19; and 3 more")
    assert len(drift.changes) == 13


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (None, "no fingerprint was ever taken"),
        (replace(printed(OLD), fingerprint=None), "no fingerprint was to be had"),
        (replace(printed(OLD), format=FORMAT + 1), f"of format {FORMAT + 1}"),
        (replace(printed(OLD), server_major=16), "its catalogue was not kept"),
        (replace(printed(OLD), exclude=("audit.*",)), "its catalogue was not kept"),
    ],
)
def test_what_cannot_be_known_is_said_to_be_unknown(last: Print | None, why: str) -> None:
    """Not that nothing has drifted; the same schema or another."""
    for now in (OLD, NEW):
        drift = judge_drift(last, None, now)
        assert (drift.likeness, why in drift.why, drift.changes) == (Likeness.UNKNOWN, True, ())
        assert drift.told == drift.why


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (taken(catalogue("people", "tmp")), taken(catalogue("people"), "public.tmp")),
        (taken(catalogue("people"), "public.tmp"), taken(catalogue("people", "tmp"))),
        (taken(catalogue("people", "a"), "public.b"), taken(catalogue("people", "b"), "public.a")),
        (taken(catalogue("people")), taken(catalogue("people", view="SELECT id"), major=18)),
    ],
)
def test_what_is_not_looked_at_by_one_is_not_compared(before: Taken, now: Taken) -> None:
    """Other globs, or another major, are no drift by themselves."""
    assert judged(before, now).likeness is Likeness.SAME


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (taken(catalogue("people", "tmp")), taken(catalogue(), "public.tmp")),
        (taken(catalogue("people"), "public.tmp"), taken(catalogue("tmp"))),
        (taken(catalogue("people")), taken(catalogue(view="SELECT id"), major=18)),
    ],
)
def test_what_is_looked_at_by_both_is_compared(before: Taken, now: Taken) -> None:
    """Object by object, where the fingerprints by themselves tell nothing."""
    drift = judged(before, now)
    assert (drift.likeness, drift.told) == (Likeness.DRIFTED, "Missing table public.people")


def test_when_nothing_new_would_be_written_down() -> None:
    """The same, looked at in the same way."""
    last = printed(OLD)
    assert is_of(last, OLD)
    others = (NEW, replace(OLD, exclude=("a.*",)), replace(OLD, server_major=18))
    assert not any(is_of(last, now) for now in others)
    assert not is_of(replace(last, format=FORMAT + 1), OLD)


def attempt(ordinal: int, revision: str, state: State = State.APPLIED) -> Attempt:
    """Return a row of the ledger."""
    return Attempt(ordinal=ordinal, revision=revision, name=revision, state=state, checksum=None)


ATTEMPTS = (attempt(1, "a"), attempt(2, "b"), attempt(3, "b", State.ROLLED_BACK), attempt(4, "c", State.FAILED))


def test_which_were_in_by_then() -> None:
    """As the ledger has it up to a row."""
    found = [present_revisions(ATTEMPTS, until=until) for until in (0, 1, 2, 3, None)]
    assert found == [set(), {"a"}, {"a", "b"}, {"a"}, {"a"}]


def test_a_fingerprint_is_known_by_what_was_in() -> None:
    """The last one of just these; of other globs, formats or majors none."""
    first, second, third = (taken(catalogue(name)) for name in ("one", "two", "three"))
    prints = (printed(taken(catalogue()), None), printed(first, 1), printed(second, 2), printed(third, 3))
    now = taken(catalogue("now"))

    def known(*revisions: str, now: Taken = now) -> str | None:
        return known_fingerprint(ATTEMPTS, prints, frozenset(revisions), now)

    assert known() == taken(catalogue()).fingerprint
    assert (known("a"), known("a", "b")) == (third.fingerprint, second.fingerprint)
    assert (known("b"), known("a", "c")) == (None, None)
    assert (known("a", now=replace(now, exclude=("x",))), known("a", now=replace(now, server_major=18))) == (None, None)


def test_what_a_run_left_that_was_cut_short_is_unknown() -> None:
    """Also where it looks the same: something came in that no fingerprint was taken of."""
    last = replace(printed(OLD), is_outdated=True)
    drift = judge_drift(last, OLD.catalogue, NEW)
    assert (drift.likeness, drift.expected) == (Likeness.UNKNOWN, OLD.fingerprint)
    assert drift.told.startswith("since the last fingerprint a run was cut short")
    assert not is_of(last, OLD)
