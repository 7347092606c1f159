"""Which backups retention leaves alone because of a restore, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import ConditionType, merge, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.plan.pruning import spared_by
from dbcustody.reason import Reason
from tests.fakes.restore_plane import CHOSEN, OLD, replace_request
from tests.fakes.seen import NOW, with_status

if TYPE_CHECKING:
    from dbcustody.api.restore import RestoreRequest


def replacing(*said: Any, **status: Any) -> RestoreRequest:
    """Return a request in mode Replace that restores `monday`, had `safety` taken before, and stands as *said*."""
    known = {
        "backup": CHOSEN,
        "safety_backup": ObjectRef(name="safety"),
        "conditions": merge((), said, generation=1, now=NOW),
    }
    found: RestoreRequest = with_status(replace_request(), **(known | status))
    return found


OVER = yes(ConditionType.FINISHED, Reason.SUCCEEDED)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        pytest.param(replacing(backup=None, safety_backup=None), (), id="nothing-chosen"),
        pytest.param(replacing(safety_backup=None), ("monday",), id="planned"),
        pytest.param(replacing(), ("monday", "safety"), id="under-way"),
        pytest.param(replacing(OVER, old_database=OLD), ("monday", "safety"), id="can-be-undone"),
        pytest.param(replacing(OVER, old_database=OLD, backup=None), ("safety",), id="an-undo-that-can-be-undone"),
        pytest.param(replacing(OVER, old_database=replace(OLD, dropped_time=NOW)), (), id="dropped"),
        pytest.param(replacing(OVER), (), id="over"),
    ],
)
def test_the_way_back_from_a_swap_is_left_open(request_: RestoreRequest, names: tuple[str, ...]) -> None:
    """What was restored and what was there before stay while the swap can be undone; what lies at another storage is none of ours."""
    assert spared_by(request_, reads_here=True) == names
    assert spared_by(request_, reads_here=False) == tuple(name for name in names if name == "safety")
