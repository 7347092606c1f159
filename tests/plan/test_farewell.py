"""What stays where when our finalizer is taken off without an operator, and when that must not be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from dbcustody.naming import FINALIZER
from dbcustody.plan.checkup import LEASE_PATIENCE
from dbcustody.plan.farewell import held, living_operator
from tests.fakes.glances import body, said
from tests.fakes.seen import NOW

FINISHED = said("Finished", "True", "Succeeded")
WEB = {"kind": "Deployment", "name": "web", "replicas": 3}
OLD = {"name": "shop_old", "keptTime": "2026-01-31T11:00:00Z", "dropAfter": "2026-02-01T11:00:00Z"}


def kept(kind: Kind, *conditions: Any, finalizers: tuple[str, ...] = (FINALIZER,), **status: Any) -> Any:
    """Return a resource of *kind* with *finalizers*, as the API server gives it."""
    found = body(kind, "a", *conditions, **status)
    found["metadata"] |= {"resourceVersion": "7", "finalizers": list(finalizers)}
    return found


@pytest.mark.parametrize("kind", Kind, ids=str)
@pytest.mark.parametrize("finalizers", [(), ("orphan",)], ids=["none", "somebody else's"])
def test_what_is_not_kept_by_us_is_left_alone(kind: Kind, finalizers: tuple[str, ...]) -> None:
    """Also where there is no such field."""
    assert held(kind, kept(kind, finalizers=finalizers)) is None
    assert held(kind, body(kind, "a")) is None


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_our_finalizer_is_found_on_every_kind(kind: Kind) -> None:
    """With its place, and whether it goes at once."""
    found = held(kind, kept(kind))
    assert found is not None
    assert found.place == f"team/{kind.value.lower()}/a"
    assert not found.is_going
    going = kept(kind)
    going["metadata"]["deletionTimestamp"] = "2026-01-31T11:59:00Z"
    assert getattr(held(kind, going), "is_going", None) is True


def test_only_ours_is_taken_off_and_only_from_what_was_read() -> None:
    """Others keep theirs; the version makes a write in between a conflict."""
    alone, beside = held(Kind.BACKUP, kept(Kind.BACKUP)), kept(Kind.BACKUP, finalizers=("orphan", FINALIZER, "a/b"))
    assert alone is not None
    assert alone.patch == {"metadata": {"resourceVersion": "7", "finalizers": None}}
    found = held(Kind.BACKUP, beside)
    assert found is not None
    assert found.patch == {"metadata": {"resourceVersion": "7", "finalizers": ["orphan", "a/b"]}}


LEFT = [
    pytest.param(Kind.BACKUP, (), {"artefact": {"location": "s3://b/x", "stored": "1Mi"}},
                 "the data stays in s3://b/x: nobody deletes it with the resource", id="data"),
    pytest.param(Kind.BACKUP, (), {},
                 "the data stays in its storage, if anything was written: nobody deletes it with the resource", id="unknown data"),
    pytest.param(Kind.BACKUP, (FINISHED, said("Uploaded", "False", "DataDeleted")), {"artefact": {"location": "s3://b/x", "stored": "1Mi"}},
                 "its data was deleted before", id="deleted data"),
    pytest.param(Kind.BACKUP, (said("Uploaded", "False", "DataVanished"),), {"artefact": {"location": "s3://b/x", "stored": "1Mi"}},
                 "the data stays in s3://b/x: nobody deletes it with the resource", id="data that was missed"),
    pytest.param(Kind.DATABASE, (), {}, "nothing of it lies elsewhere", id="a kind that has none today"),
    pytest.param(Kind.RESTORE_REQUEST, (FINISHED,), {}, "it is over", id="over"),
    pytest.param(Kind.RESTORE_REQUEST, (FINISHED,), {"oldDatabase": OLD},
                 "it is over; the old database shop_old stays on the server: nobody drops it", id="over, old kept"),
    pytest.param(Kind.RESTORE_REQUEST, (FINISHED,), {"oldDatabase": {**OLD, "droppedTime": "2026-01-31T11:30:00Z"}},
                 "it is over", id="over, old dropped"),
    pytest.param(Kind.RESTORE_REQUEST, (said("Finished", "False", "Running"),), {},
                 "it is not over, and its database may be shut: `dbcustody restore --recover` opens it", id="under way"),
    pytest.param(Kind.RESTORE_REQUEST, (), {"workloads": [WEB, {**WEB, "name": "up", "resumed": True}], "oldDatabase": OLD},
                 "it is not over, and its database may be shut: `dbcustody restore --recover` opens it"
                 "; the old database shop_old stays on the server: nobody drops it; scale back by hand: Deployment web (3)",
                 id="under way, workloads down"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "conditions", "status", "stays"), LEFT)
def test_what_stays_is_said(kind: Kind, conditions: tuple[Any, ...], status: Any, stays: str) -> None:
    """Where it lies, and what a person has to do."""
    found = held(kind, kept(kind, *conditions, **status))
    assert found is not None
    assert found.stays == stays


def test_what_was_never_looked_at_can_go_too() -> None:
    """A resource without any status."""
    for kind in (Kind.BACKUP, Kind.RESTORE_REQUEST):
        new = kept(kind)
        del new["status"]
        assert held(kind, new) is not None


def lease(age: timedelta, holder: str | None = "op-1_a") -> Any:
    """Return a Lease that was renewed *age* ago."""
    return {"spec": {"holderIdentity": holder, "renewTime": format_time(NOW - age)}}


def test_an_operator_lives_while_it_renews_its_lease() -> None:
    """One that has not for a minute is gone, and one that gave the Lease back holds nothing."""
    assert living_operator(lease(LEASE_PATIENCE), NOW) == "op-1_a, renewed 60 s ago"
    assert living_operator(lease(LEASE_PATIENCE + timedelta(seconds=1)), NOW) is None
    assert living_operator(lease(timedelta(), holder=None), NOW) is None
    assert living_operator({}, NOW) is None
