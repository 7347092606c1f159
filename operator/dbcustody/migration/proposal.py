"""What is to be carried out next, by a name that changes with everything that it depends on: whoever agreed to it agreed to that alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.migration.forecast import Risk
from dbcustody.migration.outlook import look_ahead, risk_of_body

if TYPE_CHECKING:
    from dbcustody.migration.history import History
    from dbcustody.migration.patience import Limits
    from dbcustody.migration.script import Script

_HASH_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedScript:
    """A script that is to run, and how dangerous that is."""

    name: str
    risk: Risk
    is_irreversible: bool
    """Whether it has no way back, or loses what no way back brings back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The scripts that are to run, in their order; *hash* is of them, of what is in and ever was, and of what is allowed.

    What was undone and is pending again is another plan: nobody agreed to have it once more. A run that failed changes nothing in it.
    """

    hash: str
    scripts: tuple[ProposedScript, ...]

    @property
    def risk(self) -> Risk | None:
        """That of the most dangerous one; None: there is none."""
        return max((script.risk for script in self.scripts), default=None)


def propose(history: History, limits: Limits, *, allows_out_of_order: bool) -> Proposal:
    """Return what *history* has pending, as a plan to be carried out within *limits*."""
    about = {
        "applied": history.applied,
        "changes": history.changes,
        "limits": asdict(limits),
        "differences": sorted((one.kind.value, one.name) for one in history.differences),
        "outOfOrder": allows_out_of_order,
        "pending": [(script.revision, script.name, script.checksum) for script in history.pending],
    }
    text = json.dumps(about, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return Proposal(
        hash=hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS],
        scripts=tuple(_proposed(script) for script in history.pending),
    )


def _proposed(script: Script) -> ProposedScript:
    outlook = look_ahead(script.up.statements)
    return ProposedScript(
        name=script.name,
        risk=risk_of_body(script.up),
        is_irreversible=script.down is None or outlook.point_of_no_return is not None,
    )
