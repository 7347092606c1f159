"""When older backups are closed for the active key, and what is said of keys and backups meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import S3, AccessMode, Encryption, KeyUse, ReWrap
from dbcustody.contract import Verb
from dbcustody.facts import ProbeFacts, ReWrapFacts
from dbcustody.plan.actions import DeleteJob, LetJobGo, StartJob
from dbcustody.plan.storage import SeenStorage, plan
from dbcustody.reason import Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    ago,
    answered,
    condition,
    job,
    result,
    running,
    silent,
    storage,
    with_metadata,
    with_status,
)

if TYPE_CHECKING:
    from dbcustody.plan.observed import SeenJob

KEYED = storage(
    s3=S3(bucket="backups"), encryption=Encryption(keyring_secret_ref=ObjectRef(name="k"), active_key_id="k2")
)
OLD = (KeyUse(id="k1", backups=3, needed_by=3, in_keyring=True),)
CALM: dict[str, Any] = {
    "observed_generation": 1,
    "probed_time": ago(10),
    "storage_id": "s",
    "keys": OLD,
    "unopened": 0,
    "conditions": (
        condition(ConditionType.READY, "True", Reason.READY),
        condition(ConditionType.STORAGE_REACHABLE, "True", Reason.STORAGE_REACHABLE),
        condition(ConditionType.ENCRYPTION_READY, "True", Reason.ENCRYPTION_READY),
        condition(ConditionType.CONFORMANCE_PASSED, "True", Reason.CONFORMANT),
    ),
}
WAITING = with_status(KEYED, **CALM, re_wrap=ReWrap(waiting=3))
WORKING = with_status(WAITING, re_wrap=ReWrap(waiting=3, job_ref=ObjectRef(name="w"), ordinal=1))
DONE = result(
    Verb.RE_WRAP, Reason.KEYS_CURRENT, "3 backups", re_wrap=ReWrapFacts(wrapped=3, keys=(KeyUse(id="k2", backups=3),))
)


def look(one: Any, *jobs: SeenJob) -> Any:
    """Return the plan for *one*."""
    return plan(one, SeenStorage(image=IMAGE, jobs=jobs), NOW)


def said(found: Any) -> tuple[str, str, str]:
    """Return what is said of the keys."""
    (one,) = [each for each in found.status.conditions if each.type is ConditionType.KEYS_CURRENT]
    return one.status.value, one.reason.value, one.message


def test_what_a_probe_counted_is_begun_at_once() -> None:
    """The very look that reads the probe's answer starts the Job; Ready stays as it is."""
    facts = ProbeFacts(location="s3://b", encrypted=True, storage_id="s", keys=OLD, unwrapped=3, backups=3)
    probing = with_status(KEYED, observed_generation=1, job_ref=ObjectRef(name="j"), ordinal=1)
    found = look(probing, answered("j", result(Verb.PROBE, Reason.STORAGE_REACHABLE, "fine", probe=facts)))
    (start,) = [one for one in found.actions if isinstance(one, StartJob)]

    # What the conditions of the probe say stands in status only after this look: the next one starts the Job, seconds later at most.
    assert start.manifest["spec"]["template"]["spec"]["containers"][0]["args"] == ["job", "re-wrap"]
    assert found.status.re_wrap == ReWrap(
        waiting=3, job_ref=ObjectRef(name=start.manifest["metadata"]["name"]), ordinal=1
    )
    assert said(found)[:2] == ("False", "ReWrapping")


def test_backups_that_wait_are_closed() -> None:
    """A Job of its own, named in status before it is made, beside the probes."""
    found = look(WAITING)
    (start,) = found.actions

    assert isinstance(start, StartJob)
    assert start.manifest["metadata"]["labels"]["dbcustody.dev/verb"] == "re-wrap"
    assert start.manifest["spec"]["backoffLimit"] == 0
    assert found.status.re_wrap.job_ref == ObjectRef(name=start.manifest["metadata"]["name"])
    assert said(found) == (
        "False",
        "ReWrapping",
        "3 backups are not opened by k2 yet: they are being closed for it; keep the keys that open them",
    )


def test_a_job_that_is_at_work_is_waited_for() -> None:
    """Nothing is started twice; a probe that runs at the same time is left alone too."""
    probing = with_status(WORKING, job_ref=ObjectRef(name="j"))
    found = look(probing, running("w", Verb.RE_WRAP), running("j", Verb.PROBE))

    assert found.actions == ()
    assert found.status.re_wrap == WORKING.status.re_wrap


def test_a_good_end_is_told() -> None:
    """The counts of the Job itself stand in status: no probe is waited for."""
    found = look(WORKING, answered("w", DONE))

    assert [type(one) for one in found.actions if isinstance(one, LetJobGo)] == [LetJobGo]
    assert found.status.re_wrap == ReWrap(waiting=0, ended_time=NOW, ordinal=1)
    assert found.status.keys == (KeyUse(id="k2", backups=3),)
    assert said(found) == ("True", "KeysCurrent", "k2 opens every backup; no other key is needed")


def test_the_next_change_is_not_kept_waiting() -> None:
    """After a good end, new work is begun as soon as it is counted."""
    found = look(with_status(WAITING, re_wrap=ReWrap(waiting=1, ended_time=ago(1), ordinal=1)))

    assert [type(one) for one in found.actions] == [StartJob]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param(
            answered("w", result(Verb.RE_WRAP, Reason.ARCHIVE_DAMAGED, "1 backups: b")), "ArchiveDamaged", id="told"
        ),
        pytest.param(silent("w", Verb.RE_WRAP), "JobLost", id="silent"),
    ],
)
def test_a_bad_end_is_told_and_tried_again(end: SeenJob, reason: str) -> None:
    """The reason stands until a later Job ends better; the pause grows."""
    found = look(WORKING, end)
    resting = replace(WAITING, status=found.status)
    later = look(resting)
    due = look(with_status(resting, re_wrap=replace(found.status.re_wrap, ended_time=ago(6))))

    assert said(found)[:2] == ("False", reason)
    assert said(found)[2].endswith("; it is tried again")
    assert found.status.re_wrap.failures == 1
    assert (later.actions, said(later)) == ((), said(found))
    assert later.look_again_seconds == 5
    assert [type(one) for one in due.actions] == [StartJob]
    assert said(due) == said(found)


def test_trouble_is_not_forgotten_because_nothing_waits() -> None:
    """A copy that is none does not wait by its name: the Job that found it is repeated, and nobody is told that all is well."""
    found = look(with_status(WORKING, re_wrap=replace(WORKING.status.re_wrap, waiting=0)), silent("w", Verb.RE_WRAP))
    later = look(
        replace(WAITING, status=replace(found.status, re_wrap=replace(found.status.re_wrap, ended_time=ago(6))))
    )

    assert said(later)[0] == "False"
    assert [type(one) for one in later.actions] == [StartJob]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param("True", Reason.KEYS_CURRENT, id="all-was-well"),
        pytest.param("False", Reason.KEY_MISSING, id="a-key-was-missing"),
    ],
)
def test_what_stood_before_the_trouble_is_not_said_again(status: str, reason: Reason) -> None:
    """While a failed Job waits to be repeated nobody reads that all is well, nor that a key is missing which is there."""
    before = condition(ConditionType.KEYS_CURRENT, status, reason, "as it was")
    troubled = with_status(
        WAITING, conditions=(*CALM["conditions"], before), re_wrap=ReWrap(failures=1, ended_time=ago(1))
    )

    assert said(look(troubled)) == (
        "False",
        "ReWrapping",
        "the Job that looks after older backups failed and is tried again",
    )


def test_a_pod_that_is_refused_is_told() -> None:
    """What keeps the Job from working stands in the condition."""
    found = look(WORKING, job("w", Verb.RE_WRAP, age=20, warnings=("exceeded quota",)))

    assert said(found) == ("False", "PodNotCreated", "exceeded quota")


def test_missing_keys_are_named() -> None:
    """Whoever took out a key too early reads which, and how many backups hang on it; new backups go on."""
    keys = (*(KeyUse(id=f"old{number}", backups=1, needed_by=1, in_keyring=False) for number in range(6)), *OLD)
    found = look(with_status(KEYED, **(CALM | {"unopened": 6, "keys": keys})))

    assert said(found) == (
        "False",
        "KeyMissing",
        (
            "6 backups are opened by no key of the keyring, but by old0 (1), old1 (1), old2 (1), old3 (1), old4 (1) and 1 more keys:"
            " put that back, or delete them"
        ),
    )
    ready = {one.type.value: one.status.value for one in found.status.conditions}
    assert ready["Ready"] == "True"


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(with_status(WAITING, conditions=()), id="not-probed"),
        pytest.param(with_metadata(WAITING, generation=2), id="spec-changed-since"),
        pytest.param(replace(WAITING, spec=replace(WAITING.spec, suspend=True)), id="suspended"),
        pytest.param(replace(WAITING, spec=replace(WAITING.spec, access_mode=AccessMode.READ_ONLY)), id="read-only"),
        pytest.param(with_status(WAITING, re_wrap=None), id="nothing-waits"),
    ],
)
def test_when_nothing_is_begun(one: Any) -> None:
    """What waits was counted by a good probe of this very spec, and we may write."""
    verbs = [
        action.manifest["metadata"]["labels"]["dbcustody.dev/verb"]
        for action in look(one).actions
        if isinstance(action, StartJob)
    ]

    assert "re-wrap" not in verbs


def test_read_only_storage_says_why_it_waits() -> None:
    """Nobody closes anything there."""
    one = replace(WAITING, spec=replace(WAITING.spec, access_mode=AccessMode.READ_ONLY))

    assert "the storage is ReadOnly, so that nobody closes them" in said(look(one))[2]


def test_another_active_key_abandons_the_job() -> None:
    """What was asked under the old spec is stopped; the probe of the new one counts anew."""
    found = look(with_metadata(WORKING, generation=2), running("w", Verb.RE_WRAP))

    assert DeleteJob("w", "uid-w") in found.actions
    assert found.status.re_wrap.job_ref is None


def test_counts_of_another_active_key_are_not_spoken_of() -> None:
    """After the active key was changed nothing is said of the new one before a probe has counted for it."""
    before = condition(ConditionType.KEYS_CURRENT, "True", Reason.KEYS_CURRENT, "k1 opens every backup")
    calm = with_status(KEYED, **(CALM | {"conditions": (*CALM["conditions"], before), "re_wrap": ReWrap()}))
    (kept,) = [
        one
        for one in look(with_metadata(calm, generation=2)).status.conditions
        if one.type is ConditionType.KEYS_CURRENT
    ]

    assert (kept.observed_generation, kept.message) == (1, "k1 opens every backup")


def test_a_storage_that_never_had_keys_says_nothing_of_them() -> None:
    """And one whose encryption was taken away says so."""
    plain = with_status(storage(), **(CALM | {"keys": ()}))
    before = condition(ConditionType.KEYS_CURRENT, "True", Reason.KEYS_CURRENT)
    stopped = with_status(plain, conditions=(*CALM["conditions"], before))
    lost = with_status(plain, unopened=2, keys=(KeyUse(id="k1", backups=2, needed_by=2, in_keyring=False),))

    assert ConditionType.KEYS_CURRENT not in {one.type for one in look(plain).status.conditions}
    assert said(look(stopped))[:2] == ("True", "NotEncrypted")
    assert said(look(lost))[:2] == ("False", "KeyMissing")
