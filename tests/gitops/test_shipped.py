"""What we ship for Argo CD and Flux is whole, is one thing, and judges every state that matters as a person decided."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dbcustody.api.condition import Condition, ConditionStatus, ConditionType
from dbcustody.api.meta import Kind
from dbcustody.naming import GROUP
from dbcustody.reason import Reason
from tests.fakes.seen import condition
from tests.gitops import argocd_cm, flux, states
from tests.gitops.argocd import FOLDER, HOOK_FINALIZER, Health, Sandbox, health_of, script_of
from tests.gitops.bodies import default_status, fresh, with_conditions
from tests.gitops.flux import STANZA, Flux, flux_of
from tests.gitops.kstatus import KStatus, kstatus_of, waited
from tests.gitops.tools import Answer, answers

KINDS = pytest.mark.parametrize("kind", Kind, ids=str)
ENDS = {"True": Answer.DONE, "False": Answer.FAILED}


def one_shot(succeeded: str) -> list[Condition]:
    """Return what a request says of itself whose outcome is *succeeded*; Unknown: there is none yet."""
    is_over = succeeded != "Unknown"
    reason = Reason.RUNNING if not is_over else Reason.SUCCEEDED if succeeded == "True" else Reason.DUMP_FAILED
    summary = {"True": [], "False": [ConditionType.STALLED], "Unknown": [ConditionType.RECONCILING]}[succeeded]
    return [
        condition(ConditionType.READY, succeeded, reason, "so it is"),
        *(condition(kind, "True", reason, "so it is") for kind in summary),
        condition(ConditionType.FINISHED, str(is_over), reason),
        condition(ConditionType.SUCCEEDED, succeeded, reason, "so it is"),
    ]


def approved(status: str) -> dict[str, Any]:
    """Return a request, of a kind that is still to come, whose approval is *status*."""
    body = with_conditions("Request", one_shot("Unknown"))
    body["status"]["conditions"].append({"type": "Approved", "status": status, "reason": "Asked", "message": "say yes"})
    return body


def test_the_cases_are_what_the_plans_say_today() -> None:
    """Each file beside the health check is made anew by the real plans, and nothing else lies there."""
    found = {str(path.relative_to(FOLDER / "_")): path.read_text() for path in (FOLDER / "_").rglob("*.yaml")}
    assert found == states.files()


@pytest.mark.parametrize("state", states.STATES, ids=lambda state: state.name)
def test_every_state_is_judged_as_a_person_decided(state: states.State) -> None:
    """Argo CD says what the table says, and whoever waits by Flux or kstatus is never told another end."""
    argo, by_flux, by_kstatus = answers(state.make())

    assert health_of(state.make()).health is state.health
    assert by_flux is by_kstatus
    assert (argo, by_flux) in {(argo, argo), (Answer.FAILED, Answer.DONE), (Answer.PERSON, by_flux)}


def test_argo_cds_list_of_cases_is_true() -> None:
    """The list that Argo CD's own test would read: every file, its health and its very message."""
    listed = yaml.safe_load((FOLDER / "_" / "health_test.yaml").read_text())["tests"]
    for case in listed:
        found = health_of(yaml.safe_load((FOLDER / "_" / case["inputPath"]).read_text()))
        assert {"status": found.health.value, "message": found.message} == case["healthStatus"]


def test_the_config_map_holds_the_very_scripts() -> None:
    """The patch is made of the files, and what Argo CD reads out of it is what is in them."""
    assert argocd_cm.PLACE.read_text() == argocd_cm.text()

    data = yaml.safe_load(argocd_cm.text())["data"]
    (pattern, health), *others = yaml.safe_load(data["resource.customizations"]).items()
    assert (pattern, others) == (f"{GROUP}/*", [])
    assert health == {"health.lua": script_of("_/health.lua")}
    actions = yaml.safe_load(data[f"resource.customizations.actions.{GROUP}_BackupPolicy"])
    assert actions["discovery.lua"] == script_of("BackupPolicy/actions/discovery.lua")
    assert {one["name"]: one["action.lua"] for one in actions["definitions"]} == {
        path.parent.name: path.read_text() for path in (FOLDER / "BackupPolicy" / "actions").glob("*/action.lua")
    }


def test_flux_has_the_same_rule_for_every_kind() -> None:
    """One entry a kind, of our version, and the expressions are the same; nothing else is left out or left over."""
    entries = STANZA["healthCheckExprs"]

    assert [one["kind"] for one in entries] == [kind.value for kind in Kind]
    assert {one["apiVersion"] for one in entries} == {f"{GROUP}/v1"}
    assert len({tuple(one[name] for name in flux.ORDER) for one in entries}) == 1
    assert STANZA["wait"] is True


@KINDS
def test_nothing_fresh_is_ready(kind: Kind) -> None:
    """Before the operator has looked, everybody waits; kstatus would not without the CRD's default, so that it must be there."""
    assert default_status(kind) == {"observedGeneration": -1}
    assert answers(fresh(kind)) == (Answer.WAITS, Answer.WAITS, Answer.WAITS)
    assert not waited(fresh(kind), "Ready")

    bare = fresh(kind, has_default=False)
    assert health_of(bare).health is Health.PROGRESSING
    assert flux_of(bare) is Flux.UNKNOWN
    assert kstatus_of(bare) is KStatus.CURRENT


@pytest.mark.parametrize("succeeded", ["True", "False", "Unknown"])
def test_any_kind_that_is_done_once_is_understood(succeeded: str) -> None:
    """The script asks for no kind: a request that has Finished and Succeeded is judged like a Backup."""
    expected = ENDS.get(succeeded, Answer.WAITS)
    body = with_conditions("Backup", one_shot(succeeded))

    assert answers(body) == (expected, expected, expected)
    assert answers(with_conditions("Backup", one_shot(succeeded), generation=2)) == (Answer.WAITS,) * 3
    assert health_of(body | {"kind": "AnotherRequest"}) == health_of(body)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param({"Finished": "True"}, Health.DEGRADED, id="over-without-a-verdict"),
        pytest.param({"Finished": "True", "Succeeded": "Unknown"}, Health.DEGRADED, id="over-and-nobody-knows"),
        pytest.param({"Succeeded": "True", "Ready": "True"}, Health.PROGRESSING, id="a-verdict-that-is-not-final"),
        pytest.param({"Finished": "False", "Ready": "True"}, Health.PROGRESSING, id="ready-and-not-over"),
        pytest.param({"Ready": "False"}, Health.DEGRADED, id="not-ready-and-nothing-goes-on"),
        pytest.param({"Ready": "Unknown"}, Health.PROGRESSING, id="not-known"),
        pytest.param({"Ready": "True", "Stalled": "True"}, Health.DEGRADED, id="stalled-whatever-else"),
        pytest.param({"Connected": "True"}, Health.PROGRESSING, id="no-summary"),
        pytest.param({}, Health.PROGRESSING, id="no-condition-at-all"),
    ],
)
def test_what_no_plan_says_is_no_success_either(kinds: dict[str, str], expected: Health) -> None:
    """Statuses of a broken or a newer operator."""
    said = [condition(ConditionType(kind), status, Reason.RUNNING) for kind, status in kinds.items()]

    assert health_of(with_conditions("Backup", said)).health is expected


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param({"Ready": "Unknown"}, id="not-known"),
        pytest.param({"Ready": "True", "Reconciling": "True"}, id="ready-and-not-done"),
    ],
)
def test_what_no_plan_says_is_waited_for_by_all(kinds: dict[str, str]) -> None:
    """The same for whoever waits by Flux or kstatus."""
    said = [condition(ConditionType(kind), status, Reason.RUNNING) for kind, status in kinds.items()]

    assert answers(with_conditions("Database", said)) == (Answer.WAITS, Answer.WAITS, Answer.WAITS)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("Unknown", Health.SUSPENDED), ("False", Health.DEGRADED), ("True", Health.PROGRESSING)],
)
def test_an_approval_is_waited_for_in_sight(status: str, expected: Health) -> None:
    """Waiting for a person's yes is Suspended, also while the operator calls it Reconciling; a no is the end."""
    assert health_of(approved(status)).health is expected


@pytest.mark.parametrize("status", ConditionStatus)
@pytest.mark.parametrize("kind", [ConditionType.HELD, ConditionType.VERIFIED, ConditionType.CHECKS_PASSED])
def test_what_a_finished_one_says_besides_changes_nothing(kind: ConditionType, status: ConditionStatus) -> None:
    """A hold that is not placed yet, or a level that was not asked for, is no matter of the outcome."""
    said = [*one_shot("True"), condition(kind, status.value, Reason.HOLD_PENDING)]

    assert answers(with_conditions("Backup", said)) == (Answer.DONE, Answer.DONE, Answer.DONE)


def test_what_is_being_deleted_is_not_healthy() -> None:
    """Argo CD says so itself; a hook that it holds itself is asked for its outcome."""
    body = with_conditions("Backup", one_shot("True"))
    body["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"

    assert health_of(body).health is Health.PROGRESSING
    assert kstatus_of(body) is KStatus.TERMINATING
    body["metadata"]["finalizers"] = [HOOK_FINALIZER]
    assert health_of(body).health is Health.HEALTHY


def test_the_scripts_find_what_argo_cd_gives_and_leave_nothing_behind() -> None:
    """No library but the base, and no global that a next script would find."""
    sandbox = Sandbox()
    before = sandbox.names
    sandbox.run(script_of("_/health.lua"), fresh(Kind.BACKUP))

    assert sandbox.names == before | {"obj"}
    assert not before & {"os", "io", "require", "debug", "string", "math", "package", "python", "load", "loadstring"}


@pytest.mark.parametrize(
    "script",
    ["return os.time()", "return ('x'):upper()", "error('no')", "return {status = 'Fine'}", "return 'Healthy'"],
)
def test_a_script_that_breaks_is_unknown(script: str) -> None:
    """The judge is no rubber stamp."""
    assert health_of(fresh(Kind.BACKUP), script).health is Health.UNKNOWN


def test_flux_believes_no_expression_that_cannot_be_evaluated() -> None:
    """The first one that is true decides, in Flux's order; one that breaks is no success, and later ones are not asked."""
    body = with_conditions("Backup", one_shot("True"))

    assert flux.judged(body, {"current": "true"}) is Flux.CURRENT
    assert flux.judged(body, {"current": "true", "failed": "true"}) is Flux.FAILED
    assert flux.judged(body, {"current": "true", "failed": "true", "inProgress": "true"}) is Flux.IN_PROGRESS
    assert flux.judged(body, {"current": "true", "failed": "status.nothing == 1"}) is Flux.UNKNOWN
    assert flux.judged(body, {"current": "false"}) is Flux.IN_PROGRESS
