"""`python -m dbcustody` and the `dbcustody` command."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from dbcustody.cli.main import main as run

_AT_ONCE: Final = frozenset({"migrate"})
"""What people and pipelines wait for many times a day, which when it is over has closed what it opened and has no thread left."""


def main() -> NoReturn:
    """Run the command line, and end with its exit code."""
    try:
        run()
    except SystemExit as end:
        if sys.argv[1:2] and sys.argv[1] in _AT_ONCE and isinstance(end.code, int):
            _leave(end.code)
        raise


def _leave(code: int) -> NoReturn:
    """End the process without taking apart all that was loaded, which takes longer than to ask a server; what was said is written first.

    Raises OSError where that cannot be written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
