"""Whoever takes backups and has them restored on a throw-away server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.policy import Level, Verification
from dbcustody.jobs import backup
from tests.fakes.custodian import Custodian
from tests.fakes.throwaway import ThrowAway

if TYPE_CHECKING:
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.facts import RestoreTestFacts
    from dbcustody.jobs.tools import Tools

TEST: Final = Verification(level=Level.RESTORE)


@dataclass
class Examiner:
    """Takes backups of *custodian* and restores them on *server*; *server* None means that there is none."""

    custodian: Custodian
    server: ThrowAway | None
    terms: Verification = TEST
    more: dict[str, Any] = field(default_factory=dict)
    """Of the request."""

    def tools(self) -> Tools:
        """Return the tools of a new attempt."""
        return replace(self.custodian.tools(), test_server=lambda: self.server.target if self.server else None)

    def request(self, name: str = "nightly", **options: Any) -> JobRequest:
        """Return the request for a backup that is tested."""
        return replace(self.custodian.request(name, verification=self.terms, **options), **self.more)

    def take(self, name: str = "nightly", **options: Any) -> JobResult:
        """Take the backup *name* and test it."""
        return backup.run(self.request(name, **options), self.tools())

    @property
    def levels(self) -> frozenset[str]:
        """The levels that the storage says the newest backup has passed."""
        return self.custodian.stock().live[-1].verified_levels


def outcome(result: JobResult) -> RestoreTestFacts:
    """Return what *result* says of the restore test."""
    assert result.backup is not None
    assert result.backup.restore_test is not None
    return result.backup.restore_test
