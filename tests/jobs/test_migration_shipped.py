"""The histories that MLflow and Apache Airflow ship: from nothing to their heads by us and by Alembic's own command, to the same end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
LENGTHS = {"mlflow": 31, "airflow": 152}
HEADS = {"mlflow": "bda7b8c39065", "airflow": "5f2621c13b39"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@dataclass
class Traveller:
    """Goes the way of a package's history in processes of their own."""

    server: PostgresServer
    package: str
    more: Path
    said: list[str] = field(default_factory=list)

    def go(self, way: str, database: str) -> str:
        """Return what the *way* says of itself."""
        where = [self.server.host, str(self.server.port), self.server.password, database]
        argv = [sys.executable, "-m", "tests.fakes.shipped", self.package, way, str(self.more), *where]
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "AIRFLOW_HOME": str(self.more / "home")}
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def schema(self, database: str) -> list[str]:
        """Return the definitions of everything that is not ours, as pg_dump writes them."""
        options = ["--schema-only", "--exclude-schema=dbcustody", "--no-password", "--username=postgres"]
        where = ["--host", self.server.host, "--port", str(self.server.port), "--dbname", database]
        variables = os.environ | {"PGPASSWORD": self.server.password}
        argv = [str(client_folder(17) / "pg_dump"), *options, *where]
        text = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True).stdout
        return [line for line in text.splitlines() if line and not re.match(r"--|\\(un)?restrict ", line)]

    def versions(self, database: str) -> list[tuple[str, ...]]:
        """Return what Alembic's table has."""
        return self.server.execute("select version_num from alembic_version order by 1", database=database)


@pytest.fixture(params=["mlflow", pytest.param("airflow", marks=pytest.mark.slow)])
def traveller(request: pytest.FixtureRequest, server: PostgresServer, tmp_path: Path) -> Iterator[Traveller]:
    """Return who goes, with two new databases."""
    more = tmp_path / "more"
    more.mkdir()
    server.execute("create database ours", "create database theirs")
    yield Traveller(server, request.param, more)
    server.execute("drop database ours with (force)", "drop database theirs with (force)")


def test_it_comes_to_the_same_and_goes_on(traveller: Traveller) -> None:
    """Everything that pg_dump knows is equal; what Alembic made is adopted, and then a revision more runs on both, once each."""
    length, head = LENGTHS[traveller.package], HEADS[traveller.package]
    traveller.go("alembic", "theirs")
    ours = traveller.go("us", "ours")
    made = traveller.schema("ours")

    assert ours == f"{length} applied, 0 pending, differences: none"
    assert (len(made) > 100, made) == (True, traveller.schema("theirs"))
    assert (traveller.versions("ours"), traveller.versions("theirs")) == ([(head,)], [(head,)])

    before = traveller.go("look", "theirs")
    adopted = traveller.go("adopt", "theirs")
    (traveller.more / "one_more.py").write_text(
        f"from alembic import op\n\nrevision = 'beefbeefbeef'\ndown_revision = {head!r}\n\n"
        "def upgrade():\n    op.execute('create table one_more (id int)')\n"
    )
    on_both = {database: traveller.go("us", database) for database in ("ours", "theirs")}

    assert before == f"0 applied, {length} pending, differences: Unadopted"
    assert adopted == f"{length} applied, 0 pending, differences: none"
    assert set(on_both.values()) == {f"{length + 1} applied, 0 pending, differences: none"}
    assert traveller.schema("ours") == traveller.schema("theirs")
    assert (traveller.versions("ours"), traveller.versions("theirs")) == ([("beefbeefbeef",)], [("beefbeefbeef",)])
    traveller.go("alembic", "ours")
    assert traveller.schema("ours") == traveller.schema("theirs")
