"""What a revision would do, as Alembic renders it without a database: all of it, or as much as does not ask what is in one.

Whatever the function reads it does not get here, so that what it decides by that is not seen
(https://alembic.sqlalchemy.org/en/latest/offline.html): such a preview is never taken for the whole.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.literal_dialect import LiteralDialect
from dbcustody.adapters.postgres.revision_environment import RevisionContext, called, find_metadata, line_of, words_of
from dbcustody.errors import RefusedError
from dbcustody.migration.statement import Statement, cut

if TYPE_CHECKING:
    from dbcustody.migration.body import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The statements that were rendered, and why there are no more; empty: nothing stopped it."""

    statements: tuple[Statement, ...]
    text: str = ""
    """What they were cut from."""
    why_not: str = ""


def render(body: Body, *, metadata: str | None = None) -> Preview:
    """Return what the function of the Python *body* would run; its code is run for that, and nothing else."""
    buffer = io.StringIO()
    context = RevisionContext(
        LiteralDialect(),  # type: ignore[no-untyped-call]
        None,
        as_sql=True,
        output_buffer=buffer,
        literal_binds=True,
        target_metadata=find_metadata(metadata),
    )
    why_not = ""
    try:
        with called(body, context) as function:
            function()
    except RefusedError as error:
        why_not = error.message
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's code, which may raise anything; what it was is told
        line = line_of(error, body)
        why_not = f"line {line}: {words_of(error)}" if line is not None else words_of(error)
    text = buffer.getvalue()
    found = cut(text)
    if found.faults:
        return Preview(statements=(), why_not=why_not or f"what it renders cannot be read: {found.faults[0].what}")
    return Preview(statements=found.statements, text=text, why_not=why_not)


def rendered(body: Body, *, metadata: str | None = None) -> Body:
    """Return *body* with its preview; itself where it has one, or is SQL."""
    if not body.is_python or body.statements:
        return body
    seen = render(body, metadata=metadata)
    return replace(body, statements=seen.statements, preview=seen.text, unseen=seen.why_not)
