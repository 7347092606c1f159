"""Revisions in Python are made ready to run: what leaves its transaction is one statement by itself, or is not run at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.errors import RefusedError
from dbcustody.migration.nature import Nature, classify
from dbcustody.migration.python_rules import SPLIT
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.migration.body import Body
    from dbcustody.migration.script import Script


def runnable(body: Body, *, metadata: str | None = None) -> Body:
    """Return *body* as it can be run: of a function that is nothing but an `autocommit_block()`, the one statement that it renders.

    Nothing is run here but its code, offline. Raises RefusedError (MigrationFailed) with the way to split it when it leaves its transaction
    and does anything else: a failure would leave it half done, and no one could say how far it came.
    """
    if not body.is_python or body.is_transactional:
        return body
    if body.is_mixed:
        raise RefusedError(
            f"{body.file}: commits in the middle by autocommit_block(); {SPLIT}", reason=Reason.MIGRATION_FAILED
        )
    from dbcustody.adapters.postgres.revision_preview import render  # noqa: PLC0415 - what is SQL needs nothing of it

    seen = render(body, metadata=metadata)
    if seen.why_not or len(seen.statements) != 1:
        found = seen.why_not or f"renders {len(seen.statements)} statements"
        raise RefusedError(
            f"{body.file}: its autocommit_block() must be one statement that can be told beforehand, and it {found}; {SPLIT}",
            reason=Reason.MIGRATION_FAILED,
        )
    is_plain = classify(seen.statements[0].terms).nature is Nature.TRANSACTIONAL
    return replace(body, statements=seen.statements, preview=seen.text, is_transactional=is_plain)


def previewed(script: Script, *, metadata: str | None = None) -> Script:
    """Return *script* with what its way forth renders without a database, for whoever judges it; its code is run for that."""
    return replace(script, up=_rendered(script.up, metadata)) if script.is_python else script


def previewed_back(script: Script, *, metadata: str | None = None) -> Body:
    """Return the way back of *script*, which has one, with what it renders without a database; its code is run for that."""
    assert script.down is not None  # noqa: S101 - nothing else is undone
    return _rendered(script.down, metadata) if script.is_python else script.down


def _rendered(body: Body, metadata: str | None) -> Body:
    from dbcustody.adapters.postgres.revision_preview import rendered  # noqa: PLC0415 - see above

    return rendered(body, metadata=metadata)
