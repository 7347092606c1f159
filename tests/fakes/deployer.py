"""The Jobs of a DatabaseMigration as a pod runs them: files in mounts, the request in the environment, a result in the end."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dbcustody.api.database import Connection, DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration_source import SourceImage
from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    REQUEST_VARIABLE,
    JobRequest,
    JobResult,
    MigrationTerms,
    RecordKind,
    Verb,
    dump_request,
    load_result,
    unframe,
)
from dbcustody.jobs.runner import Surroundings, main
from dbcustody.migration.digest import file_digest, source_digest
from ground.postgres import PostgresServer
from tests.fakes.jobpod import connection_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def deploying(server: PostgresServer, folder: Path, **around: Any) -> Iterator[Deployer]:
    """Yield who runs the Jobs of a resource with *around* (`sources`, `image`) against a new database, which goes afterwards."""
    server.execute("create database shop")
    yield Deployer(server=server, folder=folder, **around)
    server.execute("drop database shop with (force)")


@dataclass(kw_only=True)
class Deployer:
    """One resource, whose ConfigMaps are *sources*, by name."""

    server: PostgresServer
    folder: Path
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    image: dict[str, str] | None = None
    """What was copied out of an image, by path; None: the source are the ConfigMaps."""
    said: str = ""
    """What the last Job wrote on standard output and standard error."""

    def request(self, verb: Verb, *, digest: str | None = None, **terms: Any) -> JobRequest:
        """Return what is asked; *digest* stands in for that of the files."""
        files = [(name, text) for source in self.sources.values() for name, text in source.items()]
        files += [(one.name, one.sql) for one in terms.get("inline", ())]
        found = source_digest((name, file_digest(text.encode())) for name, text in files)
        refs = tuple(ObjectRef(name=name) for name in self.sources)
        return JobRequest(
            verb=verb,
            namespace="team",
            name="shop",
            owner_uid="uid-shop",
            custody_id="team.shop",
            database=DatabaseSpec(connection=Connection(secret_ref=ObjectRef(name="shop-app"))),
            migration=MigrationTerms(source_digest=digest or found, config_map_refs=refs, **terms),
        )

    def request_of_image(self, verb: Verb, **terms: Any) -> JobRequest:
        """Return what is asked where the files lie in an image."""
        image = SourceImage(reference="example.org/shop:1", path="/migrations")
        return replace(self.request(verb), migration=MigrationTerms(image=image, lock_wait_seconds=1, **terms))

    def does(self, verb: Verb, *, digest: str | None = None, **terms: Any) -> JobResult:
        """Run the Job, and return what it leaves."""
        terms = {"lock_wait_seconds": 1} | terms
        return self.answer(self.request(verb, digest=digest, **terms))

    def answer(self, request: JobRequest) -> JobResult:
        """Return what the Job that is asked *request* leaves."""
        root = self.folder / str(uuid4())
        mounts = {"connection": connection_of(self.server)}
        mounts |= {f"source-{number}": files for number, files in enumerate(self.sources.values())}
        if self.image is not None:
            mounts |= {"source-image": self.image}
        _write(root / "mounts", mounts)
        out, err = io.StringIO(), io.StringIO()
        environ = {REQUEST_VARIABLE: dump_request(request), ATTEMPT_VARIABLE: str(uuid4())}
        around = Surroundings(termination_file=root / "termination", mount_root=root / "mounts", stdout=out, stderr=err)
        main(request.verb.value, environ, around)
        self.said = out.getvalue() + err.getvalue()
        short = load_result((root / "termination").read_text())
        return short if short.complete else _whole(out.getvalue())

    def plans(self, **terms: Any) -> str:
        """Return the hash of what is pending."""
        facts = self.does(Verb.PLAN_MIGRATION, **terms).migration
        assert facts is not None
        return facts.plan.hash

    def migrates(self, **terms: Any) -> JobResult:
        """Carry out what is pending, by the plan that is told right before."""
        return self.does(Verb.MIGRATE, plan_hash=self.plans(**terms), **terms)

    def without_migration(self, verb: Verb) -> JobResult:
        """Return what a Job leaves that nobody told what to do."""
        return self.answer(replace(self.request(verb), migration=None))


def _write(root: Path, mounts: Mapping[str, Mapping[str, str]]) -> None:
    for mount, files in mounts.items():
        (root / mount).mkdir(parents=True)
        for name, text in files.items():
            (root / mount / name).parent.mkdir(parents=True, exist_ok=True)
            (root / mount / name).write_text(text)


def _whole(log: str) -> JobResult:
    """Return the result in the *log*, as the operator takes it where the termination message had no room."""
    records = [record for line in log.splitlines() if (record := unframe(line)) is not None]
    (data,) = [record.data for record in records if record.kind is RecordKind.RESULT]
    return replace(load_result(json.dumps(data)), complete=False)
