"""`make fuzz`: try changed documents on every reader; prints the seed, keeps every input that was a finding, and returns 1 for any."""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fuzz.campaign import TARGETS, Tally, check_soundness, file_name, run, slices
from fuzz.target import FindingError, Outcome
from ground.cache import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

FINDINGS: Final = REPOSITORY / "build" / "fuzz"
SECONDS_BETWEEN_REPORTS: Final = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, or try kept inputs again."""
    options = parse_arguments(arguments)
    if options.replay:
        return sum(_replay(Path(path)) for path in options.replay) and 1
    targets = [TARGETS[name] for name in options.target or TARGETS]
    check_soundness(targets)
    print(
        f"seed {options.seed}, {options.inputs} inputs, {options.processes} processes, Python {platform.python_version()}",
        flush=True,
    )
    began = time.monotonic()
    tallies = _run(options, {target.name: Tally(target.name) for target in targets})
    _report(tallies, time.monotonic() - began)
    return 1 if any(tally.findings for tally in tallies.values()) else 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="fuzz", description="Changed documents for every reader; see docs/fuzzing.md."
    )
    parser.add_argument("--inputs", type=int, default=10_000_000, help="how many in all; dealt out over the targets")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**32), help="the same seed tries the same inputs"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help="where an input that was a finding is kept")
    parser.add_argument("--replay", nargs="+", metavar="FILE", help="try inputs again that were kept")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, tallies: dict[str, Tally]) -> dict[str, Tally]:
    pieces = slices([TARGETS[name] for name in tallies], options.seed, options.inputs)
    reported = time.monotonic()
    for part in run(pieces, options.processes):
        tallies[part.target].add(part)
        for complaint, data in part.findings:
            print(
                f"FINDING {part.target}: {complaint}\n  kept in {_keep(options.findings, part.target, data)}",
                flush=True,
            )
        if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            print(f"  {sum(tally.inputs for tally in tallies.values())} inputs so far", flush=True)
    return tallies


def _keep(folder: Path, target: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(target, data)
    path.write_bytes(data)
    return path


def _replay(path: Path) -> int:
    """Try one kept input again; returns 1 when it still is a finding."""
    target = TARGETS[path.name.partition(".")[0]]
    try:
        print(f"{path}: {target.outcome(path.read_bytes()).value}")
    except FindingError as finding:
        print(f"{path}: FINDING: {finding}")
        return 1
    return 0


def _report(tallies: dict[str, Tally], seconds: float) -> None:
    print("| target | inputs | refused | another sound one | unchanged | inputs/s | slowest ms | findings |")
    print("|---|---|---|---|---|---|---|---|")
    for tally in tallies.values():
        counts = (tally.outcomes[one] for one in (Outcome.REFUSED, Outcome.TAKEN, Outcome.UNCHANGED))
        speed, slowest = tally.inputs / max(tally.seconds, 1e-9), tally.slowest_seconds * 1000
        columns = (tally.target, tally.inputs, *counts, f"{speed:.0f}", f"{slowest:.1f}", len(tally.findings))
        print(f"| {' | '.join(str(column) for column in columns)} |")
    total, peak = sum(tally.inputs for tally in tallies.values()), max(tally.peak_bytes for tally in tallies.values())
    print(f"{total} inputs in {seconds:.0f} s, {total / seconds:.0f}/s, at most {peak >> 20} MiB resident, "
          f"{sum(len(tally.findings) for tally in tallies.values())} findings", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
