"""The restore test: a backup goes into a database of a throw-away server, is compared, and is dropped again, whatever came of it.

What is wrong with the backup condemns it. What is wrong with the server (it does not start, lacks an extension or a locale, is too small)
proves nothing about the backup: that is told, and the backup counts as far as it was read.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.usage import read_usage, read_version
from dbcustody.api.backup import Progress, Stage
from dbcustody.api.policy import LocaleFallback, Verification
from dbcustody.api.restore import MissingRoles
from dbcustody.contract import TEST_SERVER_SAID
from dbcustody.errors import DamagedError, DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.guidance import GUIDANCE
from dbcustody.jobs.quantity import grouped, size_text
from dbcustody.jobs.restoration import RestoreOrder, restore
from dbcustody.jobs.source import Source
from dbcustody.jobs.tools import check_stop
from dbcustody.naming import named
from dbcustody.plan.restoration import Wish
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.restore import RestoreProgress
    from dbcustody.jobs.restoration import Restored
    from dbcustody.jobs.tools import Tools

DATABASE_PREFIX: Final = "dbcustody_test_"
"""Of the databases that are made for a test: whoever finds one that a killed process left may drop it."""
PATIENCE_SECONDS: Final = 120.0
"""How long a server in the same pod may take to start; another one answers or does not."""
_TRY_AGAIN_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.2
_MEASURE_SECONDS: Final = 1.0
_FULL: Final = 0.95
"""Of the scratch space: at its end the kubelet evicts the whole pod, and the worker with it."""
_LONGEST_SAID: Final = 200
_CONDEMNING: Final = frozenset(
    {Reason.CHECKS_FAILED, Reason.RESTORE_FAILED, Reason.ARCHIVE_DAMAGED, Reason.VERIFICATION_FAILED}
)
_OF_THE_STORAGE: Final = frozenset({"StorageReachable", "EncryptionReady", "ConformancePassed"})
"""Conditions whose reasons speak of where the backup lies: the storage did not answer, so nothing was found out."""
_NO_ANSWER: Final = frozenset(
    {Reason.HOST_UNREACHABLE, Reason.CONNECTION_LOST, Reason.AUTHENTICATION_FAILED, Reason.TLS_FAILED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a restore test; *seconds* None: it did not pass."""

    reason: Reason
    message: str
    seconds: int | None = None

    @property
    def has_passed(self) -> bool:
        """Whether everything came back equal."""
        return self.reason is Reason.RESTORE_TESTED

    @property
    def condemns(self) -> bool:
        """Whether something is wrong with the backup itself."""
        return self.reason in _CONDEMNING


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTest:
    """What is to be restored, and how."""

    source: Source
    terms: Verification = field(default_factory=Verification)
    parallelism: int = 1


def try_restore(test: RestoreTest, tools: Tools) -> Trial:
    """Return what came of restoring the source of *test* on the throw-away server of *tools*; nothing of it is left there.

    Raises DamagedError when it is not what was written, the errors of storage and keys, and InterruptedRunError when told to stop.
    """
    target = tools.test_server()
    if target is None:
        return Trial(reason=Reason.TEST_SERVER_UNAVAILABLE, message="there is no server for restore tests")
    try:
        version = await_server(target, tools)
        return _Attempt(test, tools, target).run(version)
    except (InterruptedRunError, DamagedError):
        raise
    except DbcustodyError as error:
        return _judge(error)


def await_server(target: PostgresTarget, tools: Tools, *, patience_seconds: float = PATIENCE_SECONDS) -> str:
    """Return the version of the server at *target* once it answers.

    Raises RefusedError (TestServerUnavailable) when it does not within *patience_seconds*, or has said why it never will.
    """
    is_beside = target.host.startswith("/")
    until = time.monotonic() + (patience_seconds if is_beside else 0.0)
    while True:
        check_stop(tools)
        try:
            with connect(target) as session:
                return read_version(session)
        except UnavailableError as error:
            said = _last_words(Path(target.host)) if is_beside else None
            if said is not None or time.monotonic() >= until:
                raise RefusedError(
                    f"the server for restore tests does not answer: {said or error.message}",
                    reason=Reason.TEST_SERVER_UNAVAILABLE,
                ) from error
        tools.stop.wait(_TRY_AGAIN_SECONDS)


def _last_words(folder: Path) -> str | None:
    """Return what the server's start told of its end; None: it has not failed."""
    try:
        lines = (folder / TEST_SERVER_SAID).read_text(errors="replace").splitlines()
    except OSError:
        return None
    told = [line.strip() for line in lines if line.strip()]
    return (told[-1] if told else "it ended at once and said nothing")[:_LONGEST_SAID]


def _judge(error: DbcustodyError) -> Trial:
    """Return what *error* says of the backup or of the server; raises it again when it is the storage's."""
    if GUIDANCE[error.reason].condition in _OF_THE_STORAGE:
        raise error
    if error.reason is Reason.SERVER_FULL:
        return Trial(reason=Reason.SCRATCH_TOO_SMALL, message=error.message)
    reason = Reason.TEST_SERVER_UNAVAILABLE if error.reason in _NO_ANSWER else error.reason
    return Trial(reason=reason, message=error.message)


class _Attempt:
    """One test of a backup on a server that answers."""

    def __init__(self, test: RestoreTest, tools: Tools, target: PostgresTarget) -> None:
        self._source, self._terms, self._parallelism = test.source, test.terms, test.parallelism
        self._tools, self._target = tools, target
        self._halt, self._used_bytes = threading.Event(), 0

    def run(self, version: str) -> Trial:
        """Return what was found; raises what `restore` raises."""
        try:
            restored, remark = self._restore_as_far_as_allowed()
        except InterruptedRunError:
            if self._tools.stop.is_set():
                raise
            used, room = size_text(self._used_bytes), size_text(self._room_bytes or 0)
            message = f"the restored database does not fit: {used} of {room} are taken, and it is not whole"
            return Trial(reason=Reason.SCRATCH_TOO_SMALL, message=message)
        seconds = max(1, ceil(restored.seconds))
        return Trial(
            reason=Reason.RESTORE_TESTED, message=_describe(restored, seconds, version) + remark, seconds=seconds
        )

    def _restore_as_far_as_allowed(self) -> tuple[Restored, str]:
        """Return what was restored, and what has to be said about its locale."""
        try:
            return self._restore(self._source), ""
        except RefusedError as error:
            if error.reason is not Reason.LOCALE_MISSING or self._terms.locale_fallback is not LocaleFallback.C:
                raise
            return self._restore(with_plain_locale(self._source)), f"; with locale C, because {error.message}"

    def _restore(self, source: Source) -> Restored:
        order = RestoreOrder(
            source=source,
            server=self._target,
            wish=Wish(database=f"{DATABASE_PREFIX}{uuid.uuid4().hex[:12]}", missing_roles=MissingRoles.CREATE),
            parallelism=self._parallelism,
            report=_told_as_verification(self._tools),
            is_throw_away=True,
        )
        with self._watched():
            return restore(order, replace(self._tools, stop=self._halt))

    @property
    def _room_bytes(self) -> int | None:
        return self._terms.scratch.size_bytes if self._terms.scratch is not None else None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Halt the restore while the block lasts when we are to stop, or when its server's scratch space is nearly full."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), name="scratch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        measure_at = time.monotonic() + _MEASURE_SECONDS
        while not over.wait(_LOOK_SECONDS):
            if self._tools.stop.is_set():
                self._halt.set()
            elif self._room_bytes is not None and time.monotonic() >= measure_at:
                self._measure(self._room_bytes)
                measure_at = time.monotonic() + _MEASURE_SECONDS

    def _measure(self, room_bytes: int) -> None:
        """Halt when too much is taken; a server that does not tell is met by the restore itself."""
        try:
            with connect(self._target, direct=False) as session:
                self._used_bytes = read_usage(session)
        except DbcustodyError:
            return
        if self._used_bytes > room_bytes * _FULL:
            self._halt.set()


def with_plain_locale(source: Source) -> Source:
    """Return *source* as if its database had been made with the locale C, which every server has."""
    facts = source.catalogue.database
    plain = replace(facts, collation="C", ctype="C", locale_provider="libc", icu_locale=None, icu_rules=None)
    return replace(source, catalogue=replace(source.catalogue, database=plain))


def _told_as_verification(tools: Tools) -> Callable[[RestoreProgress], None]:
    """Return what tells the progress of a restore as that of a backup that is being verified."""

    def tell(progress: RestoreProgress) -> None:
        tools.report(
            Progress(
                stage=Stage.VERIFYING,
                summary=f"restore test: {progress.summary}",
                percent=progress.percent,
                bytes=progress.bytes,
                bytes_per_second=progress.bytes_per_second,
                updated_time=progress.updated_time,
            )
        )

    return tell


def _describe(restored: Restored, seconds: int, version: str) -> str:
    accepted = restored.accepted
    rows = "rows not counted" if accepted.rows is None else f"{grouped(accepted.rows)} rows"
    equal = f"restored in {seconds} s on PostgreSQL {version}: {accepted.tables} tables, {rows}, compared and equal"
    return f"{equal}; {named(accepted.remarks, 1)}" if accepted.remarks else equal
