"""The way back by hand, as docs/restore-by-hand.md tells it, and what makes two databases equal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dbcustody import decryptor
from ground.root import client_folder

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

GUIDE: Final = Path(__file__).parents[2] / "docs" / "restore-by-hand.md"
_TABLES: Final = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.relispopulated and n.nspname !~ '^(pg_|information_schema)' and c.relpersistence <> 't' order by 1
"""
_SEQUENCES: Final = "select schemaname, sequencename, last_value from pg_sequences order by 1, 2"
_LARGE_OBJECTS: Final = (
    "select oid::int, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text from pg_largeobject_metadata order by 1"
)
_FACTS: Final = """
select pg_get_userbyid(datdba), datconnlimit, pg_encoding_to_char(encoding), datcollate, datctype, shobj_description(d.oid, 'pg_database'),
       (select array_agg(e::text order by e::text) from unnest(coalesce(datacl, acldefault('d', datdba))) e),
       (select array_agg((coalesce(r.rolname, '-'), setconfig)::text order by (coalesce(r.rolname, '-'), setconfig)::text)
        from pg_db_role_setting s left join pg_roles r on r.oid = setrole where setdatabase = d.oid)
from pg_database d where datname = current_database()
"""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What is compared of a database."""

    rows: dict[str, tuple[int, str]]
    """Of each table and materialised view: how many rows it has, and a digest of all of them in order."""
    large_objects: list[tuple[Any, ...]]
    sequences: list[tuple[Any, ...]]
    facts: list[tuple[Any, ...]]
    script: list[str]
    """The whole database as the stock pg_dump writes it."""


def likeness(server: PostgresServer, database: str, *, client_major: int | None = None) -> Likeness:
    """Return what is to be equal after a restore; servers of two majors are compared by one client, which is as new as the newer."""
    with server.connect(database, options="-c statement_timeout=0") as session:

        def digest(table: str) -> tuple[int, str]:
            rows = f"select t::text from only {table} t"  # noqa: S608 - a quoted name
            query = f"select count(*), coalesce(md5(string_agg(x, E'\\n' order by x)), '') from ({rows}) as s (x)"  # noqa: S608 - see above
            row = session.execute(query.encode()).fetchone()
            assert row is not None
            return int(row[0]), str(row[1])

        return Likeness(
            rows={name: digest(name) for (name,) in session.execute(_TABLES).fetchall()},
            large_objects=session.execute(_LARGE_OBJECTS).fetchall(),
            sequences=session.execute(_SEQUENCES).fetchall(),
            facts=session.execute(_FACTS).fetchall(),
            script=_script(server, database, client_major),
        )


def _script(server: PostgresServer, database: str, client_major: int | None) -> list[str]:
    clients = client_folder(client_major) if client_major is not None else _clients(server)
    command = [str(clients / "pg_dump"), "--no-password", "-d", database]
    text = subprocess.run(command, check=True, capture_output=True, env=environment(server)).stdout.decode()
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict", "-- Dumped"))]


def _clients(server: PostgresServer) -> Path:
    return client_folder(max(17, server.major))


def environment(server: PostgresServer) -> dict[str, str]:
    """Return the environment of somebody who has clients, Python and the superuser's password at hand."""
    programs = f"{_clients(server)}:{Path(sys.executable).parent}:{os.defpath}"
    address = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": "postgres"}
    return {"PATH": programs, "LC_ALL": "C.UTF-8", "PGPASSWORD": server.password} | address


def restore_by_guide(backup: Path, server: PostgresServer, into: str, *, folder: Path, key: bytes | None) -> None:
    """Run every command of the guide for the *backup* (its folder), in the new *folder*; what one of them complains of is raised.

    A server older than the client refuses one setting, of which the guide speaks; nothing else may be complained of.
    """
    folder.mkdir()
    shutil.copy(str(decryptor.__file__), folder)
    (folder / "key").write_text((key or b"").hex())
    where = {"BACKUP": str(backup), "KEY_FILE": str(folder / "key"), "NEW_DATABASE": into}
    for command in re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        _run(_fitted(command, server, is_encrypted=key is not None), server, folder, where)


def _fitted(command: str, server: PostgresServer, *, is_encrypted: bool) -> str:
    if not is_encrypted:
        command = command.replace('--key-file "$KEY_FILE"', "")
    if server.major < 17:
        command = re.sub(r"pg_restore --exit-on-error (.*)", r"pg_restore \1 || true", command)
    return command


def _run(command: str, server: PostgresServer, folder: Path, where: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", command], check=False, cwd=folder, env=environment(server) | where,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    complaints = [line for line in done.stderr.splitlines() if re.search(r"\b(error|ERROR|FATAL)\b", line)]
    assert [line for line in complaints if "transaction_timeout" not in line] == []
