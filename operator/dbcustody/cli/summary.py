"""What a person wants to know after a backup: whether it is good, what is in it, where it lies, and what was not captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.cli.figures import count_text, duration_text, size_text, time_text
from dbcustody.naming import named
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import Artefact
    from dbcustody.api.connection import Recognised
    from dbcustody.contract import JobResult
    from dbcustody.facts import BackupFacts, PruneFacts

_WIDTH = 14
_NAMES_SHOWN = 10


def backup_text(result: JobResult, database: Recognised | None) -> str:
    """Return the summary of a backup that lies in the storage, good or not."""
    facts = result.backup
    if facts is None or facts.artefact is None:
        return result.message
    head = f"backup {facts.name}: {_verdict(result, facts)}"
    rows = [
        ("database", "-" if database is None else f"{database.database} at {database.host}, {_server(facts)}"),
        ("location", facts.artefact.location),
        ("captured", _captured(facts)),
        ("size", _size(facts.artefact)),
        ("time", _time(facts)),
        ("verified", _verified(facts)),
        *(("restore test", text) for text in _restore_test(facts)),
        (
            "encrypted",
            f"with key {', '.join(facts.artefact.key_ids)}"
            if facts.encrypted
            else "no: anybody who can read the storage can read it",
        ),
        *(("not captured", item) for item in facts.not_captured),
    ]
    return "\n".join([head, *(f"  {name:<{_WIDTH}}{text}" for name, text in rows)])


def retention_text(facts: PruneFacts) -> str:
    """Return what retention kept and removed."""
    kept = f"{facts.retained.count} kept ({size_text(facts.retained.bytes)})"
    said = [kept, f"{len(facts.deleted)} deleted{_names(facts.deleted)}"]
    said += [f"{len(facts.held)} held by the storage{_names(facts.held)}"] if facts.held else []
    said += [f"{len(facts.failed)} not deleted{_names(facts.failed)}"] if facts.failed else []
    swept = facts.swept_objects + facts.swept_uploads
    said += [f"{swept} leftovers of unfinished runs swept"] if swept else []
    return f"  {'retention':<{_WIDTH}}{', '.join(said)}"


def _verdict(result: JobResult, facts: BackupFacts) -> str:
    if result.exit_code is not ExitCode.DONE:
        return "NOT GOOD, although it lies in the storage"
    return "good; it was there already, and nothing was dumped" if facts.adopted else "good"


def _server(facts: BackupFacts) -> str:
    return "server unknown" if facts.server is None else f"PostgreSQL {facts.server.version}"


def _captured(facts: BackupFacts) -> str:
    if facts.tables is None:
        return "-"
    rows = "rows not counted" if facts.tables.rows is None else f"{count_text(facts.tables.rows)} rows"
    return f"{count_text(facts.tables.count)} tables, {rows}"


def _size(artefact: Artefact) -> str:
    return f"{artefact.stored} ({count_text(artefact.stored_bytes)} bytes)"


def _time(facts: BackupFacts) -> str:
    if facts.start_time is None or facts.finish_time is None:
        return f"snapshot of {time_text(facts.snapshot_time)}"
    seconds = (facts.finish_time - facts.start_time).total_seconds()
    return f"{duration_text(seconds)} until it was stored, snapshot of {time_text(facts.snapshot_time)}"


def _verified(facts: BackupFacts) -> str:
    level = facts.verified_level or "no"
    return f"{level}: {facts.verification_message}" if facts.verification_message else level


def _restore_test(facts: BackupFacts) -> tuple[str, ...]:
    """Return why there was none, or what it found; nothing where level and message above say it already."""
    test = facts.restore_test
    return () if test is None or test.reason is Reason.RESTORE_TESTED else (f"not passed: {test.message}",)


def _names(names: tuple[str, ...]) -> str:
    return f": {named(names, _NAMES_SHOWN)}" if names else ""
