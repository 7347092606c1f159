"""What happened to a resource, oldest first, out of everything that says so."""

from __future__ import annotations

from dbcustody.plan.timeline import timeline_of


def test_approvals_and_backups_are_told_by_name() -> None:
    """With whose word it was, as far as that is known."""
    place = {"creationTimestamp": "2026-01-31T10:00:00Z"}
    spec = {"planHash": "abc", "decision": "Approve", "approver": "ivan"}
    approvals = [{"metadata": {"name": "yes", **place}, "spec": spec}, {"metadata": {"name": "x", **place}, "spec": {}}]
    backups = [{"metadata": {"name": "b", **place}, "status": {"finishTime": "2026-01-31T10:05:00Z"}}]
    found = timeline_of({"metadata": {}}, approvals=approvals, backups=backups)
    assert [(one.what, one.words) for one in found] == [
        ("Approval", "Approval x of plan None by nobody knows whom"),
        ("Approve", "Approval yes of plan abc by ivan"),
        ("backup", "Backup b is asked for"),
        ("backup", "Backup b is over"),
    ]


def test_conditions_are_told_with_their_word() -> None:
    """A resource that says nothing yet has only been created."""
    condition = {"type": "Ready", "status": "True", "reason": "Applied", "message": "in"}
    body = {
        "metadata": {"creationTimestamp": "2026-01-31T09:00:00Z"},
        "status": {"conditions": [{**condition, "lastTransitionTime": "2026-01-31T10:00:00Z"}, condition]},
    }
    assert [(one.what, one.words) for one in timeline_of(body)] == [("created", ""), ("Applied", "Ready=True in")]


def test_attempts_and_runs_are_part_of_what_happened() -> None:
    """What has no time is not: it has not happened yet."""
    body = {
        "metadata": {"name": "shop"},
        "status": {
            "history": [
                {"name": "a", "state": "Applied", "finishTime": "2026-01-31T10:00:00Z"},
                {"name": "b", "state": "Started"},
            ],
            "lastError": {"sqlstate": "23505", "revision": "c", "line": 2, "time": "2026-01-31T09:30:00Z"},
            "run": {"jobName": "j", "reason": "Applied", "message": "in", "finishTime": "2026-01-31T10:00:01Z"},
        },
    }
    events = [{"metadata": {"creationTimestamp": "2026-01-31T09:00:00Z"}}]
    assert [(one.what, one.words) for one in timeline_of(body, events=events)] == [
        ("Event", ""),
        ("refused", "c: line 2 (SQLSTATE 23505)"),
        ("Applied", "a"),
        ("Applied", "Job j: in"),
    ]
    assert timeline_of({"metadata": {}}) == ()
    untimed = {"metadata": {}, "status": {"lastError": {"sqlstate": "23505", "revision": "c"}}}
    assert timeline_of(untimed) == ()
