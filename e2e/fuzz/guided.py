"""Coverage-guided fuzzing of one target, where atheris is installed: `python -m fuzz.guided TARGET [option of libFuzzer ...]`.

Atheris is no dependency, because it is built for few versions of Python. It keeps what reaches code that nothing reached before and changes
that again, with our changes and its own; so it comes to places that chance alone is long in finding.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

atheris: Any = importlib.import_module("atheris")
with atheris.instrument_imports(include=["dbcustody"]):
    campaign = importlib.import_module("fuzz.campaign")

OURS_SHARE: Final = 0.8
MOST_BYTES: Final = 65_536


def main() -> None:
    """Fuzz until libFuzzer's own options end it (`-max_total_time=60`, `-runs=100000`); a finding ends it as a crash."""
    target = campaign.TARGETS[sys.argv[1]]
    others = target.corpus + target.donors

    def changed(data: bytes, most_bytes: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - it must come again
        try:
            ours = target.mutate(random, data, others)
        except (
            ValueError,
            TypeError,
            KeyError,
            RecursionError,
        ):  # our changes begin with a document; here it may be none
            ours = target.changed(random)
        return bytes(ours[:most_bytes] if random.random() < OURS_SHARE else atheris.Mutate(data, most_bytes))

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(target.corpus):
            Path(folder, str(number)).write_bytes(data)
        options = [f"-max_len={MOST_BYTES}", "-timeout=5", "-rss_limit_mb=2048", *sys.argv[2:], folder]
        atheris.Setup([sys.argv[0], *options], target.outcome, custom_mutator=changed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
