"""`approve` and `deny`: the plan that a request tells is shown, and a person's word on that very plan becomes an Approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbcustody.adapters.kube import ours
from dbcustody.api.approval import Approvable, Decision, RequestRef
from dbcustody.api.meta import Kind
from dbcustody.api.migration import StatedMigrationPlan
from dbcustody.api.restore import Mode, StatedPlan
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.kubectl.asking import create
from dbcustody.cli.kubectl.session import see
from dbcustody.cli.kubectl.status import plain
from dbcustody.codec import decode
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.naming import ANNOTATION_REQUESTED_BY
from dbcustody.plan.asking import approval_body, read_kind
from dbcustody.plan.migration_text import finding_line
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.cli.kubectl.session import Session

_DONE = {Decision.APPROVE: "approved", Decision.DENY: "denied"}


async def decide(
    session: Session, decision: Decision, kind: str, name: str, *, plan_hash: str | None, reason: str | None
) -> int:
    """Show the plan that the request tells, file the Approval and print its name; returns the exit code."""
    asked = _approvable(kind)
    body = await session.kube.get(ours(Kind(asked.value).plural), session.home, name)
    told = _waiting_plan(asked, name, body, session.home)
    if plan_hash not in {None, told.hash}:
        raise RefusedError(
            f"{asked.value} {name}: tells plan {told.hash} now, not {plan_hash}", reason=Reason.PLAN_CHANGED
        )
    for line in _lines(asked, name, told, body or {}):
        click.echo(plain(line), err=True)
    request = RequestRef(kind=asked, name=name)
    made = await create(
        session,
        Kind.APPROVAL,
        f"{name}-{_DONE[decision]}",
        lambda one: approval_body(one, request=request, plan_hash=told.hash, decision=decision, reason=reason),
        name=None,
    )
    return _counted(await session.kube.get(ours(Kind.APPROVAL.plural), session.home, made), body or {}, made)


def _approvable(text: str) -> Approvable:
    kind = read_kind(text)
    if kind.value not in {one.value for one in Approvable}:
        raise InvalidSpecError(f"--kind {text}: asks nobody; there are: {', '.join(Approvable).lower()}")
    return Approvable(kind.value)


def _waiting_plan(
    kind: Approvable, name: str, body: Mapping[str, Any] | None, namespace: str
) -> StatedPlan | StatedMigrationPlan:
    """Return the plan that waits for a person; raises RefusedError when none does."""
    if body is None:
        raise RefusedError(
            f"{kind.value} {name}: is not there in namespace {namespace}", reason=Reason.REQUEST_NOT_FOUND
        )
    said = see(Kind(kind.value), body).said("Approved")
    if said is None or said.reason != Reason.APPROVAL_PENDING:
        why = "it asks nobody, or has not told its plan yet" if said is None else f"{said.reason}: {said.message}"
        raise RefusedError(
            f"{kind.value} {name}: has no plan that waits for a person ({why})", reason=Reason.SUPERSEDED
        )
    plan = body["status"]["plan"]
    if kind is Approvable.DATABASE_MIGRATION:
        return decode(StatedMigrationPlan, plan, "status.plan")
    return decode(StatedPlan, plan, "status.plan")


def _lines(
    kind: Approvable, name: str, plan: StatedPlan | StatedMigrationPlan, body: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what the plan will do, a line each."""
    requester = _requester(body) or "nobody knows who"
    yield f"{kind.value} {name} (asked for by {requester}): plan {plan.hash}"
    yield from _migration_lines(plan, body) if isinstance(plan, StatedMigrationPlan) else _restore_lines(plan, body)


def _migration_lines(plan: StatedMigrationPlan, body: Mapping[str, Any]) -> Iterator[str]:
    yield f"  into {body['spec']['databaseRef']['name']}, from the source {body['status'].get('sourceDigest', '')}"
    for one in plan.migrations:
        yield f"  {one.name}: {one.risk.value}{', irreversible' if one.irreversible else ''}"
    more = body["status"].get("pending", 0) - len(plan.migrations)
    if more > 0:
        yield f"  and {more} more"
    yield from (f"  {one.migration}: {finding_line(one)}" for one in plan.findings)


def _restore_lines(plan: StatedPlan, body: Mapping[str, Any]) -> Iterator[str]:
    status = body["status"]
    yield f"  {status.get('source', '')} -> {status.get('target', '')}"
    if (body.get("spec") or {}).get("mode") == Mode.REPLACE:
        yield "  takes the place of the database that runs there, which is put aside, shut"
    yield from (f"  {one.kind.value}, accepted: {', '.join(one.names)}" for one in plan.side_effects)
    if plan.roles_to_create:
        yield f"  roles that are created: {', '.join(plan.roles_to_create)}"
    if not plan.with_ownership:
        yield "  without owners and rights"
    yield from (f"  {remark}" for remark in plan.remarks)


def _requester(body: Mapping[str, Any]) -> str | None:
    found: str | None = (body["metadata"].get("annotations") or {}).get(ANNOTATION_REQUESTED_BY)
    return found


def _counted(approval: Mapping[str, Any] | None, request: Mapping[str, Any], name: str) -> int:
    """Return the exit code, and say when the operator cannot count the Approval as it was stored."""
    approver = ((approval or {}).get("spec") or {}).get("approver")
    if approver is None:
        complain(f"approval {name}: will not count, because no admission policy wrote down who you are")
        return Exit.ERROR
    if approver == _requester(request):
        complain(f"approval {name}: will not count, because {approver} asked for it: somebody else has to decide")
        return Exit.ERROR
    return Exit.DONE
