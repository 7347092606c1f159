"""The inspect Job: connects as the role that dumps, and says what is there and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import choose_client, connect, find_clients
from dbcustody.adapters.postgres.inspection import measure_database, one_snapshot, read_missing_rights, read_server
from dbcustody.adapters.postgres.swapping import read_places
from dbcustody.api.backup import Progress, Stage
from dbcustody.api.database import Copy, Extension, Server
from dbcustody.contract import Verb
from dbcustody.errors import RefusedError
from dbcustody.facts import InspectionFacts
from dbcustody.jobs.verdict import fail, give
from dbcustody.plan.standing import MOST_COPIES, Neighbour, find_copies
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.inspection import MissingRights, ServerFacts
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what was found: reason Connected, PrivilegesMissing or VersionUnsupported, with the facts in each case.

    Raises with the reasons of the Secret and of the connection.
    """
    target = tools.target(request.verb)
    tools.report(Progress(stage=Stage.CONNECTING, summary=f"connecting to {target.endpoint}"))
    with connect(target) as session, one_snapshot(session):
        server = read_server(session)
        facts = partial(_facts, target, server, _standing(session, server, request), measure_database(session))
        try:
            client = choose_client(find_clients(tools.clients), server.major_version, server=target.endpoint)
        except RefusedError as error:
            return fail(Verb.INSPECT, error.reason, error.message, inspection=facts())
        missing = read_missing_rights(session)
    found = facts(missing=missing, client_major=client.major)
    if missing.refuses_dump:
        return fail(Verb.INSPECT, Reason.PRIVILEGES_MISSING, describe_missing(missing), inspection=found)
    return give(Verb.INSPECT, Reason.CONNECTED, _describe(server, missing), inspection=found)


def describe_missing(missing: MissingRights) -> str:
    """Return in words what the role cannot read; `missingGrants` has the statements."""
    counted = (
        (missing.schemas.total, "schemas"),
        (missing.tables.total, "tables"),
        (missing.sequences.total, "sequences"),
        (missing.row_security.total, "tables behind row-level security"),
        (missing.large_objects.total, "large objects"),
    )
    found = ", ".join(f"{count} {what}" for count, what in counted if count)
    return f"the role that dumps cannot read {found}; run the SQL in `status.missingGrants`"


def _describe(server: ServerFacts, missing: MissingRights) -> str:
    said = [f"PostgreSQL {server.version}"]
    if missing.large_objects.total:
        said.append(f"{missing.large_objects.total} large objects of other owners are not captured")
    if not server.may_monitor:
        said.append("without pg_monitor the message about a lock does not say since when it is held")
    if server.system_identifier is None:
        said.append("the role may not know the server's identity (pg_control_system)")
    return "; ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """The live database, and what of ours stands beside it."""

    oid: int
    copies: tuple[Copy, ...]


def _standing(session: Session, server: ServerFacts, request: JobRequest) -> _Standing:
    neighbours = [Neighbour(name=one.name, oid=one.oid, comment=one.comment) for one in read_places(session)]
    oid = next(one.oid for one in neighbours if one.name == server.database)
    copies = find_copies(neighbours, live_oid=oid, custody_id=request.custody_id or "", namespace=request.namespace)
    return _Standing(oid=oid, copies=copies)


def _facts(
    target: PostgresTarget,
    server: ServerFacts,
    standing: _Standing,
    size_bytes: int,
    *,
    missing: MissingRights | None = None,
    client_major: int | None = None,
) -> InspectionFacts:
    return InspectionFacts(
        endpoint=target.endpoint,
        database=server.database,
        convention=target.convention,
        server=Server(
            version=server.version,
            major_version=server.major_version,
            system_identifier=server.system_identifier,
            timeline=server.timeline,
            size_bytes=size_bytes,
            in_recovery=server.in_recovery,
            extensions=tuple(Extension(name=name, version=version) for name, version in server.extensions),
        ),
        missing_grants=missing.statements() if missing else (),
        client_major_version=client_major,
        oid=standing.oid,
        copies=standing.copies[:MOST_COPIES],
        more_copies=max(0, len(standing.copies) - MOST_COPIES) or None,
    )
