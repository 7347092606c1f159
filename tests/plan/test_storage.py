"""BackupStorages: which claims are refused, and how far a probe came."""

from __future__ import annotations

from typing import Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import Capabilities, Encryption, KeyUse, Volume
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import ProbeFacts
from dbcustody.plan.actions import DeleteJob, LetJobGo, StartJob
from dbcustody.plan.observed import SeenClaim, SeenJob
from dbcustody.plan.storage import SeenStorage, plan
from dbcustody.reason import Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    ago,
    answered,
    condition,
    result,
    running,
    silent,
    storage,
    with_metadata,
    with_status,
)

FACTS = ProbeFacts(
    location="s3://backups",
    encrypted=False,
    storage_id="s",
    capabilities=Capabilities(conditional_put=True),
    keys=(KeyUse(id="k", backups=3),),
    backups=3,
    used_bytes=99,
)
CLAIM = storage(volume=Volume(claim_name="data"), acknowledge_unencrypted=True)
PROBING = with_status(storage(), job_ref=ObjectRef(name="j"), ordinal=1, observed_generation=1)
GOOD = result(Verb.PROBE, Reason.STORAGE_REACHABLE, "fine", probe=FACTS)


def look(one: Any, *jobs: SeenJob, claim: tuple[str, ...] | None = None) -> Any:
    """Return the plan for *one*."""
    seen = SeenStorage(image=IMAGE, jobs=jobs, claim=SeenClaim(access_modes=claim) if claim is not None else None)
    return plan(one, seen, NOW)


def said(status: Any) -> dict[str, tuple[str, str]]:
    """Return what the conditions of *status* say."""
    return {one.type.value: (one.status.value, one.reason.value) for one in status.conditions}


def test_a_new_storage_is_probed() -> None:
    """The first look starts a Job that asks about this very spec."""
    found = look(storage())
    (action,) = found.actions

    assert isinstance(action, StartJob)
    assert found.status.job_ref == ObjectRef(name=action.manifest["metadata"]["name"])
    assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == "uid-main"
    assert action.manifest["spec"]["backoffLimit"] == 0
    assert said(found.status)["Ready"] == ("Unknown", "Pending")
    assert (found.status.kind, found.status.encrypted, found.status.sharing) == ("S3", False, "AnyNode")


def test_a_deletion_is_waited_for() -> None:
    """Nothing is started for what is being deleted; Kubernetes removes its Jobs."""
    one = with_metadata(storage(), deletion_timestamp=NOW)

    assert (look(one).actions, look(one).status) == ((), one.status)


def test_a_good_probe() -> None:
    """Everything that was found stands in status, and all conditions are true."""
    found = look(PROBING, answered("j", GOOD))

    assert said(found.status) == {
        "Ready": ("True", "Ready"),
        "StorageReachable": ("True", "StorageReachable"),
        "EncryptionReady": ("True", "NotEncrypted"),
        "ConformancePassed": ("True", "Conformant"),
    }
    status = found.status
    assert (status.location, status.storage_id, status.backups, status.used_bytes) == ("s3://backups", "s", 3, 99)
    assert (status.keys, status.probed_time, status.probe_failures) == (FACTS.keys, NOW, 0)


def test_a_good_probe_with_keys() -> None:
    """With a keyring the condition says that it fits."""
    keyed = storage(
        s3=storage().spec.s3, encryption=Encryption(keyring_secret_ref=ObjectRef(name="k"), active_key_id="k1")
    )
    found = look(with_status(keyed, job_ref=ObjectRef(name="j"), observed_generation=1), answered("j", GOOD))

    assert said(found.status)["EncryptionReady"] == ("True", "EncryptionReady")
    assert found.status.encrypted is True


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param(Reason.BUCKET_NOT_FOUND, ("False", "Unknown", "Unknown"), id="not-reached"),
        pytest.param(Reason.NOT_CONFORMANT, ("True", "False", "Unknown"), id="reached-but-strange"),
        pytest.param(Reason.KEY_INVALID, ("True", "True", "False"), id="keys-do-not-fit"),
        pytest.param(Reason.INTERNAL_ERROR, ("Unknown", "Unknown", "Unknown"), id="nobody-knows-where"),
    ],
)
def test_how_far_a_bad_probe_came(reason: Reason, expected: tuple[str, str, str]) -> None:
    """What was reached is true, what failed is false, what lies behind it is unknown; the summary names the reason."""
    found = look(PROBING, answered("j", result(Verb.PROBE, reason, "why")))
    found_said = said(found.status)

    names = ("StorageReachable", "ConformancePassed", "EncryptionReady")
    assert tuple(found_said[name][0] for name in names) == expected
    assert found_said["Ready"] == ("False", reason.value)
    assert found.status.probe_failures == 1


def test_a_bad_probe_keeps_what_a_good_one_found() -> None:
    """Counts of backups are not set to nought because the storage is away."""
    before = with_status(PROBING, backups=3, used_bytes=99, storage_id="s", location="old")
    lost = look(before, silent("j", Verb.PROBE))
    half = result(Verb.PROBE, Reason.STORAGE_DENIED, probe=ProbeFacts(location="new", encrypted=False))
    denied = look(before, answered("j", half))

    assert (lost.status.backups, lost.status.location) == (3, "old")
    assert (denied.status.backups, denied.status.storage_id, denied.status.location) == (3, "s", "new")


def test_a_claim_for_one_pod_is_refused() -> None:
    """ReadWriteOncePod could not be probed while a backup runs: the text names the field, what was found and what is allowed."""
    found = look(CLAIM, claim=("ReadWriteOncePod",))
    ready = find(found.status.conditions, ConditionType.READY)

    assert ready is not None
    assert said(found.status) == {"Ready": ("False", "InvalidSpec"), "Stalled": ("True", "InvalidSpec")}
    assert ready.message == "spec.volume.claimName: 'data' is ReadWriteOncePod; must be ReadWriteOnce or ReadWriteMany"
    assert found.actions == ()


def test_a_refused_claim_ends_what_was_under_way_and_is_probed_when_it_is_another() -> None:
    """A claim that was replaced by one for one pod stops the probe; replaced again, it is probed at once and not in an hour."""
    before = with_status(
        CLAIM,
        job_ref=ObjectRef(name="j"),
        probed_time=ago(10),
        observed_generation=1,
        conditions=(condition(ConditionType.STORAGE_REACHABLE, "True", Reason.STORAGE_REACHABLE),),
    )
    refused = look(before, running("j", Verb.PROBE), silent("old", Verb.PROBE), claim=("ReadWriteOncePod",))
    allowed = look(
        with_status(
            before, **{name: getattr(refused.status, name) for name in ("conditions", "probed_time", "job_ref")}
        )
    )

    assert refused.actions == (LetJobGo("old", 600), DeleteJob("j", "uid-j"))
    assert [type(action) for action in allowed.actions] == [StartJob]


@pytest.mark.parametrize(
    ("claim", "sharing"),
    [
        pytest.param(None, None, id="not-there"),
        pytest.param(("ReadWriteOnce",), "OneNode", id="one-node"),
        pytest.param(("ReadWriteOnce", "ReadWriteMany"), "AnyNode", id="any-node"),
    ],
)
def test_who_may_share_a_volume(claim: tuple[str, ...] | None, sharing: str | None) -> None:
    """Status says which pods may use the storage at once; a claim that is not there yet is for the probe to say."""
    found = look(CLAIM, claim=claim)

    assert (found.status.kind, found.status.sharing) == ("Volume", sharing)
    assert [type(action) for action in found.actions] == [StartJob]


@pytest.mark.parametrize("answer", [GOOD, None], ids=["answered", "silent"])
def test_results_belong_to_the_conditions(answer: JobResult | None) -> None:
    """Every condition says about which generation it speaks."""
    job = answered("j", answer) if answer is not None else silent("j", Verb.PROBE)

    assert {one.observed_generation for one in look(PROBING, job).status.conditions} == {1}
