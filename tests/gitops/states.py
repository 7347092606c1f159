"""The states that matter, each brought about by the real plans, and the health that a person decided for it.

`python -m tests.gitops.states` writes them where Argo CD looks for the cases of a health check; a test makes them anew and compares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from dbcustody.api.approval import Decision
from dbcustody.api.backup import LegalHold
from dbcustody.api.condition import ConditionType
from dbcustody.api.database import Copy, CopyStage
from dbcustody.api.meta import Kind, ObjectRef
from dbcustody.api.policy import Level, PolicyVerification, Retained
from dbcustody.api.storage import S3, Encryption
from dbcustody.contract import Verb
from dbcustody.facts import BackupFacts, InspectionFacts, ProbeFacts, PruneFacts, RestoreTestFacts
from dbcustody.plan.approval import plan as judge_approval
from dbcustody.plan.recovery_point import Run
from dbcustody.plan.restore_approval import seen_request
from dbcustody.reason import Reason
from tests.fakes.consent import JANE, OTHER, approval, asking, say, waiting
from tests.fakes.control_plane import dumping, settled, started
from tests.fakes.replace_plane import NOT_DONE, REFUSED, at_safety, at_swap, stuck
from tests.fakes.restore_plane import IS_RESTORED, IS_SWAPPED, RestorePlane, at_restore
from tests.fakes.seen import NOW, SERVER, ago, condition, facts, policy, result, storage, with_metadata, with_status
from tests.gitops.argocd import FOLDER, Body, Health, health_of
from tests.gitops.bodies import body_of, fresh
from tests.gitops.lives import database_life, policy_life, storage_life
from tests.gitops.migration_states import MIGRATION_STATES
from tests.gitops.replace_states import REPLACE_STATES
from tests.gitops.state import State

if TYPE_CHECKING:
    from dbcustody.api.approval import Approval
    from dbcustody.contract import JobResult
    from tests.fakes.control_plane import ControlPlane
    from tests.gitops.lives import Life

READY: Final = with_status(storage(), conditions=(condition(ConditionType.READY, "True", Reason.READY),))
FOUND: Final = InspectionFacts(endpoint="db:5432", database="shop", convention="Uri", server=SERVER)
INSPECTED: Final = result(Verb.INSPECT, Reason.CONNECTED, inspection=FOUND)
_OLD: Final = Copy(
    name="shop_replaced_0",
    oid=16384,
    stage=CopyStage.KEPT,
    mark="RestoreRequest team/back 0",
    custody_id="team.shop",
    drop_after=ago(1),
)
_LEFT: Final = result(Verb.INSPECT, Reason.CONNECTED, inspection=replace(FOUND, oid=16390, copies=(_OLD,)))
PROBED: Final = ProbeFacts(location="s3://backups", encrypted=False, storage_id="s")
_TESTED: Final = condition(ConditionType.RESTORE_TESTED, "True", Reason.RESTORE_TESTED, "all of it")
_PASSED: Final = RestoreTestFacts(reason=Reason.RESTORE_TESTED, message="all of it", seconds=9)
LAST_NIGHT: Final = Run(
    name="nightly-29500000",
    is_finished=True,
    is_good=True,
    reason="Succeeded",
    begun_time=ago(36_000),
    data_time=ago(35_990),
    ended_time=ago(35_000),
)


def _database(answer: JobResult | None, *, generation: int = 1, **spec: Any) -> Body:
    """Return a Database of which an inspection told *answer*; None: it is still at work."""
    life = database_life()
    life.backup = replace(life.backup, spec=replace(life.backup.spec, **spec))
    return _examined(life, answer, generation)


def _storage(answer: JobResult | None, **spec: Any) -> Body:
    return _examined(storage_life(**spec), answer, 1)


def _examined(life: Life, answer: JobResult | None, generation: int) -> Body:
    life.rests()
    if answer is not None and life.at_work is not None:
        life.ends(life.at_work.name, answer)
        life.rests()
    return body_of(with_metadata(life.backup, generation=generation))


def _policy(*runs: Run, pruned: JobResult | None = None, spec: dict[str, Any] | None = None, **seen: Any) -> Body:
    """Return a policy after *runs*, of which retention told *pruned*."""
    life = policy_life(**({"storage": READY, "runs": runs} | seen))
    life.backup = replace(life.backup, spec=replace(life.backup.spec, **(spec or {})))
    life.rests()
    if pruned is not None and life.at_work is not None:
        life.ends(life.at_work.name, pruned)
        life.rests()
    return body_of(life.backup)


def _pruned(reason: Reason, message: str = "", **values: Any) -> JobResult:
    found = PruneFacts(retained=Retained(count=7, bytes=7000), plan_hash="0123456789abcdef", **values)
    return result(Verb.PRUNE, reason, message, prune=found)


def _failed_last_night() -> Body:
    bad = replace(LAST_NIGHT, is_good=False, reason="DumpFailed", data_time=None)
    good = replace(LAST_NIGHT, name="nightly-29498560", begun_time=ago(122_000), data_time=ago(121_990))
    return _policy(good, bad)


def _backup(answer: JobResult | None, **spec: Any) -> Body:
    plane: ControlPlane = dumping() if answer is None else started(**spec)
    if answer is not None:
        plane.ends(plane.last_job.name, answer)
        plane.reconcile()
        plane.passes(1)
        plane.reconcile()
    return body_of(plane.backup)


def _lost(**found: Any) -> Body:
    """Return a Backup that a person made and that succeeded, of whose data retention *found* out later that it is gone."""
    plane = started()
    plane.ends(plane.last_job.name, result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts()))
    plane.reconcile()
    plane.passes(86_400)
    plane.seen = replace(plane.seen, policy=with_status(policy(), pruned_time=plane.now, **found))
    plane.reconcile()
    plane.seen = replace(plane.seen, policy=with_status(policy(), pruned_time=plane.now))
    plane.reconcile()
    return body_of(plane.backup)


def _restore(plane: RestorePlane, answer: JobResult | None = None) -> Body:
    """Return a RestoreRequest whose last Job told *answer*; None: it is still at work."""
    plane.steps(2)
    if answer is not None:
        plane.ends(answer)
        plane.steps(2)
    return body_of(plane.request)


def _ended(plane: RestorePlane, *answers: JobResult) -> Body:
    """Return a RestoreRequest whose last Jobs told *answers*, long enough ago."""
    for answer in answers:
        plane.ends(answer)
        plane.steps(3)
    plane.passes(1000)
    plane.steps(3)
    return body_of(plane.request)


def _restore_from_nowhere() -> Body:
    plane = RestorePlane()
    plane.around = replace(plane.around, storage=None)
    return _restore(plane)


def _decided(*approvals: Approval, plane: RestorePlane | None = None) -> Body:
    """Return a RestoreRequest that needs a second person, of whom *approvals* are all that was heard."""
    found = waiting(plane)
    say(found, *approvals)
    return body_of(found.request)


def _approval(one: Approval, plane: RestorePlane) -> Body:
    """Return *one* after the request that it names went on as it would."""
    say(plane, one)
    found = judge_approval(one, seen_request(plane.request, is_stamped=True), NOW)
    return body_of(replace(one, status=found.status or one.status))


def _adopted() -> Body:
    return _backup(result(Verb.BACKUP, Reason.ADOPTED, backup=facts(adopted=True)))


def _silent(*, is_known: bool) -> Body:
    plane = dumping()
    plane.ends(plane.last_job.name, None)
    plane.reconcile()
    if is_known:
        plane.ends(plane.last_job.name, settled(BackupFacts(name="monday")))
        plane.reconcile()
    return body_of(plane.backup)


def _without_database() -> Body:
    plane = started()
    plane.jobs.clear()
    plane.seen = replace(plane.seen, database=None)
    plane.backup = replace(plane.backup, status=type(plane.backup.status)())
    plane.reconcile()
    return body_of(plane.backup)


def _bad(reason: Reason, message: str, verb: Verb = Verb.INSPECT, **found: Any) -> JobResult:
    return result(verb, reason, message, **found)


_NO: Final = approval("no", decision=Decision.DENY, reason="wrong day")
_WRONG_PASSWORD: Final = _bad(Reason.AUTHENTICATION_FAILED, "the server refuses the password of shop-app")
_AWAY: Final = _bad(Reason.STORAGE_UNREACHABLE, "no route to the storage", Verb.PROBE)
STATES: Final = (
    *(State(f"{kind.value}-fresh", Health.PROGRESSING, lambda kind=kind: fresh(kind)) for kind in Kind),  # type: ignore[misc]
    State("Database-being-inspected", Health.PROGRESSING, lambda: _database(None)),
    State("Database-ready", Health.HEALTHY, lambda: _database(INSPECTED)),
    State("Database-edited-since", Health.PROGRESSING, lambda: _database(INSPECTED, generation=2)),
    State("Database-wrong-password", Health.DEGRADED, lambda: _database(_WRONG_PASSWORD)),
    State("Database-away", Health.PROGRESSING, lambda: _database(_bad(Reason.HOST_UNREACHABLE, "no route to db:5432"))),
    State("Database-suspended", Health.SUSPENDED, lambda: _database(None, suspend=True)),
    State("Database-old-database-left", Health.HEALTHY, lambda: _database(_LEFT)),
    State("BackupStorage-ready", Health.HEALTHY, lambda: _storage(_bad(Reason.READY, "", Verb.PROBE, probe=PROBED))),
    State("BackupStorage-denied", Health.DEGRADED, lambda: _storage(_bad(Reason.STORAGE_DENIED, "403", Verb.PROBE))),
    State("BackupStorage-away", Health.PROGRESSING, lambda: _storage(_AWAY)),
    State(
        "BackupStorage-key-missing",
        Health.DEGRADED,
        lambda: _storage(_bad(Reason.READY, "", Verb.PROBE, probe=replace(PROBED, unopened=2))),
    ),
    State(
        "BackupStorage-keys-rotating",
        Health.HEALTHY,
        lambda: _storage(
            _bad(Reason.READY, "", Verb.PROBE, probe=replace(PROBED, unwrapped=3)),
            s3=S3(bucket="backups"),
            encryption=Encryption(keyring_secret_ref=ObjectRef(name="keyring"), active_key_id="k2026"),
        ),
    ),
    State("BackupPolicy-new", Health.HEALTHY, _policy),
    State("BackupPolicy-kept", Health.HEALTHY, lambda: _policy(LAST_NIGHT, pruned=_pruned(Reason.RETENTION_ENFORCED))),
    State("BackupPolicy-storage-not-probed", Health.PROGRESSING, lambda: _policy(storage=storage())),
    State("BackupPolicy-no-database", Health.PROGRESSING, lambda: _policy(database=None)),
    State("BackupPolicy-bad-schedule", Health.DEGRADED, lambda: _policy(spec={"schedule": "61 2 * * *"})),
    State("BackupPolicy-night-failed", Health.DEGRADED, _failed_last_night),
    State("BackupPolicy-suspended", Health.SUSPENDED, lambda: _policy(LAST_NIGHT, spec={"suspend": True})),
    State(
        "BackupPolicy-confirmation-wanted",
        Health.SUSPENDED,
        lambda: _policy(
            LAST_NIGHT, pruned=_pruned(Reason.RETENTION_NEEDS_CONFIRMATION, "5 of 7 would go: confirm 0123456789abcdef")
        ),
    ),
    State(
        "BackupPolicy-retention-frozen",
        Health.SUSPENDED,
        lambda: _policy(LAST_NIGHT, pruned=_pruned(Reason.RETENTION_FROZEN, "nightly-29490000 cannot be believed")),
    ),
    State(
        "BackupPolicy-retention-tried-again",
        Health.HEALTHY,
        lambda: _policy(LAST_NIGHT, pruned=_pruned(Reason.STORAGE_UNREACHABLE, "no route to the storage")),
    ),
    State(
        "BackupPolicy-backup-vanished",
        Health.DEGRADED,
        lambda: _policy(LAST_NIGHT, pruned=_pruned(Reason.CONTINUITY_UNPROVEN, vanished=("nightly-29490000",))),
    ),
    State(
        "BackupPolicy-restores-tested",
        Health.HEALTHY,
        lambda: _policy(
            replace(LAST_NIGHT, restore_test=_TESTED, restore_seconds=9),
            spec={"verification": PolicyVerification(level=Level.RESTORE)},
        ),
    ),
    State(
        "Backup-restore-tested",
        Health.HEALTHY,
        lambda: _backup(result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(restore_test=_PASSED))),
    ),
    State("Backup-dumping", Health.PROGRESSING, lambda: _backup(None)),
    State("Backup-no-database", Health.PROGRESSING, _without_database),
    State("Backup-succeeded", Health.HEALTHY, lambda: _backup(result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts()))),
    State("Backup-adopted", Health.HEALTHY, _adopted),
    State("Backup-failed", Health.DEGRADED, lambda: _backup(result(Verb.BACKUP, Reason.DUMP_FAILED, "pg_dump: 1"))),
    State("Backup-storage-is-asked", Health.PROGRESSING, lambda: _silent(is_known=False)),
    State("Backup-lost", Health.DEGRADED, lambda: _silent(is_known=True)),
    State("Backup-data-deleted", Health.HEALTHY, lambda: _lost(deleted=("monday",))),
    State("Backup-data-vanished", Health.HEALTHY, lambda: _lost(vanished=("monday",))),
    State(
        "Backup-succeeded-and-held",
        Health.HEALTHY,
        lambda: _backup(
            result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts()), legal_hold=LegalHold(reason="audit of 2026")
        ),
    ),
    State("RestoreRequest-planning", Health.PROGRESSING, lambda: _restore(RestorePlane())),
    State("RestoreRequest-restoring", Health.PROGRESSING, lambda: _restore(at_restore())),
    State("RestoreRequest-no-storage", Health.PROGRESSING, _restore_from_nowhere),
    State("RestoreRequest-succeeded", Health.HEALTHY, lambda: _restore(at_restore(), IS_RESTORED)),
    State(
        "RestoreRequest-roles-missing",
        Health.DEGRADED,
        lambda: _restore(RestorePlane(), result(Verb.PLAN_RESTORE, Reason.ROLES_MISSING, "roles are missing: shop")),
    ),
    State(
        "RestoreRequest-checks-failed",
        Health.DEGRADED,
        lambda: _restore(at_restore(), result(Verb.RESTORE, Reason.CHECKS_FAILED, "public.a has 3 rows instead of 4")),
    ),
    State(
        "RestoreRequest-server-is-asked",
        Health.PROGRESSING,
        lambda: _restore(at_restore(), result(Verb.RESTORE, Reason.CONNECTION_LOST, "the server went away")),
    ),
    State("RestoreRequest-safety-backup", Health.PROGRESSING, lambda: _restore(at_safety())),
    State("RestoreRequest-takes-the-place", Health.PROGRESSING, lambda: _restore(at_swap())),
    State("RestoreRequest-took-the-place", Health.HEALTHY, lambda: _ended(at_swap(), IS_SWAPPED)),
    State("RestoreRequest-sessions-held", Health.DEGRADED, lambda: _ended(at_swap(), REFUSED, NOT_DONE)),
    State("RestoreRequest-workloads-stay-down", Health.DEGRADED, lambda: _ended(stuck(at_swap()), IS_SWAPPED)),
    State("RestoreRequest-waits-for-a-person", Health.SUSPENDED, _decided),
    State("RestoreRequest-nobody-can-be-believed", Health.SUSPENDED, lambda: _decided(plane=asking(is_stamped=False))),
    State("RestoreRequest-agreed-to", Health.PROGRESSING, lambda: _decided(approval())),
    State("RestoreRequest-denied", Health.DEGRADED, lambda: _decided(_NO)),
    *REPLACE_STATES,
    *MIGRATION_STATES,
    State("Approval-effective", Health.HEALTHY, lambda: _approval(approval(), waiting())),
    State("Approval-denial-effective", Health.HEALTHY, lambda: _approval(_NO, waiting())),
    State("Approval-superseded", Health.DEGRADED, lambda: _approval(approval(plan_hash=OTHER), waiting())),
    State("Approval-by-the-requester", Health.DEGRADED, lambda: _approval(approval(approver=JANE), waiting())),
)


def files() -> dict[str, str]:
    """Return what stands beside the health check: a file for each state, and the list of what is expected of them."""
    found, tests = {}, []
    for state in STATES:
        body = state.make()
        path = f"testdata/{state.name}.yaml"
        found[path] = yaml.safe_dump(body, sort_keys=False, width=140)
        expected = {"status": state.health.value, "message": health_of(body).message}
        tests.append({"inputPath": path, "healthStatus": expected})
    return found | {"health_test.yaml": yaml.safe_dump({"tests": tests}, sort_keys=False, width=140)}


def write() -> None:
    """Write all of it."""
    for path, text in files().items():
        (FOLDER / "_" / path).write_text(text)


if __name__ == "__main__":
    write()
