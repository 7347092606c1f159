"""A run over all targets: cut into slices that each have a seed of their own, so that any of them can be tried again alone.

What is tried depends on the seed and the counts only, not on how many processes share the work.
"""

from __future__ import annotations

import hashlib
import resource
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Final

from fuzz import plain, sealed, spoken, stock
from fuzz.target import FindingError, Outcome, spent_seconds, stop_watching, watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fuzz.target import Target

TARGETS: Final = {target.name: target for target in (*sealed.TARGETS, *plain.TARGETS, *spoken.TARGETS, *stock.TARGETS)}
SLICE_INPUTS: Final = 5_000
MOST_MEMORY_BYTES: Final = 2 << 30
"""Of address space, for each process: an input that wants more ends as a MemoryError, which is a finding."""
MOST_FINDINGS: Final = 3
"""Of one slice: more of the same tell nothing."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some inputs for one target, the same ones each time."""

    target: str
    seed: int
    number: int
    inputs: int

    @property
    def random(self) -> Random:
        """The source of everything that happens in it."""
        return Random(f"{self.seed}/{self.target}/{self.number}")  # noqa: S311 - it must come again


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one target."""

    target: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    findings: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return self.outcomes.total() + len(self.findings)

    def add(self, other: Tally) -> None:
        """Take in what came of a slice."""
        self.outcomes += other.outcomes
        self.seconds += other.seconds
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.findings += other.findings


def check_soundness(targets: Sequence[Target]) -> None:
    """Raise FindingError unless every reader takes what it must take: else refusing everything would pass for strictness."""
    for target in targets:
        for data in target.corpus:
            if target.outcome(data) is not Outcome.UNCHANGED:
                raise FindingError(f"{target.name}: does not take a sound document")


def slices(targets: Sequence[Target], seed: int, inputs: int) -> list[Slice]:
    """Return the work: at least *inputs* inputs, dealt out by weight, of all targets in turn."""
    weights = sum(target.weight for target in targets)
    counts = {target.name: -(-inputs * target.weight // weights) for target in targets}
    cut = [
        Slice(name, seed, number, min(SLICE_INPUTS, count - number * SLICE_INPUTS))
        for name, count in counts.items()
        for number in range(-(-count // SLICE_INPUTS))
    ]
    return sorted(cut, key=lambda one: one.number / counts[one.target])


def run_slice(piece: Slice) -> Tally:
    """Try the inputs of *piece*."""
    target, random, tally = TARGETS[piece.target], piece.random, Tally(piece.target)
    began = spent_seconds()
    for _ in range(piece.inputs):
        data = target.changed(random)
        before = spent_seconds()
        _try(target, data, tally)
        tally.slowest_seconds = max(tally.slowest_seconds, spent_seconds() - before)
        if len(tally.findings) >= MOST_FINDINGS:
            break
    tally.seconds = spent_seconds() - began
    tally.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return tally


def _try(target: Target, data: bytes, tally: Tally) -> None:
    watch()
    try:
        tally.outcomes[target.outcome(data)] += 1
    except FindingError as finding:
        tally.findings.append((str(finding), data))
    finally:
        stop_watching()


def run(pieces: Sequence[Slice], processes: int) -> Iterator[Tally]:
    """Yield what came of every slice, as soon as it is over."""
    with get_context("fork").Pool(processes, initializer=_begin_process) as pool:
        yield from pool.imap_unordered(run_slice, pieces)


def _begin_process() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))


def file_name(target: str, data: bytes) -> str:
    """Return the name of the file that keeps a failing input; it names the target that it is for."""
    return f"{target}.{hashlib.sha256(data).hexdigest()[:12]}"
