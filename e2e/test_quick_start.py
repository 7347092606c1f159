"""README.md and docs/quick-start.md, typed as they stand there: on a cluster in which nothing is installed, with real servers beside it."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.secondact import neighbours
from ground.cache import REPOSITORY
from ground.certificate import Authority
from ground.image import Image, application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.s3 import S3Server
from scene import administrator
from scene.desk import IN_MANIFEST, PUSHED, lay_out, sit_down
from scene.document import to_type
from scene.evidence import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.document import Command, Reader

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
OPERATOR = "dbcustody"
BUCKET = "read-only-first"
"""Of the quick start; another key of the same id has closed what the README's bucket holds."""
CUSTOMERS = 300
SHOP = (
    "CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)",
    f"INSERT INTO customers (name) SELECT 'name ' || n FROM generate_series(1, {CUSTOMERS}) n",  # noqa: S608 - our own number
    "CREATE SCHEMA billing",
    "CREATE TABLE billing.invoices (id bigserial PRIMARY KEY, customer bigint REFERENCES customers)",
    "INSERT INTO billing.invoices (customer) SELECT id FROM customers",
)


@dataclass(frozen=True)
class Ground:
    """A cluster with our image on its node and nothing of ours in it, and the servers that the documents talk of."""

    cluster: Cluster
    image: Image
    postgres: PostgresServer
    store: S3Server
    folder: Path

    def reader(self, values: dict[str, str]) -> Reader:
        """Return somebody with an administrator's kubeconfig, Helm and psql, who has the repository before him."""
        return sit_down(self.folder, self.cluster, self.image, values)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Yield it; the servers speak TLS, with certificates of an authority that nobody was told of."""
    folder, worker = tmp_path_factory.mktemp("reader"), os.environ.get("PYTEST_XDIST_WORKER", "one")
    image, authority = application_image(), Authority(folder / "authority", "quick-start")
    with Cluster(f"reader-{worker}") as cluster:
        cluster.load(image.archive)
        host = cluster.network.machine_address
        certificate = authority.issue("all", "all", names=[host, "postgres.shop.svc", "s3.storage.svc"])
        with PostgresServer(17, host=host, tls=certificate) as server, S3Server(host=host) as store:
            for name in ("backups", BUCKET):
                store.make_bucket(name)
            lay_out(folder)
            yield Ground(cluster, image, server, store, folder)


def _shop(ground: Ground, name: str) -> str:
    """Make the database *name* and the role of the same name that owns it; returns the password."""
    password = secrets.token_urlsafe(18)
    ground.postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", f"CREATE DATABASE {name} OWNER {name}")
    with ground.postgres.connect(name, user=name, password=password) as connection:
        for statement in SHOP:
            connection.execute(statement.encode())
    return password


def test_plain_manifest(ground: Ground) -> None:
    """The README's line without Helm brings an operator that becomes ready, and everything of it can be taken away again."""
    (line,) = (one for one in to_type("README.md", "In a cluster") if _is_plain(one))
    reader = ground.reader({})
    reader.type(line)
    reader.shell(f"kubectl -n {OPERATOR} rollout status deployment/dbcustody-operator --timeout=120s")
    assert len(ground.cluster.get("crds")["items"]) == len(list((REPOSITORY / "crds").iterdir()))
    reader.shell("kubectl delete -f deploy/install.yaml --timeout=120s")
    assert reader.unused() == [PUSHED]


def _is_plain(command: Command) -> bool:
    return command.text.startswith("sed ")


def test_readme_in_a_cluster(ground: Ground) -> None:
    """Chart, examples with values put in, a backup and a restore by the plugin; then the release goes and the resources stay."""
    password = _shop(ground, "shop")
    ground.cluster.kubectl("apply", "-f", "-", stdin=neighbours(ground.cluster, ground, ground.store))
    _put_values_in(ground, password)
    reader = ground.reader({"shop-20270131-020000": "first"})
    for command in to_type("README.md", "In a cluster"):
        if _is_plain(command):
            continue
        if "restore" in command.text:
            reader.shell("kubectl dbcustody backup now shop --name first --wait")
            ground.postgres.execute("ALTER ROLE shop CREATEDB")  # what the remark beside it asks for
        if "status -A" in command.text:
            reader.shell("kubectl wait --for=condition=RecoveryPointCurrent pgbp/shop-nightly --timeout=2m")
        reader.type(command)
        if "helm" in command.text:
            reader.shell(f"kubectl -n {OPERATOR} rollout status deployment/dbcustody-operator --timeout=120s")
        if "40-policy" in command.text:
            reader.shell("kubectl wait --for=condition=Ready pgdb/shop pgstore/main pgbp/shop-nightly --timeout=2m")
    assert ground.postgres.execute("SELECT count(*) FROM customers", database="shop_again") == [(CUSTOMERS,)]
    assert reader.unused() == [IN_MANIFEST]

    reader.shell(f"helm uninstall dbcustody -n {OPERATOR} --wait")
    assert len(ground.cluster.get("backups.dbcustody.dev")["items"]) >= 2
    _take_away(reader)
    ground.postgres.execute("DROP DATABASE shop_again", "DROP DATABASE shop", "DROP ROLE shop")


def _take_away(reader: Reader) -> None:
    """Take away what an uninstalled release leaves."""
    reader.shell("kubectl delete dbcustody --all --timeout=60s")
    reader.shell(f"kubectl delete namespace {OPERATOR} shop storage --timeout=120s")


def _put_values_in(ground: Ground, password: str) -> None:
    """Do what the README asks for in a remark: one's own values in the examples."""
    store = ground.store
    changes = {
        "10-database-secret.yaml": {
            "username: backup": "username: shop",
            "password: change-me": f"password: '{password}'",
        },
        "11-storage-secrets.yaml": {
            "AWS_ACCESS_KEY_ID: dbcustody": f"AWS_ACCESS_KEY_ID: '{store.access_key}'",
            "AWS_SECRET_ACCESS_KEY: change-me": f"AWS_SECRET_ACCESS_KEY: '{store.secret_key}'",
            "k2026: replace-me": f"k2026: '{base64.b64encode(os.urandom(32)).decode()}'",
        },
        "30-storage-s3.yaml": {"endpoint: https:": "endpoint: http:"},
    }
    for name, values in changes.items():
        path = ground.folder / "examples" / name
        text = path.read_text()
        for placeholder, value in values.items():
            assert text.count(placeholder) == 1, (name, placeholder)
            text = text.replace(placeholder, value)
        path.write_text(text)


def test_quick_start(ground: Ground) -> None:
    """Every command in its order; nothing is written before a storage is named, and the copy is what the database was."""
    _shop(ground, "shop")
    server, store, password = ground.postgres, ground.store, administrator.appoint(ground.postgres, "shop")
    reader = ground.reader({
        "db.example.com:5432": f"{server.host}:{server.port}",
        "host=db.example.com": f"host={server.host}",
        "port=5432": f"port={server.port}",
        "postgres:admins-password": f"{administrator.NAME}:{password}",
        "custodys-password": secrets.token_urlsafe(18),
        "restorers-password": secrets.token_urlsafe(18),
        "bucket: backups": f"bucket: {BUCKET}",
        "https://s3.example.com:9000": store.url,
        "eu-north-1": "us-east-1",
        "AWS_ACCESS_KEY_ID=bucket-user": f"AWS_ACCESS_KEY_ID={store.access_key}",
        "bucket-password": store.secret_key,
    })  # fmt: skip
    before = store.keys(BUCKET)
    told: dict[str, str] = {}
    for command in to_type("docs/quick-start.md"):
        if command.heading.startswith("4.") and not any(heading.startswith("4.") for heading in told):
            assert store.keys(BUCKET) == before
            _check_that_status_asked(told)
        if "DROP DATABASE" in command.text:
            _check_the_copy(ground)
        told[command.heading] = told.get(command.heading, "") + reader.type(command)
    assert [line for line in told["5. A policy, and the first backup"].splitlines() if line.startswith("backup")] != []
    assert administrator.rights_of(server, "custody") == {"pg_read_all_data"}
    assert administrator.rights_of(server, "shop_restorer") == {"createdb", "shop"}
    assert told["6. Back, beside what runs"].count(f"\n{CUSTOMERS:6}\n") == 2
    assert reader.unused() == [IN_MANIFEST]


def test_uninstalling_leaves_nothing_but_the_data(ground: Ground) -> None:
    """What docs/install.md says for that, after the quick start: no resource, no CRD, no CronJob; every object in the bucket."""
    reader, stored = ground.reader({}), ground.store.keys(BUCKET)
    _, *leave_nothing, _ = to_type("docs/install.md", "Uninstalling")
    assert len(leave_nothing) == 5
    for command in leave_nothing:
        reader.type(command)
    assert "dbcustody" not in reader.shell("kubectl get crd,clusterroles,validatingadmissionpolicies -o name")
    assert reader.shell("kubectl get cronjobs,jobs,deployments -A -o name").split() == []
    assert len(stored) > len([key for key in stored if "/backups/" in key]) > 0
    assert set(stored) <= set(ground.store.keys(BUCKET))


def _check_that_status_asked(told: dict[str, str]) -> None:
    """Fail unless what the document has granted is what status asked for, and nothing else refused."""
    (heading,) = (heading for heading in told if heading.startswith("3."))
    assert "GRANT pg_read_all_data TO custody; -- instead of" in told[heading]
    assert "GRANT SELECT ON TABLE public.customers TO custody;" in told[heading]
    assert "Ready=True" in told[heading]


def _check_the_copy(ground: Ground) -> None:
    request = ground.cluster.get("restorerequests.dbcustody.dev", "shop-again", "-n", "shop")
    assert conditions(request)["Succeeded"]["status"] == "True", json.dumps(request["status"])
    counts = "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM billing.invoices)"
    copy, original = (ground.postgres.execute(counts, database=name) for name in ("shop_again", "shop"))
    assert copy == original
