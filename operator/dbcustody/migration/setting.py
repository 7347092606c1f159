"""Which settings a statement changes, and which of them a migration may not touch, because the runner gives them their values.

A `SET lock_timeout` in a file would take the place of the runner's short one, and a table would stand still behind the queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.migration.statement import begins
from dbcustody.migration.token import lowered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.migration.statement import Terms

_BUDGET: Final = "say how long it may take by `-- dbcustody: budget 30min`"
_CONNECTION: Final = "take it out: the runner's session must die with its client"
_ENCODING: Final = "take it out: the runner speaks UTF-8"
_ISOLATION: Final = "take it out: the runner opens the transaction, and records it in the ledger"
_LOCKS: Final = "take it out: the runner waits for a lock only briefly and tries again, as the policy says"
_NAME: Final = "take it out: the runner is found by its application_name"
_QUOTES: Final = "take it out and write E'...' where a backslash escapes"
_ROLE: Final = "take it out: the ledger is written in the same transaction, by the migrator role"

OWNED: Final[Mapping[str, str]] = {
    "lock_timeout": _LOCKS,
    "deadlock_timeout": _LOCKS,
    "statement_timeout": _BUDGET,
    "transaction_timeout": _BUDGET,
    "idle_in_transaction_session_timeout": _BUDGET,
    "idle_session_timeout": _BUDGET,
    "client_connection_check_interval": _CONNECTION,
    "tcp_keepalives_idle": _CONNECTION,
    "tcp_keepalives_interval": _CONNECTION,
    "tcp_keepalives_count": _CONNECTION,
    "tcp_user_timeout": _CONNECTION,
    "application_name": _NAME,
    "client_encoding": _ENCODING,
    "standard_conforming_strings": _QUOTES,
    "backslash_quote": _QUOTES,
    "synchronous_commit": "take it out: what the ledger says is done must outlive a crash",
    "default_transaction_isolation": _ISOLATION,
    "default_transaction_read_only": _ISOLATION,
    "default_transaction_deferrable": _ISOLATION,
    "transaction_isolation": _ISOLATION,
    "transaction_read_only": _ISOLATION,
    "transaction_deferrable": _ISOLATION,
    "role": _ROLE,
    "session_authorization": _ROLE,
    "all": "take it out, or reset the one setting that is meant: the runner's own are among all",
}
"""Name of the setting, and what helps who wanted to change it."""

_HARMLESS: Final = {
    "client_encoding": {"utf8", "utf-8", "unicode"},
    "standard_conforming_strings": {"on", "true", "yes", "1"},
}
"""What pg_dump writes at the head of a script, and is so already."""
_SPECIAL: Final = (
    (("transaction",), "transaction_isolation"),
    (("characteristics",), "default_transaction_isolation"),
    (("session", "characteristics"), "default_transaction_isolation"),
    (("authorization",), "session_authorization"),
    (("session", "authorization"), "session_authorization"),
    (("names",), "client_encoding"),
)
"""Ways to say a setting without its name; a SESSION before the first words may have been read as the scope."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a statement changes; *value* is empty where it is put back, or not a plain one."""

    name: str
    value: str


def owned_settings(terms: Terms) -> Iterator[Setting]:
    """Yield the settings of the runner that a statement of *terms* gives another value."""
    for setting in _settings(terms):
        if setting.name in OWNED and setting.value not in _HARMLESS.get(setting.name, ()):
            yield setting


def _settings(terms: Terms) -> Iterator[Setting]:
    if begins(terms, "set", "session|local"):
        yield _named(terms[2:])
    elif begins(terms, "set|reset"):
        yield _named(terms[1:])
    for at, term in enumerate(terms):
        if term == "set_config" and begins(terms[at + 1 :], "("):
            name, value = (*terms[at + 2 : at + 3], *terms[at + 4 : at + 5], "", "")[:2]
            yield Setting(_plain(name), _plain(value))


def _named(rest: Terms) -> Setting:
    """Return what is set by *rest*, which stands behind SET and its scope, or behind RESET."""
    for words, name in _SPECIAL:
        if begins(rest, *words) and not begins(rest[len(words) :], "to|="):
            return Setting(name, _plain("".join(rest[len(words) : len(words) + 1])))
    value = rest[2:] if begins(rest[1:], "to|=") else ()
    return Setting(_plain("".join(rest[:1])), _plain("".join(value)))


def _plain(term: str) -> str:
    """Return a name or literal without its quotes; names of settings and of encodings know no capitals."""
    return lowered(term.strip("'\""))
