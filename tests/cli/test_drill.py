"""docs/disaster-drill.md where there is no cluster any more, typed as it stands: with `dbcustody`, and with one file and stock clients."""

from __future__ import annotations

import base64
import os
import re
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dbcustody import decryptor
from dbcustody.repository.ledger import ledger_entry_key
from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server
from scene.document import Reader, scripts, to_type
from tests.cli.conftest import COMMAND, KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PAGE: Final = "docs/disaster-drill.md"
URL: Final = "postgresql://postgres:admins-password@db.example.com:5432/shop"
CUSTODY: Final = "web.shop"
CUSTOMERS: Final = 300
ERASED: Final = (7, 42)
SHOP: Final = (
    "create table customers (id bigint primary key, name text not null)",
    f"insert into customers select n, 'c4nary-row ' || n from generate_series(1, {CUSTOMERS}) n",  # noqa: S608 - our own number
    "alter table customers owner to shop",
)


@dataclass(frozen=True)
class Left:
    """What is left: a bucket with one backup, a file with the key, and a server that has nothing."""

    store: S3Server
    prefix: str
    server: PostgresServer
    folder: Path

    def reader(self, **values: str) -> Reader:
        """Return somebody in a folder with the key and the list of the erased, and the programs that he needs."""
        environment = {
            "PATH": f"{COMMAND.parent}:{client_folder(17)}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
        }
        return Reader(folder=self.folder, environment=environment, values=values)

    @property
    def addresses(self) -> dict[str, str]:
        """What has to be put in for the addresses and passwords of the page."""
        return {
            URL: f"'{self.server.url('shop')}?sslmode=disable'",
            "BACKUP_S3_PREFIX=postgres": f"BACKUP_S3_PREFIX={self.prefix}",
            "https://s3.example.com:9000": self.store.url,
            "bucket-user": self.store.access_key,
            "bucket-password": self.store.secret_key,
            "shop-20270131-020000": "sunday",
        }

    def customers(self, database: str = "shop") -> int:
        """Return how many customers the new server has."""
        ((found,),) = self.server.execute("select count(*) from customers", database=database)
        return int(found)

    def fetch(self) -> Path:
        """Fetch the custody's folder with a tool that knows nothing of us; returns the folder of its one backup."""
        below = f"{self.prefix}/"
        with closing(self.store.client()) as client:
            for key in self.store.keys("backups", f"{below}{CUSTODY}/"):
                path = self.folder / key.removeprefix(below)
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file("backups", key, str(path))
        (backup,) = (self.folder / CUSTODY / "backups").iterdir()
        return backup


@pytest.fixture
def left(at_bucket: Person, server: PostgresServer, s3: S3Server, tmp_path: Path) -> Iterator[Left]:
    """Yield what is left of a shop that was backed up on Sunday."""
    server.execute("create role shop login", "create database lost owner shop")
    server.execute(*SHOP, database="lost")
    where = {
        "DATABASE_URL": f"{server.url('lost')}?sslmode=disable",
        "DBCUSTODY_CUSTODY_ID": CUSTODY,
        "BACKUP_ENCRYPTION_KEY_ID": "k2026",
    }
    done = at_bucket.run("backup", "--name", "sunday", **where)
    server.execute("drop database lost with (force)", "drop role shop")
    assert done.code == 0, done.err
    (tmp_path / "k2026.key").write_text(base64.b64encode(KEY).decode())
    (tmp_path / "erased-since.txt").write_text("".join(f"{number}\n" for number in ERASED))
    with PostgresServer(17) as another:
        yield Left(s3, at_bucket.variables["BACKUP_S3_PREFIX"], another, tmp_path)


def test_no_cluster_at_all(left: Left) -> None:
    """Bucket and key are enough for the whole shop, its role made without a password; then the erased go again."""
    reader = left.reader(**left.addresses)
    told = "".join(reader.type(command) for command in to_type(PAGE, "3. No cluster at all"))
    assert "sunday" in told
    assert f"1 tables, {CUSTOMERS} rows, compared and equal" in told
    assert reader.unused() == []
    assert left.server.execute("select rolpassword from pg_authid where rolname = 'shop'") == [(None,)]
    _erase(left)


def test_not_even_dbcustody(left: Left) -> None:
    """The decryptor's file and stock clients are enough as well, also where a ledger has dbcustody refuse."""
    with closing(left.store.client()) as client:
        client.put_object(Bucket="backups", Key=f"{left.prefix}/{ledger_entry_key(CUSTODY, 1)}", Body=b"{}")
    refused = _refusal(left)
    assert "ErasuresPending" in refused

    shutil.copy(str(decryptor.__file__), left.folder)
    reader = left.reader()
    reader.environment |= {
        "BACKUP": str(left.fetch()), "KEY_FILE": "k2026.key", "NEW_DATABASE": "shop",
        "PGHOST": left.server.host, "PGPORT": str(left.server.port), "PGUSER": "postgres", "PGPASSWORD": left.server.password,
    }  # fmt: skip
    for script in scripts("docs/restore-by-hand.md"):
        reader.shell(script)
    _erase(left)


def _refusal(left: Left) -> str:
    """Type the third scene up to the restore, and return what that complains of."""
    reader = left.reader(**left.addresses)
    *commands, restore = to_type(PAGE, "3. No cluster at all")
    for command in commands:
        reader.type(command)
    refused = restore.text.replace("shop-20270131-020000", "sunday")
    return reader.shell(f"{refused} 2>&1 || test $? = 1")


def _erase(left: Left) -> None:
    """Type what the page has to say about those who were erased; the rest of the customers stays."""
    assert left.customers() == CUSTOMERS
    reader = left.reader(**{URL: left.addresses[URL]})
    told = "".join(reader.type(command) for command in to_type(PAGE, "And those who were erased"))
    assert re.search(r"still_there\s+-+\s+0\s", told), told
    assert left.customers() == CUSTOMERS - len(ERASED)
