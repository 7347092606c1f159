"""A second person's yes as the real API server writes it down and the operator counts it: who asked, who agreed, to which plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from chartmaking.copies import CHART
from dbcustody.api.meta import Kind
from dbcustody.cli.kubectl.main import run
from dbcustody.naming import ANNOTATION_REQUESTED_BY, GROUP
from ground.helm import template
from ground.process import wait_until
from scene.evidence import OPERATOR_NAMESPACE, conditions
from scene.office import AGREES, ASKS, Office
from scene.release import RELEASE
from scene.specimen import APPROVAL, RESTORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.kubernetes import Cluster
    from scene.api import Api
    from scene.deployment import Deployment
    from scene.tenant import Tenant

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("policies")]
STAMPING: Final = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
SPACE: Final = "approvals"
BY_BACKUP: Final = {"backupRef": {"name": "monday"}}


@pytest.fixture(scope="module")
def policies(deployment: Deployment) -> Iterator[list[Json]]:
    """Yield the release's admission policies about approvals, once they act, and a namespace in which nobody looks after what is asked."""
    cluster = deployment.cluster
    text = template(CHART, {}, release=RELEASE, namespace=OPERATOR_NAMESPACE, apis=(STAMPING,))
    chart = [one for one in yaml.safe_load_all(text) if one]
    stamps = [one for one in chart if one["metadata"]["name"] in {"dbcustody-requester", "dbcustody-approver"}]
    stamps = [one for one in stamps if "AdmissionPolicy" in one["kind"]]
    cluster.kubectl("create", "namespace", SPACE)
    Office(cluster, SPACE).admit()
    assert wait_until(lambda: _acts(Office(cluster, SPACE)), 60, pause_seconds=0.5), "nothing is written down"
    yield stamps
    cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


def _acts(office: Office) -> bool:
    """Return whether both names are written down, and a changed one is refused."""
    dry = "--dry-run=server"
    told = office.create(ASKS, Kind.RESTORE_REQUEST, "probe", RESTORE, dry)
    said = office.create(AGREES, Kind.APPROVAL, "probe", APPROVAL, dry)
    return f'"{ANNOTATION_REQUESTED_BY}": "{ASKS}"' in told and f'"approver": "{AGREES}"' in said


@pytest.fixture(scope="module")
def office(cluster: Cluster) -> Office:
    """Return the namespace in which nobody does anything about what is asked."""
    return Office(cluster, SPACE)


def requester(body: str) -> str | None:
    """Return who asked, as it is written down."""
    found: str | None = (json.loads(body)["metadata"].get("annotations") or {}).get(ANNOTATION_REQUESTED_BY)
    return found


def test_who_asks_is_written_down(office: Office) -> None:
    """Whatever was written there before, with other annotations and without."""
    lie = {ANNOTATION_REQUESTED_BY: AGREES}
    written: tuple[dict[str, str], ...] = ({}, {"team": "x"}, lie, {**lie, "team": "x"})
    for name, before in zip("abcd", written, strict=True):
        made = office.create(ASKS, Kind.RESTORE_REQUEST, name, RESTORE, annotations=before)
        assert requester(made) == ASKS
        assert ("team" in json.loads(made)["metadata"]["annotations"]) is ("team" in before)


def test_who_asked_stays_written_down(office: Office) -> None:
    """Another name is refused; without the annotation it is written again; the rest may change."""
    office.create(ASKS, Kind.RESTORE_REQUEST, "kept", RESTORE)
    place = f"restorerequest.{GROUP}/kept"
    told = office.change(ASKS, "annotate", place, f"{ANNOTATION_REQUESTED_BY}={AGREES}", "--overwrite")
    assert f"must leave the annotation {ANNOTATION_REQUESTED_BY} as it was written" in told
    office.change(ASKS, "annotate", place, f"{ANNOTATION_REQUESTED_BY}-", "team=x")
    body = office.change(ASKS, "get", place, "-o", "json")
    assert requester(body) == ASKS
    assert json.loads(body)["metadata"]["annotations"]["team"] == "x"
    assert "patched" in office.change(ASKS, "patch", place, "--type=merge", "-p", '{"spec": {"cancel": true}}')


def test_who_approves_is_written_down_and_nothing_is_changed_later(office: Office) -> None:
    """Whatever was written there before; and an Approval cannot be made into another."""
    made = office.decide(AGREES, "lie", "abc", approver="somebody")
    assert made["spec"]["approver"] == AGREES
    assert made["status"] == {"observedGeneration": -1}
    place = f"approval.{GROUP}/lie"
    for change in ({"decision": "Deny"}, {"planHash": "def"}, {"approver": ASKS}, {"reason": "x"}):
        patch = json.dumps({"spec": change})
        told = office.cluster.kubectl("patch", place, "-n", SPACE, "--type=merge", "-p", patch, check=False)
        assert "must stay as it was when the Approval was created" in told
    bare = office.create(AGREES, Kind.APPROVAL, "bare", {"decision": "Approve"})
    assert "Required value" in bare


def test_without_a_stamp_a_lie_is_refused(office: Office, cluster: Cluster, policies: list[Json]) -> None:
    """The policies that validate hold by themselves, should those that write be gone."""
    writers = [one for one in policies if one["kind"] == "MutatingAdmissionPolicyBinding"]
    cluster.kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(writers))
    try:
        spec = {**APPROVAL, "approver": ASKS}
        words = "must name nobody but yourself in spec.approver: you are bob"
        assert wait_until(lambda: words in office.create(AGREES, Kind.APPROVAL, "n", spec, "--dry-run=server"), 60)
        lie = {ANNOTATION_REQUESTED_BY: AGREES}
        told = office.create(ASKS, Kind.RESTORE_REQUEST, "n", RESTORE, "--dry-run=server", annotations=lie)
        assert f"must name nobody but yourself in the annotation {ANNOTATION_REQUESTED_BY}: you are alice" in told
        unsaid = office.create(AGREES, Kind.APPROVAL, "n", APPROVAL, "--dry-run=server")
        assert "approver" not in json.loads(unsaid)["spec"]
    finally:
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(writers))
        assert wait_until(lambda: _acts(office), 60, pause_seconds=0.5)


def test_expressions_fit_the_types_of_the_resources(api: Api, policies: list[Json]) -> None:
    """The API server checks them against the CRDs, and finds no field that is not there."""
    names = [one["metadata"]["name"] for one in policies if one["kind"] == "ValidatingAdmissionPolicy"]

    def checked(name: str) -> Json:
        return ((api.get("validatingadmissionpolicies", name) or {}).get("status") or {}).get("typeChecking")

    assert wait_until(lambda: all(checked(name) is not None for name in names), 60)
    assert {name: checked(name) for name in names} == {name: {} for name in names}


@pytest.fixture
def backed_up(tenant: Tenant, cluster: Cluster) -> Tenant:
    """Return the tenant with the good Backup `monday`, a role that may restore it, and two people."""
    tenant.secret("shop-restorer", **tenant.shop.restorer)
    tenant.database(restored_by="shop-restorer")
    tenant.storage()
    tenant.until_ready()
    tenant.backup("monday")
    tenant.succeeded("monday")
    Office(cluster, tenant.name).admit()
    return tenant


def ask(tenant: Tenant, cluster: Cluster) -> Office:
    """Have a restore asked for that a second person has to agree to; returns where people write."""
    office = Office(cluster, tenant.name)
    target = {"databaseRef": {"name": "shop"}, "database": f"{tenant.shop.name}_again"}
    spec = {"source": BY_BACKUP, "target": target, "approval": {"required": True}}
    assert requester(office.create(ASKS, Kind.RESTORE_REQUEST, "again", spec)) == ASKS
    return office


def restored(tenant: Tenant) -> bool:
    """Return whether the new database is there."""
    rows = tenant.shop.server.execute("SELECT datname FROM pg_database ORDER BY 1")
    return f"{tenant.shop.name}_again" in [name for (name,) in rows]


def test_an_operator_that_was_not_told_of_policies_believes_nobody(
    deployment: Deployment, backed_up: Tenant, cluster: Cluster
) -> None:
    """The plan is told, nothing is made, and what helps is said; an Approval changes nothing."""
    with deployment.untold("DBCUSTODY_STAMPED_APPROVALS"):
        office = ask(backed_up, cluster)
        body = backed_up.wait("restorerequests", "again", "Approved", "Unknown", reason="ApprovalUnavailable")
        office.decide(AGREES, "yes", body["status"]["plan"]["hash"])
        backed_up.wait("approvals", "yes", "Ready", "False", reason="ApproverUnknown")
        body = backed_up.get("restorerequests", "again")

        assert "policies.enabled" in conditions(body)["Approved"]["message"]
        assert conditions(body)["Ready"]["status"] == "False"
        assert (backed_up.jobs("restore"), restored(backed_up)) == ([], False)
        backed_up.api.delete("restorerequests", "again", backed_up.name)  # an operator that is told would believe bob


def test_a_second_person_lets_the_very_plan_be_carried_out(backed_up: Tenant, cluster: Cluster) -> None:
    """Neither the requester's own yes nor one to another plan does; then the restore runs, and each Approval says what became of it."""
    office = ask(backed_up, cluster)
    body = backed_up.wait("restorerequests", "again", "Approved", "Unknown", reason="ApprovalPending")
    plan = body["status"]["plan"]["hash"]
    assert body["status"]["progress"]["waitingFor"] == "the yes of a second person"
    office.decide(ASKS, "own", plan)
    office.decide(AGREES, "other", "abcdef")
    backed_up.wait("approvals", "own", "Ready", "False", reason="ApproverIsRequester")
    backed_up.wait("approvals", "other", "Ready", "False", reason="Superseded")
    backed_up.until(
        lambda: "alice asked for it" in backed_up.condition("restorerequests", "again", "Approved")["message"],
        "the request tells what is of no effect",
    )
    assert (backed_up.jobs("restore"), restored(backed_up)) == ([], False)

    office.decide(AGREES, "yes", plan, reason="looked at")
    body = backed_up.wait("restorerequests", "again", "Finished")
    assert conditions(body)["Succeeded"]["status"] == "True", conditions(body)
    assert conditions(body)["Approved"]["message"] == f"bob agreed to plan {plan} (Approval yes): looked at"
    assert restored(backed_up)
    backed_up.wait("approvals", "yes", "Ready", reason="Effective")


def test_a_no_ends_the_request(backed_up: Tenant, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Said by the plugin, which shows the plan: nothing is made, and who said it and why is told."""
    ask(backed_up, cluster)
    body = backed_up.wait("restorerequests", "again", "Approved", "Unknown", reason="ApprovalPending")
    where = ("-n", backed_up.name, "--kubeconfig", str(cluster.kubeconfig))
    assert run(["deny", "again", "--reason", "wrong day", *where]) == 0
    name, shown = (text.strip() for text in capsys.readouterr())
    assert f"asked for by alice): plan {body['status']['plan']['hash']}" in shown
    body = backed_up.wait("restorerequests", "again", "Finished")

    assert (conditions(body)["Succeeded"]["status"], conditions(body)["Succeeded"]["reason"]) == ("False", "Denied")
    assert conditions(body)["Approved"]["message"].endswith(f"(Approval {name}): wrong day")
    assert (backed_up.jobs("restore"), restored(backed_up)) == ([], False)
    backed_up.wait("approvals", name, "Ready", reason="Effective")
    assert run(["approve", "again", *where]) == 1
    assert "has no plan that waits for a person (Denied" in capsys.readouterr().err
