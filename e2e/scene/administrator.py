"""Who prepares roles on a server: no superuser, but what a managed service gives, with the rights that the quick start names alone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

NAME: Final = "administrator"
_RIGHTS: Final = {
    "superuser": "rolsuper",
    "createrole": "rolcreaterole",
    "createdb": "rolcreatedb",
    "replication": "rolreplication",
    "bypassrls": "rolbypassrls",
}


def appoint(server: PostgresServer, owner: str) -> str:
    """Make the administrator, who may create roles and databases and hand on reading and the role *owner*; returns the password."""
    password = secrets.token_urlsafe(18)
    server.execute(
        f"CREATE ROLE {NAME} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'",
        f"GRANT {owner}, pg_read_all_data TO {NAME} WITH ADMIN OPTION",
    )
    return password


def rights_of(server: PostgresServer, role: str) -> set[str]:
    """Return all that *role* may beyond logging in: its attributes, and the roles that it is a member of."""
    flags = server.execute(f"SELECT {', '.join(_RIGHTS.values())} FROM pg_roles WHERE rolname = '{role}'")[0]  # noqa: S608 - our own names
    groups = server.execute(f"SELECT roleid::regrole::text FROM pg_auth_members WHERE member = '{role}'::regrole")  # noqa: S608
    return {name for name, has in zip(_RIGHTS, flags, strict=True) if has} | {str(name) for (name,) in groups}
