"""`python -m measure [section ...]`: run benchmarks, print them beside their bars, and keep the figures in bench/results/."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from measure.figure import Figure

SECTIONS: Final = (
    "image",
    "backup",
    "parallel",
    "rivals",
    "restore",
    "swap",
    "migrations",
    "lockqueue",
    "tables",
    "pgbench",
    "memory",
    "fleet",
    "installation",
    "rollout",
    "latency",
    "rewrap",
    "catalogue",
)
RESULTS: Final = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Run what the command line names; returns 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="measure", description="Benchmarks on real parts; results in bench/results/.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help=f"default: {' '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each ratio is taken; the median counts")
    arguments = parser.parse_args()
    missed = 0
    for section in arguments.sections or SECTIONS:
        print(f"== {section}", flush=True)
        figures: Sequence[Figure] = importlib.import_module(f"measure.{section}").measure(rounds=arguments.rounds)
        _keep(section, figures)
        for figure in figures:
            print(f"   {figure}", flush=True)
            missed += not figure.is_met
    return 1 if missed else 0


def _keep(section: str, figures: Sequence[Figure]) -> None:
    """Write the figures of *section* with where and when they were measured."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "section": section,
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {"cores": os.cpu_count(), "memory_bytes": _memory_bytes(), "kernel": platform.release()},
        "python": platform.python_version(),
        "figures": [figure.document for figure in figures],
    }
    (RESULTS / f"{section}.json").write_text(json.dumps(document, indent=1) + "\n")


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


if __name__ == "__main__":
    sys.exit(main())
