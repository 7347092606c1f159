"""Parallelism 2 against what pg_dump offers for it, which needs a folder: `pg_dump -Fd -j2`, and an upload of that folder afterwards.

Both sides work on the same two cores, with the same pg_dump, zstd at level 1 and data in the server's memory; both flush what they write to
a disk. What we do beside that is held against us: encryption, checksums, the manifest, connecting. Row counts, which a dump has not, are
left out where we are judged and told separately.

Nothing staged: the kernel counts the bytes that a process and its ended children sent towards a disk, also those of files that nobody could
see or that are gone again. Into a volume that may be what is stored and no more, into a bucket nothing. The folder of pg_dump is the proof
that the counting sees anything here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure.contender import dump_to_folder, upload_folder
from measure.database import size_bytes
from measure.disk import size_of, written_bytes
from measure.figure import Figure
from measure.parts import parts_with
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from measure.parts import Parts

LEAST_BYTES: Final = 1_500_000_000
LEAST_INTO_VOLUME: Final = 0.90
LEAST_INTO_BUCKET: Final = 1.0
MOST_WRITTEN: Final = 1.02
"""Against what is stored: manifest, keys, and half a page at the end of each file."""
MOST_STRAY_BYTES: Final = 1_000_000.0


def measure(*, rounds: int) -> list[Figure]:
    """Return the ratios of throughput, and what went to a disk."""
    with two_cores(), parts_with(LEAST_BYTES) as parts:
        size = size_bytes(parts.postgres)
        _folder(parts)
        steps = (
            lambda: _volume(parts, "volume", "None"),
            lambda: _folder(parts),
            lambda: _volume(parts, "volume_counted", "Exact"),
            lambda: _bucket(parts, "bucket", "None"),
            lambda: _bucket(parts, "bucket_counted", "Exact"),
        )
        taken = take_turns(steps, rounds=rounds)
    return [Figure("database size", "bytes", (float(size),)), *_speed(taken), *_staging(taken)]


def _speed(taken: list[dict[str, float]]) -> list[Figure]:
    volume, bucket = "parallelism 2 into a volume", "parallelism 2 into a bucket"
    against_both = ratio_of(taken, "folder_and_upload", "bucket")
    return [
        Figure("pg_dump -Fd -j2 zstd:1 into a folder", "s", all_of(taken, "folder")),
        Figure("upload of that folder", "s", all_of(taken, "upload")),
        Figure(f"{volume} without row counts", "s", all_of(taken, "volume")),
        Figure(f"{volume} with row counts", "s", all_of(taken, "volume_counted")),
        Figure(f"{bucket} without row counts", "s", all_of(taken, "bucket")),
        Figure(f"{bucket} with row counts", "s", all_of(taken, "bucket_counted")),
        Figure(f"throughput of {volume} against pg_dump -Fd -j2", "ratio", ratio_of(taken, "folder", "volume"), LEAST_INTO_VOLUME, "least"),
        Figure("the same with row counts", "ratio", ratio_of(taken, "folder", "volume_counted")),
        Figure(f"speed of {bucket} against pg_dump -Fd -j2 and upload", "ratio", against_both, LEAST_INTO_BUCKET, "least"),
        Figure("the same with row counts", "ratio", ratio_of(taken, "folder_and_upload", "bucket_counted")),
    ]  # fmt: skip


def _staging(taken: list[dict[str, float]]) -> list[Figure]:
    into_volume, into_bucket = all_of(taken, "volume_written"), all_of(taken, "bucket_written")
    return [
        Figure("written to disks against stored, pg_dump -Fd -j2 and upload", "ratio", all_of(taken, "folder_written")),
        Figure("written to disks against stored, into a volume", "ratio", into_volume, MOST_WRITTEN, "most", "worst"),
        Figure("written to disks, into a bucket", "bytes", into_bucket, MOST_STRAY_BYTES, "most", "worst"),
    ]


def _folder(parts: Parts) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as above:
        folder, before = Path(above) / "shop", written_bytes()
        dumped = dump_to_folder(parts, folder)
        uploaded = upload_folder(parts, folder)
        share = (written_bytes() - before) / size_of(folder)
    if share < 0.9:
        raise RuntimeError(f"the kernel counted {share:.2f} of what pg_dump wrote: the temporary folder is no disk")
    return {"folder": dumped, "upload": uploaded, "folder_and_upload": dumped + uploaded, "folder_written": share}


def _volume(parts: Parts, name: str, row_counts: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as volume:
        before = written_bytes()
        told = parts.back_up(volume=volume, parallelism=2, row_counts=row_counts, level="Checksum")
        share = (written_bytes() - before) / told["stored_bytes"]
    return {name: told["backup_seconds"], f"{name}_written": share}


def _bucket(parts: Parts, name: str, row_counts: str) -> dict[str, float]:
    before = written_bytes()
    told = parts.back_up(parallelism=2, row_counts=row_counts, level="Checksum")
    return {name: told["backup_seconds"], f"{name}_written": float(written_bytes() - before)}
