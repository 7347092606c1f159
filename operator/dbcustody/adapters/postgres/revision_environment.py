"""What a revision finds when it is called: its `op`, and of `alembic.context` what makes sense without anybody's env.py.

No env.py is ever run: it may open other databases, and commit what it likes. Alembic keeps `op` and `context` in variables of the process,
so that two revisions at once would change each other's databases; that is refused here, and a process works on one database anyway.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Dialect

    from dbcustody.migration.body import Body

_AT_WORK: Final = threading.Lock()
_NOT_OURS: Final = ("configure", "run_migrations", "begin_transaction")


class RevisionContext(MigrationContext):
    """The context of one revision, which leaves its transaction to who called it."""

    def __init__(self, dialect: Dialect, connection: Connection | None, **options: Any) -> None:
        super().__init__(dialect, connection, {"target_metadata": None, **options})

    @contextmanager
    def autocommit_block(self) -> Iterator[None]:
        """Let it pass where nothing runs; raises RefusedError (MigrationFailed) where it would commit: nothing is in then."""
        if not self.as_sql:
            raise RefusedError(
                "leaves its transaction by autocommit_block(), which was not to be seen in its functions; write the block out in them",
                reason=Reason.MIGRATION_FAILED,
            )
        yield


@contextmanager
def called(body: Body, context: RevisionContext) -> Iterator[Callable[[], object]]:
    """Yield the function of the Python *body*, to be called while `op` and `alembic.context` are those of *context*.

    Raises whatever the file raises when it is loaded. What it prints goes to standard error: standard output is for answers.
    """
    if not _AT_WORK.acquire(blocking=False):
        raise RuntimeError("two revisions at once in one process: Alembic would mix up their databases")
    try:
        with redirect_stdout(sys.stderr), _environment(context), Operations.context(context), _loaded(body) as module:
            yield getattr(module, body.function or "")
    finally:
        _AT_WORK.release()


def line_of(error: BaseException, body: Body) -> int | None:
    """Return the line of *body* where *error* came from, the innermost one; None: from none of its lines."""
    lines = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == body.file:
            lines.append(step.tb_lineno)
        step = step.tb_next
    return lines[-1] if lines else None


def words_of(error: BaseException) -> str:
    """Return what may be told of an *error* of somebody's code: its kind, and of what cannot be imported its name; never a value."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"there is no module {error.name}; it must be installed, or in PYTHONPATH, where dbcustody runs"
    return f"{type(error).__name__} was raised"


def find_metadata(name: str | None) -> Any:
    """Return the MetaData called *name* (`package.module:Base.metadata`), by which revisions name constraints that they do not; None: none.

    Raises InvalidSpecError.
    """
    if name is None:
        return None
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidSpecError(f"--metadata: there is no {name}; write it as package.module:Base.metadata") from error
    return found


@contextmanager
def _environment(context: RevisionContext) -> Iterator[None]:
    """Let `alembic.context` answer what it can: whether it is offline, x-arguments (none), an empty configuration."""
    environment = EnvironmentContext(Config(), cast("Any", None), as_sql=context.as_sql)
    environment._migration_context = context  # noqa: SLF001 - its own `configure` would open another one
    vars(environment).update(dict.fromkeys(_NOT_OURS, _refuse))
    with environment:
        yield


def _refuse(*_: object, **__: object) -> None:
    raise RefusedError(
        "calls of alembic.context what is for an env.py; a revision uses `op`", reason=Reason.MIGRATION_FAILED
    )


@contextmanager
def _loaded(body: Body) -> Iterator[ModuleType]:
    """Yield the module that *body* is: made of the text that is written down, not of a file that may be another by now."""
    module = ModuleType(f"dbcustody_revision_{body.checksum[:12]}")
    module.__file__ = body.file
    sys.modules[module.__name__] = module
    try:
        exec(compile(body.text, body.file, "exec", dont_inherit=True), vars(module))  # noqa: S102 - to run it is the order
        yield module
    finally:
        del sys.modules[module.__name__]
