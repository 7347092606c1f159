"""A whole backup against bare pg_dump into a file: compressed, encrypted, uploaded and committed, on the same cores in the same minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from measure.contender import dump_to_file
from measure.database import size_bytes
from measure.figure import Figure
from measure.parts import parts_with
from measure.turns import all_of, ratio_of, take_turns

if TYPE_CHECKING:
    from measure.parts import Parts

LEAST_BYTES: Final = 1_500_000_000


def measure(*, rounds: int) -> list[Figure]:
    """Return the ratios of throughput, the share of verification, and what a backup costs in seconds of the processors."""
    with parts_with(LEAST_BYTES) as parts:
        size = size_bytes(parts.postgres)
        dump_to_file(parts)
        steps = (lambda: _plain(parts), lambda: {"bare": dump_to_file(parts)}, lambda: _counted(parts))
        taken = take_turns(steps, rounds=rounds)
    return [
        Figure("database size", "bytes", (float(size),)),
        Figure("bare pg_dump -Fc zstd:1 to a file", "s", all_of(taken, "bare")),
        Figure("backup without row counts, start-up left out", "s", all_of(taken, "plain")),
        Figure("backup with row counts, start-up left out", "s", all_of(taken, "counted")),
        Figure("start-up", "s", all_of(taken, "start_up")),
        Figure("throughput without row counts against bare pg_dump", "ratio", ratio_of(taken, "bare", "plain"), 0.90, "least"),
        Figure("throughput with row counts against bare pg_dump", "ratio", ratio_of(taken, "bare", "counted"), 0.85, "least"),
        Figure("verification Checksum", "s", all_of(taken, "checksum")),
        Figure("verification Read", "s", all_of(taken, "read")),
        Figure("verification Read against the backup with row counts", "ratio", ratio_of(taken, "read", "counted_whole"), 0.60, "most"),
        Figure("seconds of the processors in our process, with row counts and Read", "s", all_of(taken, "cpu_ours")),
        Figure("seconds of the processors in pg_dump and pg_restore", "s", all_of(taken, "cpu_clients")),
    ]  # fmt: skip


def _plain(parts: Parts) -> dict[str, float]:
    told = parts.back_up(row_counts="None", level="Checksum")
    return {
        "plain": told["backup_seconds"] - told["start_up_seconds"],
        "start_up": told["start_up_seconds"],
        "checksum": told["verification_seconds"],
    }


def _counted(parts: Parts) -> dict[str, float]:
    told = parts.back_up(row_counts="Exact", level="Read")
    return {
        "counted": told["backup_seconds"] - told["start_up_seconds"],
        "counted_whole": told["backup_seconds"],
        "read": told["verification_seconds"],
        "cpu_ours": told["cpu_seconds"]["ours"],
        "cpu_clients": told["cpu_seconds"]["clients"],
    }
