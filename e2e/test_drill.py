"""docs/disaster-drill.md, typed as it stands there: the operator is lost, then a cluster and its server, and others take over."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ground.certificate import Authority
from ground.image import Image, application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server
from scene.desk import IN_MANIFEST, INSTALLED, lay_out, sit_down
from scene.document import Reader, to_type
from scene.evidence import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
PAGE: Final = "docs/disaster-drill.md"
KEY_FILE: Final = "k2026.key"
BUCKET: Final = "backups"
CUSTOMERS: Final = 300
SHOP: Final = (
    "CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)",
    f"INSERT INTO customers (name) SELECT 'name ' || n FROM generate_series(1, {CUSTOMERS}) n",  # noqa: S608 - our own number
    "CREATE TABLE invoices (id bigserial PRIMARY KEY, customer bigint REFERENCES customers)",
    "INSERT INTO invoices (customer) SELECT id FROM customers",
)
ERASED: Final = (CUSTOMERS + 1, CUSTOMERS + 2)
"""Customers of Tuesday, who asked to be forgotten on Wednesday."""


@dataclass(frozen=True)
class Outside:
    """What no cluster takes with it: the bucket, and an image in some registry."""

    store: S3Server
    image: Image
    authority: Authority

    def endpoint_of(self, cluster: Cluster) -> str:
        """Return where the pods of *cluster* reach the bucket."""
        return f"http://{cluster.network.machine_address}:{self.store.port}"


@dataclass(frozen=True)
class Life:
    """A cluster and the PostgreSQL server beside it, until both are lost; *desk* is the folder of whoever administers them."""

    cluster: Cluster
    server: PostgresServer
    desk: Path
    outside: Outside
    end: ExitStack

    def reader(self, **values: str) -> Reader:
        """Return the administrator, with the addresses and passwords of here and with further *values*."""
        server, store = self.server, self.outside.store
        here = {
            "db.example.com:5432": f"{server.host}:{server.port}",
            "host=db.example.com": f"host={server.host}",
            "port=5432": f"port={server.port}",
            "admins-password": server.password,
            "https://s3.example.com:9000": self.outside.endpoint_of(self.cluster),
            "eu-north-1": "us-east-1",
            "{keepDaily: 7,": "{keepLast: 10, keepDaily: 7,",  # the days of this story are minutes apart
            "bucket-user": store.access_key,
            "bucket-password": store.secret_key,
        }
        return sit_down(self.desk, self.cluster, self.outside.image, {**here, **values})

    def customers(self, database: str = "shop", **login: str) -> int:
        """Return how many customers *database* has, as the superuser or by another *login*."""
        with self.server.connect(database, **login) as connection:
            row = connection.execute("SELECT count(*) FROM customers").fetchone()
        return int(row[0]) if row else 0

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return the resource *name* of the namespace `web`."""
        found: dict[str, Any] = self.cluster.get(f"{kind}.dbcustody.dev", name, "-n", "web")
        return found


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Yield it, the bucket empty; it can be reached from every cluster of this machine."""
    with S3Server(host="0.0.0.0") as store:  # noqa: S104 - of a network that comes when the one before it is gone
        store.make_bucket(BUCKET)
        yield Outside(store, application_image(), Authority(tmp_path_factory.mktemp("authority"), "drill"))


@contextmanager
def life(name: str, outside: Outside, desk: Path) -> Iterator[Life]:
    """Begin with an empty cluster and an empty server, and lose both at the end."""
    with ExitStack() as end:
        cluster = end.enter_context(Cluster(f"{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}"))
        cluster.load(outside.image.archive)
        host = cluster.network.machine_address
        certificate = outside.authority.issue(name, name, names=[host])
        server = end.enter_context(PostgresServer(17, host=host, tls=certificate))
        lay_out(desk)
        yield Life(cluster, server, desk, outside, end)


@pytest.fixture(scope="module")
def before(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Yield a shop in custody as the quick start has it, with a backup of Monday, two customers of Tuesday, and the key in a file."""
    with life("before", outside, tmp_path_factory.mktemp("before")) as it:
        it.server.execute("CREATE ROLE shop LOGIN PASSWORD 'old'", "CREATE DATABASE shop OWNER shop")
        with it.server.connect("shop", user="shop", password="old") as connection:
            for statement in SHOP:
                connection.execute(statement.encode())
        reader = _take_custody(it)
        reader.shell("kubectl dbcustody backup now shop --name monday --wait")
        it.server.execute("INSERT INTO customers (name) VALUES ('Ada'), ('Grace')", database="shop")
        (keep_the_key,) = to_type(PAGE, "What must lie outside of the cluster")
        reader.type(keep_the_key)
        yield it


def _take_custody(it: Life) -> Reader:
    """Type the quick start up to its first backup, in the namespace that the drill talks of."""
    reader = it.reader(**{
        "custodys-password": secrets.token_urlsafe(18),
        "namespace shop": "namespace web",
        "--namespace=shop": "--namespace=web",
    })  # fmt: skip
    for command in to_type("docs/quick-start.md"):
        if command.heading.startswith("6."):
            break
        reader.type(command)
    assert reader.unused() == [IN_MANIFEST]
    return reader


def test_only_the_operator_is_gone(before: Life) -> None:
    """A backup is taken without it, and recorded when it is back; no resource was lost."""
    reader, had, told = before.reader(), _named(before), ""
    for command in to_type(PAGE, "1. Only the operator is gone"):
        told = reader.type(command)
    meanwhile = before.get("backups", "meanwhile")
    assert meanwhile["spec"]["origin"] == "Adopted"
    assert _named(before) == had | {"Backup/meanwhile"}
    assert all(name.partition("/")[2] in told for name in had)


def _named(it: Life) -> set[str]:
    """Return every resource of ours in the cluster, as Kind/name."""
    items = it.cluster.get("pgdb,pgstore,pgbp,pgbak,pgrst,pgok", "-A")["items"]
    return {f"{item['kind']}/{item['metadata']['name']}" for item in items}


@pytest.mark.slow
def test_the_cluster_is_gone(before: Life, outside: Outside, tmp_path: Path) -> None:
    """Bucket and key bring a shop back on another server, the erased without, then its Backups, and custody in the old folder."""
    before.reader().shell("kubectl dbcustody backup now shop --name tuesday --wait")
    before.end.close()
    stored = outside.store.keys(BUCKET)
    with life("after", outside, tmp_path / "desk") as after:
        shutil.copy(before.desk / KEY_FILE, after.desk)
        (after.desk / "erased-since.txt").write_text("".join(f"{number}\n" for number in ERASED))
        password = secrets.token_urlsafe(18)
        reader = after.reader(**{"shop-20270131-020000": "monday", "apps-new-password": password})
        for command in to_type(PAGE, "2. The cluster is gone"):
            if "ADMIN_URL" in command.text and "export" in command.text:
                _check_what_came_back(after)
                _erase(reader, after)
            if "ReadWrite" in command.text:
                assert outside.store.keys(BUCKET) == stored
            reader.type(command)
        assert reader.unused() == [IN_MANIFEST]
        _check_who_is_where(after, password)
        _check_custody(after)
        assert set(stored) < set(outside.store.keys(BUCKET))


def test_bucket_and_key_alone(before: Life, outside: Outside, tmp_path: Path) -> None:
    """What an operator wrote, one command reads, with no cluster anywhere."""
    before.end.close()
    shutil.copy(before.desk / KEY_FILE, tmp_path)
    with PostgresServer(17) as server:
        there = f"{server.url('shop')}?sslmode=disable"
        values = {
            "postgresql://postgres:admins-password@db.example.com:5432/shop": f"'{there}'",
            "https://s3.example.com:9000": outside.store.url,
            "bucket-user": outside.store.access_key,
            "bucket-password": outside.store.secret_key,
            "shop-20270131-020000": "monday",
        }
        environment = {**os.environ, "PATH": f"{INSTALLED}:{client_folder(17)}:{os.environ['PATH']}"}
        reader = Reader(folder=tmp_path, environment=environment, values=values)
        told = [reader.type(command) for command in to_type(PAGE, "3. No cluster at all")]
        assert "compared and equal" in told[-1]
        assert reader.unused() == []
        assert server.execute("SELECT count(*) FROM customers", database="shop") == [(CUSTOMERS,)]


def _check_what_came_back(after: Life) -> None:
    """Fail unless it is the newest backup, whole, and nobody of the old roles can enter yet."""
    request = after.get("restorerequests", "shop")
    assert conditions(request)["Succeeded"]["status"] == "True", request["status"]
    assert request["status"]["source"] == "tuesday"
    assert after.customers() == CUSTOMERS + len(ERASED)
    secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop'"
    assert after.server.execute(secret) == [(None,)]


def _erase(reader: Reader, after: Life) -> None:
    """Type what the page has to say about those who were erased."""
    told = "".join(reader.type(command) for command in to_type(PAGE, "And those who were erased"))
    assert re.search(r"still_there\s+-+\s+0\s", told), told
    assert after.customers() == CUSTOMERS


def _check_who_is_where(after: Life, password: str) -> None:
    """Fail unless the application enters with its new password, and Monday's backup came back beside the shop."""
    assert after.customers(user="shop", password=password) == CUSTOMERS
    assert after.customers("shop_as_it_was") == CUSTOMERS


def _check_custody(after: Life) -> None:
    """Fail unless Backups of the lost cluster are there, and the chain goes on with a new one."""
    backups = {item["metadata"]["name"]: item for item in after.cluster.get("pgbak", "-n", "web")["items"]}
    origins = {name: body["spec"]["origin"] for name, body in backups.items()}
    assert {origins.pop("monday"), origins.pop("tuesday")} == {"Imported"}
    assert "Manual" in origins.values()
    for said in ("Ready", "ContinuityProven"):  # the latter once retention has looked at the whole chain
        after.cluster.kubectl("wait", f"--for=condition={said}", "pgbp/shop-nightly", "-n", "web", "--timeout=2m")
