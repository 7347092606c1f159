"""A person at a terminal: the real command in a process of its own, real servers, and an eye on every word that is printed."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server
from tests.fakes.till import confirmation, databases

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = Path(sys.executable).parent / "dbcustody"
KEY = bytes([200, *range(31)])
TABLES = (
    "create table customer (id int generated always as identity primary key, name text not null)",
    "insert into customer (name) select 'c4nary-row ' || n from generate_series(1, 2000) n",
    "create table purchase (id int primary key, customer int references customer, note jsonb)",
    "insert into purchase select n, 1 + n % 2000, '{\"a\": 1}' from generate_series(1, 500) n",
)
BIG = "create table big as select n, repeat(md5(n::text), 8) as text from generate_series(1, 400000) n"


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who types commands: with these variables and no others; none of *secrets* may ever be seen in what comes back."""

    variables: dict[str, str]
    secrets: tuple[str, ...]
    database: str = "shop"
    folder: Path | None = None
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *words: str, **changes: str) -> Outcome:
        """Return how `dbcustody *words*` ends, with *changes* to the variables (an empty one is taken away)."""
        return self.wait(self.start(*words, **changes))

    def start(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        environment = {name: text for name, text in (self.variables | changes).items() if text}
        process = subprocess.Popen(
            [COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.started.append(process)
        return process

    def wait(self, process: subprocess.Popen[str], *, said: str = "", timeout_seconds: float = 120) -> Outcome:
        """Return how *process* ends; *said* is what was read of its complaints before."""
        out, err = process.communicate(timeout=timeout_seconds)
        outcome = Outcome(process.returncode, out, said + err)
        for secret in (*self.secrets, "Traceback"):
            assert secret not in outcome.out + outcome.err
        return outcome


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """Return a server with the shop, and a database that takes a while to dump."""
    with PostgresServer(17) as server:
        server.execute("create database shop", "create database slow")
        server.execute(*TABLES, database="shop")
        server.execute(BIG, database="slow")
        yield server


@pytest.fixture(scope="session")
def old_server() -> Iterator[PostgresServer]:
    """Return an empty server of a major that an old client can dump."""
    with PostgresServer(15) as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Return an S3 server with a bucket."""
    with S3Server() as server:
        server.make_bucket("backups")
        yield server


@pytest.fixture
def variables(server: PostgresServer) -> dict[str, str]:
    """Return the variables that are the same for every storage."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "DATABASE_URL": f"{server.url('shop')}?sslmode=disable",
        "BACKUP_ENCRYPTION_KEY": base64.b64encode(KEY).decode(),
        "DBCUSTODY_CLIENTS": f"{client_folder(17)}:{client_folder(18)}",
    }


@pytest.fixture
def secrets(server: PostgresServer, s3: S3Server) -> tuple[str, ...]:
    """Return everything that nobody may print: passwords, keys, and the rows of the shop."""
    return (server.password, s3.secret_key, base64.b64encode(KEY).decode(), KEY.hex(), "c4nary")


@pytest.fixture
def at_folder(variables: dict[str, str], secrets: tuple[str, ...], tmp_path: Path) -> Person:
    """Return a person whose backups go into an empty folder."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return Person(variables={**variables, "BACKUP_DIR": str(folder)}, secrets=secrets, folder=folder)


@pytest.fixture
def at_bucket(
    variables: dict[str, str], secrets: tuple[str, ...], s3: S3Server, request: pytest.FixtureRequest
) -> Person:
    """Return a person whose backups go into a bucket, below a prefix of the test's own."""
    bucket = {
        "BACKUP_S3_BUCKET": "backups",
        "BACKUP_S3_PREFIX": request.node.name.replace("[", "-").strip("]"),
        "BACKUP_S3_ENDPOINT": s3.url,
        "BACKUP_S3_ACCESS_KEY_ID": s3.access_key,
        "BACKUP_S3_SECRET_ACCESS_KEY": s3.secret_key,
    }
    return Person(variables={**variables, **bucket}, secrets=secrets)


@pytest.fixture
def cashier(at_folder: Person, server: PostgresServer) -> Iterator[Person]:
    """Return a person with a database `till` whose backup `good` has one row, and which says something else by now."""
    server.execute(
        "create role till_owner",
        "create role clerk login createdb password 'clerk-pw'",
        "create database till owner till_owner",
    )
    server.execute("create table said (word text)", "insert into said values ('good')", database="till")
    url = f"{server.url('till')}?sslmode=disable"
    person = replace(at_folder, variables={**at_folder.variables, "DATABASE_URL": url})
    done = person.run("backup", "--name", "good")
    assert done.code == 0, done.err
    server.execute("update said set word = 'spoilt'", database="till")
    yield person
    for name in databases(server):
        server.execute(f'drop database "{name}" with (force)')
    server.execute("drop role till_owner", "drop role clerk")


@pytest.fixture
def confirm(cashier: Person, server: PostgresServer) -> str:  # noqa: ARG001 - makes the database that is confirmed
    """Return the text that confirms a replacement of `till`, as *cashier* has it."""
    return confirmation(server)
