"""PostgreSQL from outside: where it is, how a session is opened, what its complaints mean; nothing here knows what a backup is."""

from dbcustody.adapters.postgres.client import Client, choose_client, find_clients
from dbcustody.adapters.postgres.failure import explain, explain_text, redact, translated
from dbcustody.adapters.postgres.lock import (
    BACKUP_LOCKS,
    MIGRATION_LOCKS,
    DatabaseLock,
    Holder,
    LockObject,
    LockWish,
)
from dbcustody.adapters.postgres.session import connect, is_pooled, session_options
from dbcustody.adapters.postgres.target import PostgresTarget

__all__ = [
    "BACKUP_LOCKS",
    "MIGRATION_LOCKS",
    "Client",
    "DatabaseLock",
    "Holder",
    "LockObject",
    "LockWish",
    "PostgresTarget",
    "choose_client",
    "connect",
    "explain",
    "explain_text",
    "find_clients",
    "is_pooled",
    "redact",
    "session_options",
    "translated",
]
