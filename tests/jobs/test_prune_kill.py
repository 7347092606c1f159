"""A real prune process is killed at every step of a deletion: the next one finishes, and no good backup is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import S3Settings, S3Store
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import Retention
from dbcustody.api.storage import S3, BackupStorageSpec, Encryption
from dbcustody.contract import REQUEST_VARIABLE, JobResult, Mount, Verb, dump_request, load_result
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import backup_prefix
from ground.proxy import Fault, Proxy
from ground.s3 import S3Server
from tests.fakes.vault import CUSTODY, KEY, Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.contract import JobRequest

pytestmark = pytest.mark.s3
TODAY = datetime.now(UTC).replace(microsecond=0)
PROGRAM = """
import os, sys
from pathlib import Path
from dbcustody.jobs.runner import Surroundings, main
root = Path(sys.argv[1])
sys.exit(main("prune", os.environ, Surroundings(termination_file=root / "result", mount_root=root)))
"""


@dataclass(frozen=True)
class Bench:
    """A bucket with four backups of which two are to go, the mounts of a Job, and a proxy on its way."""

    root: Path
    proxy: Proxy
    vault: Vault
    bucket: str

    def request(self) -> JobRequest:
        """Return the request of the prune."""
        s3 = S3(
            bucket=self.bucket, region="us-east-1", endpoint=self.proxy.url, credentials_secret_ref=ObjectRef(name="s3")
        )
        encryption = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
        retention = Retention(keep_last=2, keep_daily=0, keep_weekly=0, keep_monthly=0)
        spec = BackupStorageSpec(s3=replace(s3, prefix="p"), encryption=encryption)
        return self.vault.request(Verb.PRUNE, storage=spec, retention=retention, policy_name="nightly")

    def start(self) -> subprocess.Popen[bytes]:
        """Start a prune as the pod would."""
        environment = {**os.environ, REQUEST_VARIABLE: dump_request(self.request())}
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.root)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def result(self) -> JobResult:
        """Return the result that the last process left."""
        return load_result((self.root / "result").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


@pytest.fixture
def bench(server: S3Server, tmp_path: Path) -> Iterator[Bench]:
    """Return the place where processes are killed."""
    secrets = {
        f"{Mount.S3_CREDENTIALS}/AWS_ACCESS_KEY_ID": server.access_key.encode(),
        f"{Mount.S3_CREDENTIALS}/AWS_SECRET_ACCESS_KEY": server.secret_key.encode(),
        f"{Mount.KEYRING}/k1": KEY,
    }
    for name, content in secrets.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    bucket = server.make_bucket(f"b-{uuid.uuid4().hex[:12]}")
    store = S3Store(
        S3Settings(
            bucket=bucket,
            prefix="p",
            endpoint=server.url,
            addressing_style="path",
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
        )
    )
    vault = Vault(store)
    for night in range(4):
        vault.commit(f"night-{night}", TODAY - timedelta(days=4 - night))
    with Proxy(server.host, server.port) as proxy:
        yield Bench(tmp_path, proxy, vault, bucket)
    store.close()


def below(bench: Bench, backup_id: str) -> set[str]:
    """Return the names of what lies below a backup."""
    prefix = backup_prefix(CUSTODY, backup_id)
    return {entry.key.removeprefix(prefix) for entry in bench.vault.store.entries(prefix)}


@pytest.mark.parametrize(
    ("pattern", "skipped"),
    [
        pytest.param("GET .*manifest.json", 0, id="while-taking-stock"),
        pytest.param("PUT .*tombstone", 0, id="first-tombstone"),
        pytest.param("POST .*delete", 0, id="first-data"),
        pytest.param("POST .*delete", 1, id="first-facts"),
        pytest.param("POST .*delete", 2, id="first-manifest"),
        pytest.param("PUT .*tombstone", 1, id="second-tombstone"),
        pytest.param("POST .*delete", 3, id="second-data"),
        pytest.param("POST .*delete", 5, id="second-manifest"),
        pytest.param("GET .*uploads", 0, id="before-the-sweep-of-uploads"),
    ],
)
@pytest.mark.parametrize(
    "arrives", [pytest.param(True, id="request-arrives"), pytest.param(False, id="request-is-lost")]
)
def test_killed_prune_is_finished(bench: Bench, pattern: str, skipped: int, arrives: bool) -> None:  # noqa: FBT001 - a table
    """Wherever it is killed, what was to stay is whole and believed, and the next prune ends it and tells all names."""
    doomed, kept = bench.vault.stock().live[:2], bench.vault.stock().live[2:]
    whole = {one.manifest.backup_id: below(bench, one.manifest.backup_id) for one in kept}
    bench.proxy.add(Fault(pattern, after_bytes=1 << 40, times=skipped))
    fault = bench.proxy.add(Fault(pattern, holds=True))
    process = bench.start()
    assert fault.struck.wait(120), (bench.root / "result").exists() and bench.result()
    process.send_signal(signal.SIGKILL)
    process.wait()
    if arrives:
        fault.release.set()

    stock = bench.vault.stock()
    assert stock.doubts == ()
    assert {one.manifest_sha256 for one in stock.live} >= {one.manifest_sha256 for one in kept}
    again = bench.start()

    assert again.wait(120) == ExitCode.DONE
    result = bench.result()
    assert result.reason is Reason.RETENTION_ENFORCED
    assert result.prune is not None
    assert set(result.prune.deleted) == {"night-0", "night-1"}
    assert [below(bench, one.manifest.backup_id) for one in doomed] == [{"tombstone.json"}] * 2
    assert {one.manifest.backup_id: below(bench, one.manifest.backup_id) for one in kept} == whole
    after = bench.vault.stock()
    assert [one.manifest.name for one in after.live] == ["night-2", "night-3"]
    assert after.doubts == after.breaks == ()
