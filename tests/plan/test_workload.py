"""What is scaled, and when it counts as back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.database import Workload, WorkloadKind
from dbcustody.plan.actions import ScaleWorkload
from dbcustody.plan.workload import SeenWorkload, are_gone, remember, resumed, resuming, stopping

WEB = Workload(kind=WorkloadKind.DEPLOYMENT, name="web")
DB = Workload(kind=WorkloadKind.STATEFUL_SET, name="cache")
SEEN = (
    SeenWorkload(kind=WEB.kind, name="web", replicas=3, running=3),
    SeenWorkload(kind=DB.kind, name="cache", replicas=0),
)


def test_kinds_know_their_urls() -> None:
    """As the API server spells them."""
    assert [kind.plural for kind in WorkloadKind] == ["deployments", "statefulsets"]


def test_what_had_none_is_left_alone() -> None:
    """A workload without replicas is neither stopped nor started."""
    stopped = remember((WEB, DB), SEEN)
    assert stopping(stopped, SEEN) == (ScaleWorkload(WEB.kind, "web", 0),)
    assert resuming(resumed(stopped, (replace(SEEN[0], replicas=0), SEEN[1]))) == (ScaleWorkload(WEB.kind, "web", 3),)


@pytest.mark.parametrize(
    ("seen", "gone", "back"),
    [
        pytest.param(SEEN, False, True, id="runs"),
        pytest.param((replace(SEEN[0], replicas=0), SEEN[1]), False, False, id="ending"),
        pytest.param((replace(SEEN[0], replicas=0, running=0), SEEN[1]), True, False, id="gone"),
        pytest.param((replace(SEEN[0], replicas=None, running=0), SEEN[1]), True, True, id="deleted"),
        pytest.param((), True, False, id="not-seen"),
    ],
)
def test_gone_and_back(seen: tuple[SeenWorkload, ...], *, gone: bool, back: bool) -> None:
    """One that was deleted meanwhile is not ours to bring back; one that is not seen is not known to be."""
    stopped = remember((WEB, DB), SEEN)
    assert (are_gone(stopped, seen), resuming(resumed(stopped, seen)) == ()) == (gone, back)
