"""`kubectl dbcustody approve` and `deny`: the plan is shown, and one Approval of that very plan is written; nothing without a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import Resource, ours
from dbcustody.naming import ANNOTATION_REQUESTED_BY
from tests.fakes.counter import Counter, FakeServer
from tests.fakes.glances import request, said
from tests.fakes.migration_plane import FILE, TO_DO, asking, looked
from tests.gitops.bodies import body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

APPROVALS = ours("approvals")
PENDING = said("Approved", "Unknown", "ApprovalPending", "somebody else than jane must agree to plan abcdef")
PLAN = {"hash": "abcdef", "remarks": ["roles are created\x1b[2J"], "rolesToCreate": ["shop"], "withOwnership": False}


class Stamping(FakeServer):
    """An API server whose policies write down who creates an Approval."""

    who: str | None = "ivan"

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as created, in the name of *who* (None: there are no policies)."""
        if resource == APPROVALS and self.who is not None:
            body = {**body, "spec": {**body["spec"], "approver": self.who}}
        return await super().create(resource, namespace, body)


@pytest.fixture
def counter() -> Counter:
    """Return ivan's counter before a restore of jane's whose plan waits."""
    made = Counter()
    made.kube = Stamping(now=lambda: made.now)
    asked = request("again", PENDING, plan=PLAN, source="monday", target="shop/shop_again")
    asked["metadata"]["annotations"] = {ANNOTATION_REQUESTED_BY: "jane"}
    made.kube.have(asked)
    return made


def act_as(counter: Counter, who: str | None) -> None:
    """Have somebody else stand at the counter."""
    assert isinstance(counter.kube, Stamping)
    counter.kube.who = who


@pytest.mark.parametrize(("word", "decision", "name"), [
    ("approve", "Approve", "again-approved-20260131-120000"), ("deny", "Deny", "again-denied-20260131-120000"),
])  # fmt: skip
def test_the_plan_is_shown_and_decided_on(
    counter: Counter, capsys: pytest.CaptureFixture[str], *, word: str, decision: str, name: str
) -> None:
    """The Approval's name alone on standard output; who decides is left to the API server."""
    assert counter.type(word, "again", "--reason", "looked at") == 0
    out, err = capsys.readouterr()
    assert out == f"{name}\n"
    assert err.splitlines() == [
        "RestoreRequest again (asked for by jane): plan abcdef",
        "  monday -> shop/shop_again",
        "  roles that are created: shop",
        "  without owners and rights",
        "  roles are created [2J",
    ]
    (made,) = counter.kube.all(APPROVALS)
    assert made["spec"] == {
        "requestRef": {"kind": "RestoreRequest", "name": "again"},
        "planHash": "abcdef",
        "decision": decision,
        "reason": "looked at",
        "approver": "ivan",
    }


def test_the_migrations_of_a_plan_are_shown(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its risk, and how many there are besides."""
    plane = looked(replace(TO_DO, pending=3), of=asking())
    counter.kube.have(body_of(plane.migration) | {"metadata": {
        "name": "shop", "namespace": "team", "annotations": {ANNOTATION_REQUESTED_BY: "jane"}
    }})  # fmt: skip
    assert counter.type("approve", "shop", "--kind", "pgmig") == 0
    digest = plane.migration.status.source_digest
    assert capsys.readouterr().err.splitlines() == [
        "DatabaseMigration shop (asked for by jane): plan abcdef",
        f"  into shop, from the source {digest}",
        f"  {FILE}: Safe",
        "  and 2 more",
    ]
    (made,) = counter.kube.all(APPROVALS)
    assert made["spec"]["requestRef"] == {"kind": "DatabaseMigration", "name": "shop"}


@pytest.mark.parametrize(
    ("who", "why"), [("jane", "jane asked for it: somebody else has to decide"), (None, "no admission policy")]
)
def test_what_will_not_count_is_told(
    counter: Counter, capsys: pytest.CaptureFixture[str], who: str | None, why: str
) -> None:
    """At once, and with 1: the operator would only say it later."""
    act_as(counter, who)
    assert counter.type("approve", "again") == 1
    assert f"will not count, because {why}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("approve", "none"), 1, "RestoreRequest none: is not there in namespace team"),
        (("approve", "young"), 1, "asks nobody, or has not told its plan yet"),
        (("deny", "done"), 1, "has no plan that waits for a person (Denied: ivan refused plan abcdef)"),
        (("approve", "again", "--plan", "fedcba"), 1, "tells plan abcdef now, not fedcba"),
        (("approve", "again", "--kind", "backup"), 64, "--kind backup: asks nobody; there are: restorerequest"),
        (("approve", "again", "--kind", "pod"), 64, "pod: is no kind of dbcustody.dev"),
    ],
)
def test_without_a_plan_that_waits_nothing_is_written(
    counter: Counter, capsys: pytest.CaptureFixture[str], *, words: tuple[str, ...], code: int, why: str
) -> None:
    """Nobody agrees to what he cannot have read."""
    over = said("Approved", "False", "Denied", "ivan refused plan abcdef")
    counter.kube.have(request("young"), request("done", over, said("Finished", "True", "Denied"), plan=PLAN))
    assert counter.type(*words) == code
    assert why in capsys.readouterr().err
    assert counter.kube.all(APPROVALS) == []


def test_the_plan_that_was_read_can_be_named(counter: Counter) -> None:
    """By whoever looked at it elsewhere; the kind by any of its names."""
    assert counter.type("approve", "again", "--plan", "abcdef", "--kind", "pgrst") == 0


def test_a_bare_plan_of_nobody_s_is_shown(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is to say of it."""
    counter.kube.have(request("bare", PENDING, plan={"hash": "0a"}))
    assert counter.type("deny", "bare") == 0
    assert capsys.readouterr().err.splitlines() == [
        "RestoreRequest bare (asked for by nobody knows who): plan 0a",
        "   -> ",
    ]


def test_status_tells_what_to_type(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that waits needs a person at once; nobody has to be allowed to list Approvals."""
    assert counter.type("status") == 2
    told = capsys.readouterr().out
    assert "restorerequests.dbcustody.dev/again in team: ApprovalPending" in told
    assert "$ kubectl dbcustody approve again -n team" in told
    assert "approvals" not in {call.plural for call in counter.kube.calls}
