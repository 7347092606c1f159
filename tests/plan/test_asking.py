"""What is typed becomes exactly one resource, or is refused with what there is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dbcustody.api.approval import Approvable, Approval, ApprovalSpec, Decision, RequestRef
from dbcustody.api.backup import Backup
from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind, ObjectRef
from dbcustody.api.restore import MissingRoles, Mode, RestoreRequest, SideEffect
from dbcustody.codec import format_time
from dbcustody.errors import InvalidSpecError
from dbcustody.naming import is_dns_label
from dbcustody.plan.asking import (
    RestoreWish,
    approval_body,
    backup_body,
    check_wish,
    choose_policy,
    database_of,
    live_oid,
    names_from,
    read_kind,
    read_place,
    restore_body,
)
from tests.fakes.glances import backup, glance, policy, request, said
from tests.fakes.seen import NOW, ago


def policies(*bodies: dict[str, Any]) -> list[Glance]:
    """Return policies, read."""
    return [Glance.from_body(Kind.BACKUP_POLICY, body) for body in bodies]


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_is_known_by_each_of_its_names(kind: Kind) -> None:
    """As kubectl takes them."""
    names = (kind.value, kind.value.lower(), kind.plural, kind.short_name, f"{kind.plural}.dbcustody.dev")
    assert {read_kind(name) for name in names} == {kind}
    assert read_place(f"{kind.short_name}/shop") == (kind, "shop")


@pytest.mark.parametrize("text", ["pods/shop", "backup", "backup/", "/shop"])
def test_anything_else_is_no_place(text: str) -> None:
    """It is refused with what would be right."""
    with pytest.raises(InvalidSpecError):
        read_place(text)


def test_the_only_policy_needs_no_name() -> None:
    """With two, each of them is named."""
    one, two, other = policy("nightly"), policy("hourly"), policy("theirs", database="else")
    assert choose_policy("shop", policies(one, other), None) == "nightly"
    assert choose_policy("shop", policies(one, two, other), "hourly") == "hourly"
    with pytest.raises(InvalidSpecError, match=r"2 policies \(hourly, nightly\); one must be named with --policy"):
        choose_policy("shop", policies(one, two, other), None)
    with pytest.raises(InvalidSpecError, match=r"--policy theirs: .* there are: nightly"):
        choose_policy("shop", policies(one, other), "theirs")
    with pytest.raises(InvalidSpecError, match="create a BackupPolicy first"):
        choose_policy("shop", policies(other), None)


@pytest.mark.parametrize("front", ["shop", "s" * 63, "restore-Shop_Again", "a" * 46 + ".b"])
def test_names_are_new_and_fit(front: str) -> None:
    """Every one is a label, and none is like another."""
    names = list(names_from(front, NOW))
    assert len(set(names)) == len(names) == 9
    assert all(is_dns_label(name) for name in names)
    assert names[0].endswith("-20260131-120000")
    assert re.fullmatch(r".*-20260131-120000-2", names[1])


def test_a_backup_says_whose_and_how() -> None:
    """The operator reads from it what was asked."""
    spec = Backup.from_body(backup_body("now", database="shop", policy="nightly")).spec
    assert (spec.database_ref, spec.policy_ref) == (ObjectRef(name="shop"), ObjectRef(name="nightly"))


def test_a_wish_becomes_a_request() -> None:
    """Each word of it is where the operator looks for it."""
    wish = RestoreWish(
        into="shop_again", storage="main", custody_id="team.shop", missing_roles=MissingRoles.CREATE, parallelism=4
    )
    spec = RestoreRequest.from_body(restore_body("again", wish, database="shop")).spec
    assert spec.source is not None
    assert (spec.source.storage_ref, spec.source.custody_id) == (ObjectRef(name="main"), "team.shop")
    assert (spec.source.backup_ref, spec.source.policy_ref, spec.source.backup_id) == (None, None, None)
    assert (spec.target.database_ref.name, spec.target.database) == ("shop", "shop_again")
    assert (spec.missing_roles, spec.parallelism) == (MissingRoles.CREATE, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "exactly one source"),
        ({"backup": "a", "policy": "b"}, "exactly one source"),
        ({"backup": "a", "before": NOW}, "--policy only"),
        ({"storage": "main"}, "needs --custody"),
        ({"storage": "main", "custody_id": "team.shop"}, "needs --on"),
        ({"backup": "a", "custody_id": "team.shop"}, "--storage only"),
        ({"policy": "a", "backup_id": "b"}, "--storage only"),
        ({"backup": "a", "replace": "shop"}, "exactly one must be given: --into, --replace or --undo"),
        ({"backup": "a", "confirm": "shop@7"}, "go with --replace or --undo only"),
        ({"backup": "a", "keep_old_seconds": 0}, "go with --replace or --undo only"),
        ({"backup": "a", "no_safety_backup": True}, "go with --replace or --undo only"),
        ({"backup": "a", "acknowledge": (SideEffect.CRON_JOBS,)}, "go with --replace or --undo only"),
        ({"into": None, "backup": "a", "replace": "shop", "database": "shop"}, "--on: goes with --into only"),
        ({"into": None, "backup": "a", "undo": "back"}, "--undo: takes no source"),
        ({"into": None, "replace": "shop"}, "exactly one source"),
        ({"into": None, "backup": "a"}, "exactly one must be given"),
    ],
)
def test_half_a_wish_is_refused(words: dict[str, Any], said: str) -> None:
    """Before anything is asked of the cluster."""
    with pytest.raises(InvalidSpecError, match=said):
        check_wish(RestoreWish(**{"into": "new", **words}))


@pytest.mark.parametrize(
    "words",
    [
        {"backup": "a"},
        {"policy": "a", "before": NOW},
        {"storage": "main", "custody_id": "team.shop", "database": "shop", "backup_id": "b"},
        {"into": None, "replace": "shop", "storage": "main", "custody_id": "team.shop"},
        {"into": None, "undo": "back"},
    ],
)
def test_a_whole_wish_is_not(words: dict[str, Any]) -> None:
    """Each of the three sources alone, and none for what is put back."""
    check_wish(RestoreWish(**{"into": "new", **words}))


def test_a_place_is_taken_as_it_was_confirmed() -> None:
    """What was not said is as the CRD has it; an undo names no source."""
    wish = RestoreWish(replace="shop", backup="a", confirm="shop@7")
    taken = RestoreRequest.from_body(restore_body("back", wish, database="shop")).spec
    assert (taken.mode, taken.confirm, taken.target.database, taken.undo_of) == (Mode.REPLACE, "shop@7", None, None)
    assert (taken.safety_backup, taken.keep_old_seconds, taken.acknowledge) == (True, 86_400, ())
    undo = RestoreWish(undo="back", confirm="shop@7", keep_old_seconds=0, no_safety_backup=True, approval=True)
    body = restore_body("undo", undo, database="shop")
    undone = RestoreRequest.from_body(body).spec
    assert ("source" in body["spec"], undone.undo_of, undone.keep_old_seconds) == (False, ObjectRef(name="back"), 0)
    assert (undone.safety_backup, undone.approval.required) == (False, True)


def test_the_database_of_a_resource_is_found() -> None:
    """It is said there, or by the policy that is named, or not at all."""
    by_policy = Glance.from_body(Kind.BACKUP, backup("a", spec={"policyRef": {"name": "nightly"}}))
    assert database_of(Glance.from_body(Kind.RESTORE_REQUEST, request("again"))) == "shop"
    assert database_of(Glance.from_body(Kind.BACKUP, backup("a"))) == "shop"
    assert database_of(by_policy, policies(policy("hourly", database="no"), policy("nightly"))) == "shop"
    assert database_of(by_policy, policies(policy("nightly", namespace="other"))) is None


def test_an_approval_is_of_one_plan_and_in_nobody_s_name() -> None:
    """Who decided is for the API server to write."""
    about = RequestRef(kind=Approvable.RESTORE_REQUEST, name="again")
    body = approval_body("yes", request=about, plan_hash="abc", decision=Decision.DENY, reason=None)
    assert Approval.from_body(body).spec == ApprovalSpec(request_ref=about, plan_hash="abc", decision=Decision.DENY)
    assert body["spec"].keys() == {"requestRef", "planHash", "decision"}


def test_what_is_live_is_told_by_whoever_knows_it_last() -> None:
    """The request whose database took the place, until the Database is looked at again; one that runs, or tells nothing, is not asked."""

    def over(name: str, *, ended: int, oid: int | None, status: str = "True") -> Glance:
        spec = {"target": {"databaseRef": {"name": "shop" if name != "elsewhere" else "other"}}}
        told = {} if oid is None else {"oid": oid}
        return glance(Kind.RESTORE_REQUEST, name, said("Finished", status, since=ended), spec=spec, **told)

    shop = glance(Kind.DATABASE, "shop", oid=1, inspectedTime=format_time(ago(60)))
    others = [
        over("running", ended=1, oid=3, status="False"),
        over("silent", ended=1, oid=None),
        over("elsewhere", ended=1, oid=4),
        glance(Kind.RESTORE_REQUEST, "new", spec={"target": {"databaseRef": {"name": "shop"}}}),
    ]
    assert live_oid(shop, others) == 1
    assert live_oid(shop, [*others, over("done", ended=60, oid=2)]) == 2
    assert live_oid(shop, [*others, over("long ago", ended=61, oid=2)]) == 1
    assert live_oid(glance(Kind.DATABASE, "shop"), others) is None
