"""What another linter, squawk, finds, in our words: its report is read, and what does not concern us is left out.

Its report (`squawk --reporter json`) is a list of objects: `rule_name`, `level` (Warning, Error), `message`, `help` (or null), and `line`
and `column` from 0, the column counted in the bytes of the text in UTF-8. It exits with 1 when it has found something, and with another
number than 0 and 1 when it could not look.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.waiver import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.migration.body import Body
    from dbcustody.migration.statement import Statement

RULES = {"squawk-missing": "squawk could not look: what it alone would find is not known"}
MOOT: Final = frozenset(
    {"require-lock-timeout", "require-statement-timeout", "require-timeout-settings", "prefer-robust-stmts", "transaction-nesting"}
    | {"ban-uncommitted-transaction", "ban-concurrent-index-creation-in-transaction", "ban-drop-database", "require-table-schema"}
)  # fmt: skip
"""Rules about what the runner does: timeouts, transactions, and that a file which failed runs again as a whole."""
OURS: Final = frozenset(
    {"adding-foreign-key-constraint", "constraint-missing-not-valid", "adding-not-nullable-field", "changing-column-type"}
    | {"adding-field-with-default", "adding-required-field", "adding-serial-primary-key-field", "disallowed-unique-constraint"}
    | {"require-concurrent-index-creation", "require-concurrent-index-deletion", "require-concurrent-partition-detach"}
    | {"require-concurrent-reindex", "ban-drop-column", "ban-drop-table", "ban-truncate-cascade", "renaming-column", "renaming-table"}
    | {"prefer-repack", "ban-drop-sequence", "ban-set-schema"}
)  # fmt: skip
"""Rules that we have ourselves, weighed and with recipes."""
_TASTE: Final = ("prefer-", "ban-char-field", "syntax-error", "unused-ignore")
"""What harms nobody; and its grammar is not the server's, so that what it does not understand may be right."""


def read_report(report: str, body: Body) -> tuple[Finding, ...]:
    """Return what the *report* of squawk on the text of *body* says; raises ValueError when it is none."""
    entries = json.loads(report)
    if not isinstance(entries, list):
        raise ValueError("squawk: its report is no list")  # noqa: TRY004 - json says ValueError, too
    lines = body.sql.split("\n")
    return tuple(_findings(entries, lines, body.statements))


def _findings(entries: list[Any], lines: Sequence[str], statements: Sequence[Statement]) -> Iterator[Finding]:
    for entry in entries:
        try:
            rule, message, line, column = entry["rule_name"], entry["message"], int(entry["line"]), int(entry["column"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"squawk: its report has an entry without {error}") from error
        if rule in MOOT | OURS:
            continue
        yield Finding(
            rule=f"{FOREIGN}{rule}",
            severity=Severity.NOTE if rule.startswith(_TASTE) else Severity.WARNING,
            what=_one_line(message),
            helps=_one_line(entry.get("help") or "see what squawk says of this rule"),
            line=line + 1,
            statement=_statement_at(statements, _offset(lines, line, column)),
        )


def missing(why: str, *, is_installed: bool = True) -> Finding:
    """Return the finding that squawk could not look, and why: what it would have found is not known.

    Only a note where it is not installed, for nobody has to have it.
    """
    return Finding(
        rule="squawk-missing",
        severity=Severity.WARNING if is_installed else Severity.NOTE,
        what=f"squawk did not look: {why}",
        helps="install the package squawk-cli beside dbcustody",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _offset(lines: Sequence[str], line: int, column_bytes: int) -> int:
    before = lines[line].encode()[:column_bytes].decode(errors="ignore") if line < len(lines) else ""
    return sum(len(one) + 1 for one in lines[:line]) + len(before)


def _statement_at(statements: Sequence[Statement], offset: int) -> int | None:
    """Return the number of the statement that the character at *offset* belongs to; None: it stands before all of them."""
    return sum(statement.start <= offset for statement in statements) or None
