"""A real S3 server: versitygw over a folder, with credentials of its own and TLS if wanted."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from botocore.config import Config

from ground.cache import cached, run
from ground.golang import build
from ground.process import Daemon
from ground.scratch import scratch_folder

if TYPE_CHECKING:
    from types import TracebackType

VERSION: Final = "v1.8.0"


def program() -> Path:
    """Return the server's executable, built from its Go module the first time."""
    return cached(
        f"bin/versitygw-{VERSION}",
        lambda draft: build(f"github.com/versity/versitygw/cmd/versitygw@{VERSION}", draft),
        doing="building the S3 server (80 s the first time)",
    )


@dataclass
class S3Server:
    """One server; a context manager. *tls* is a pair of certificate and key files, *ca* the file that clients are to trust.

    Below *virtual_domain* it takes the first label of a host name for the bucket; asked by its address, for none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: tuple[Path, Path] | None = None
    ca: Path | None = None
    virtual_domain: str | None = None
    access_key: str = field(default_factory=lambda: f"AK{secrets.token_hex(8)}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __enter__(self) -> Self:
        self.folder = scratch_folder("s3")
        for name in ("objects", "iam", "versions"):
            (self.folder / name).mkdir()
        self.port = self.port or _free_port(self.host)
        self._daemon = Daemon(self.folder, "versitygw")
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        tls: list[str | Path] = ["--cert", self.tls[0], "--key", self.tls[1]] if self.tls else []
        virtual = ["--virtual-domain", self.virtual_domain] if self.virtual_domain else []
        common = ["--port", f"{self.host}:{self.port}", "--iam-dir", self.folder / "iam", "--quiet", *tls, *virtual]
        self._daemon.start(
            [program(), *common, "posix", "--versioning-dir", self.folder / "versions", self.folder / "objects"],
            environment={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )
        self._daemon.wait_ready(self._answers, 30)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server."""
        self._daemon.stop(first=how)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        self._daemon.send(number)

    def client(self, *, access_key: str | None = None, secret_key: str | None = None) -> Any:
        """Return a boto3 client, by default with all rights."""
        return boto3.session.Session(
            access_key or self.access_key, secret_key or self.secret_key, region_name="us-east-1"
        ).client(
            "s3",
            endpoint_url=self.url,
            verify=str(self.ca) if self.ca else None,
            config=Config(
                s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2}
            ),
        )

    def make_bucket(self, name: str, *, object_lock: bool = False) -> str:
        """Create a bucket and return its name."""
        with closing(self.client()) as client:
            client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        return name

    def make_user(self, name: str) -> tuple[str, str]:
        """Create a user who owns nothing; returns access key and secret. Rights come from bucket policies."""
        secret = secrets.token_urlsafe(18)
        admin = ["admin", "--access", self.access_key, "--secret", self.secret_key, "--endpoint-url", self.url]
        trust = ["--allow-insecure"] if self.tls else []
        run([program(), *admin, *trust, "create-user", "--access", name, "--secret", secret, "--role", "user"])
        return name, secret

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return every key of *bucket* below *prefix*."""
        with closing(self.client()) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def file(self, bucket: str, key: str) -> Path:
        """Return the file in which the server keeps an object, for those who want to damage it."""
        return self.folder / "objects" / bucket / key

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == os.EX_OK


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
