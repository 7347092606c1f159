"""How commands of `kubectl dbcustody` come to the API server: with kubectl's own options, through a session that tests bring themselves."""

from __future__ import annotations

import asyncio
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from dbcustody.cli.kubectl.session import Session

    Command = Callable[[Session], Awaitable[int]]


def _connect(**options: Any) -> AbstractAsyncContextManager[Session]:
    from dbcustody.cli.kubectl.session import connect  # noqa: PLC0415 - only when a command runs, so that `--help` comes at once

    return connect(**options)


class Door:
    """How commands come to their session: by *enter*, which tests bring themselves."""

    def __init__(self, enter: Callable[..., AbstractAsyncContextManager[Session]] = _connect) -> None:
        self._enter = enter

    def work(self, options: dict[str, Any], command: Command) -> int:
        """Return the exit code of *command* with the session that *options* describe."""

        async def in_session() -> int:
            async with self._enter(**options) as session:
                return await command(session)

        return asyncio.run(in_session())


def in_cluster(*, everywhere: bool = False) -> Callable[[Callable[..., Command]], Callable[..., None]]:
    """Return what gives a command kubectl's own options, and runs the work that it returns."""

    def decorate(function: Callable[..., Command]) -> Callable[..., None]:
        @wraps(function)
        def command(
            *,
            namespace: str | None,
            kubeconfig: str | None,
            context: str | None,
            all_namespaces: bool = False,
            **words: Any,
        ) -> None:
            options = {
                "namespace": namespace,
                "everywhere": all_namespaces,
                "kubeconfig": kubeconfig,
                "context": context,
            }
            door = click.get_current_context().find_object(Door) or Door()
            sys.exit(door.work(options, function(**words)))

        for option in _OPTIONS if everywhere else _OPTIONS[:-1]:
            command = option(command)
        return command

    return decorate


_OPTIONS: Final = (
    click.option("-n", "--namespace", metavar="NAME", help="Namespace; by default the context's."),
    click.option("--kubeconfig", metavar="FILE", envvar="KUBECONFIG", help="Also as KUBECONFIG."),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig; by default the current one."),
    click.option("-A", "--all-namespaces", is_flag=True, help="Look everywhere."),
)
