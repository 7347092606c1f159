"""The command tree of `kubectl dbcustody`. Each command imports what it needs when it runs, so that `--help` comes at once."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

import dbcustody
from dbcustody.errors import DbcustodyError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from dbcustody.cli.kubectl.session import Session

PROGRAM: Final = "kubectl-dbcustody"
"""As kubectl finds it, and as shells complete it."""
COMPLETE: Final = "_KUBECTL_DBCUSTODY_COMPLETE"
_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _connect(**options: Any) -> AbstractAsyncContextManager[Session]:
    from dbcustody.cli.kubectl.session import connect  # noqa: PLC0415 - see the module's docstring

    return connect(**options)


@dataclass(frozen=True, slots=True)
class Door:
    """How commands come to their session; tests have another one."""

    open: Callable[..., AbstractAsyncContextManager[Session]] = _connect

    def work(self, options: dict[str, Any], command: Callable[[Session], Awaitable[int]]) -> int:
        """Return the exit code of *command* with the session that *options* describe."""

        async def run(words: Sequence[str] | None = None, door: Door | None = None) -> int:
    """Run the command line and return its exit code; every error is one message on standard error."""
    program = PROGRAM if COMPLETE in os.environ else "kubectl dbcustody"
    try:
        code = kubectl_command.main(words, prog_name=program, complete_var=COMPLETE, standalone_mode=False, obj=door)
    except SystemExit as end:
        return int(end.code or 0)
    except (click.ClickException, click.exceptions.Abort, KeyboardInterrupt, DbcustodyError) as error:
        return _told(error)
    return int(code or 0)


def _told(error: BaseException) -> int:
    """Tell *error* and return the exit code that it means."""
    from dbcustody.cli.ending import Exit, complain  # noqa: PLC0415

    match error:
        case click.ClickException():
            error.show()
            return Exit.USAGE
        case InvalidSpecError():
            complain(error.message)
            return Exit.USAGE
        case DbcustodyError():
            complain(error.message)
            return Exit.ERROR
        case _:
            complain("cancelled")
            return Exit.CANCELLED


def main() -> NoReturn:
    """Run `kubectl dbcustody`; nobody is to see a traceback with values in it."""
    try:
        code = run()
    except Exception as error:  # noqa: BLE001 - the last frame of the process
        from dbcustody.cli.ending import complain  # noqa: PLC0415
        from dbcustody.logs import where_raised  # noqa: PLC0415

        places = " < ".join(reversed(where_raised(error)[-3:]))
        complain(f"InternalError: {type(error).__name__} at {places}; please report this")
        code = 1
    sys.exit(code)
