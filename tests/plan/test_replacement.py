"""What is found out about a database before another may take its place, and how what hangs on it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.restore import Replaced, SideEffect, StatedPlan
from dbcustody.contract import ReplaceTerms, RestoreTerms
from dbcustody.plan.replacement import (
    Live,
    confirmation,
    confirmation_after,
    incoming_name,
    judge_replacement,
    kept_name,
    undo_plan,
    with_replacement,
)
from dbcustody.reason import Reason

LIVE = Live(
    name="shop",
    oid=16384,
    owner="app",
    role="restorer",
    is_superuser=False,
    may_create_databases=True,
    system_identifier="7",
)
TERMS = RestoreTerms(
    database="incoming",
    mark="m",
    replace=ReplaceTerms(custody_id="team.shop", confirm="shop@7/16384", keep_old_seconds=60),
)


def reasons(live: Live, **terms: Any) -> list[tuple[str, str]]:
    """Return reason and text of every obstacle."""
    found = judge_replacement(live, replace(TERMS, **terms), database_name="shop", maintenance="postgres")
    return [(one.reason.value, one.text) for one in found.obstacles]


def test_nothing_stands_in_the_way() -> None:
    """A role that owns it, and a name and a server that were confirmed."""
    assert reasons(LIVE) == []


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param({"name": "template1"}, Reason.INVALID_SPEC, "never taken", id="template"),
        pytest.param({"is_template": True}, Reason.INVALID_SPEC, "never taken", id="somebody-s-template"),
        pytest.param({"name": "postgres"}, Reason.INVALID_SPEC, "never taken", id="maintenance"),
        pytest.param({"is_open": False}, Reason.TARGET_IN_USE, "--recover", id="shut"),
        pytest.param({"system_identifier": "8"}, Reason.NOT_CONFIRMED, "shop@8/16384", id="another-server"),
        pytest.param({"oid": 16385}, Reason.NOT_CONFIRMED, "would replace shop@7/16385", id="another-database"),
        pytest.param({"system_identifier": None}, Reason.NOT_CONFIRMED, "pg_control_system", id="unknown-server"),
        pytest.param({"is_ours": False}, Reason.PRIVILEGES_MISSING, 'GRANT "app" TO "restorer";', id="not-owner"),
        pytest.param({"may_create_databases": False}, Reason.PRIVILEGES_MISSING, "CREATEDB", id="no-createdb"),
        pytest.param({"prepared": 2}, Reason.TARGET_IN_USE, "2 prepared", id="prepared"),
        pytest.param({"unendable": ("postgres (psql, pid 7)",)}, Reason.SESSIONS_HELD, "pid 7", id="superuser"),
    ],
)
def test_one_thing_stands_in_the_way(changes: dict[str, Any], reason: Reason, words: str) -> None:
    """Each with its reason and what helps."""
    (found,) = reasons(replace(LIVE, **changes))
    assert (found[0], words in found[1]) == (reason.value, True), found


def test_a_superuser_needs_no_rights() -> None:
    """It may rename whatever there is."""
    assert reasons(replace(LIVE, is_superuser=True, is_ours=False, may_create_databases=False)) == []


HUNG = replace(
    LIVE,
    slots=(("audit", False, False), ("mirror", True, True)),
    subscriptions=("feed",),
    cron_jobs=("nightly",),
    foreign_servers=("ledger",),
    convention="CloudNativePG",
)


def test_what_hangs_on_it_has_to_be_accepted() -> None:
    """Each kind by name; an active reader is not accepted at all."""
    others = {SideEffect.SKIPPED_OBJECTS, SideEffect.OTHER_DATABASE, SideEffect.NOT_CAPTURED}
    kinds = [one for one in SideEffect if one not in others]
    assert [text.split(maxsplit=1)[0] for reason, text in reasons(HUNG) if reason == "AcknowledgementNeeded"] == kinds
    assert [(reason, "mirror" in text) for reason, text in reasons(HUNG, acknowledge=tuple(SideEffect))] == [
        ("TargetInUse", True)
    ]


def test_a_number_without_the_database_confirms_nothing() -> None:
    """It would go for every later swap too; the text that is right is told, so that it can be copied."""
    assert TERMS.replace is not None
    for said, words in (("shop@7", "every later swap"), ("shop@8", "would replace"), ("shop@7/1", "would replace")):
        ((reason, text),) = reasons(LIVE, replace=replace(TERMS.replace, confirm=said))
        assert (reason, words in text, text.endswith("shop@7/16384")) == ("NotConfirmed", True, True), text


def test_what_confirms_the_next_swap() -> None:
    """The same server, and the database that took the place."""
    assert confirmation_after("shop@7/16384", 16390) == confirmation("shop", "7", 16390) == "shop@7/16390"


def test_the_plan_names_what_it_replaces() -> None:
    """With the text that confirms it, also while another one was given; nothing where the role may not know the server."""

    def told(live: Live) -> Replaced | None:
        found = judge_replacement(live, TERMS, database_name="shop", maintenance="postgres")
        return with_replacement(StatedPlan(hash="abc"), found).replaces

    expected = Replaced(database="shop", oid=7, owner="app", system_identifier="7", size_bytes=9, confirm="shop@7/7")
    assert told(replace(LIVE, oid=7, size_bytes=9)) == expected
    unknown = told(replace(LIVE, system_identifier=None))
    assert unknown is not None
    assert (unknown.system_identifier, unknown.size_bytes, unknown.confirm) == (None, None, None)


def test_the_hash_is_of_everything_that_is_done() -> None:
    """Another database, another slot or another backup is another plan."""

    def hashed(live: Live, plan: str = "abc") -> str:
        found = judge_replacement(live, TERMS, database_name="shop", maintenance="postgres")
        return with_replacement(StatedPlan(hash=plan), found).hash

    hashes = [hashed(LIVE), hashed(replace(LIVE, oid=1)), hashed(HUNG), hashed(LIVE, "abd")]
    assert (len(set(hashes)), hashed(LIVE)) == (4, hashes[0])


def test_an_undo_is_planned() -> None:
    """With the same obstacles, and one more when nothing is kept."""
    found = judge_replacement(replace(LIVE, prepared=1), TERMS, database_name="shop", maintenance="postgres")
    assert [one.reason for one in undo_plan(17, found).obstacles] == ["TargetInUse"]
    assert [one.reason for one in undo_plan(None, found).obstacles] == ["NothingToUndo", "TargetInUse"]
    assert undo_plan(17, found).hash != undo_plan(18, found).hash


@given(st.text(min_size=1).filter(lambda name: "\0" not in name), st.text())
def test_names_fit_whatever_they_are_made_of(live: str, mark: str) -> None:
    """The server would cut them, and two of them could be one."""
    assert len(kept_name(live, mark).encode()) <= 63
    assert len(incoming_name(mark)) <= 63
    assert kept_name(live, mark) != kept_name(live, mark + "x")
