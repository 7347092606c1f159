"""`uninstall --release-finalizers`: for the day when the operator is gone, so that nothing waits for it in `Terminating` for ever."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from dbcustody.adapters.kube import LEASES, ours
from dbcustody.api.meta import Kind
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.kubectl.doctor import DEPLOYMENTS, OPERATOR_LABELS, lease_name
from dbcustody.cli.kubectl.status import plain
from dbcustody.errors import ConflictError, InvalidSpecError, RefusedError
from dbcustody.naming import API_VERSION, FINALIZER
from dbcustody.plan.farewell import held, living_operator
from dbcustody.reason import Reason
from dbcustody.settings import LEASE_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dbcustody.cli.kubectl.session import Session
    from dbcustody.plan.farewell import Held

_TRIES: Final = 3


async def release_finalizers(session: Session, *, operator_namespace: str, is_agreed: bool, is_forced: bool) -> int:
    """Tell what our finalizer keeps and what stays of it, ask, and take it off; returns 1 when something kept it."""
    if not is_forced:
        await _refuse_beside_an_operator(session, operator_namespace)
    found = [one async for one in _all_held(session)]
    for one in found:
        click.echo(plain(f"{one.place}: {'goes at once; ' if one.is_going else ''}{one.stays}"), err=True)
    if not found:
        click.echo(f"nothing carries {FINALIZER} in {session.namespace or 'any namespace'}", err=True)
        return Exit.DONE
    _ask(len(found), is_agreed=is_agreed)
    released = [await _release(session, one) for one in found]
    return Exit.DONE if all(released) else Exit.ERROR


async def _refuse_beside_an_operator(session: Session, namespace: str) -> None:
    """Raise RefusedError while an operator lives: it would put the finalizers back, and was about to do what they wait for."""
    now = session.server_time or session.now()
    try:
        leases = [one async for one in _leases(session, namespace)]
    except RefusedError as error:
        text = f"whether an operator lives could not be looked at: {error.message}; --force goes on without knowing"
        raise RefusedError(text, reason=Reason.INVALID_SPEC) from error
    for lease in leases:
        who = living_operator(lease, session.server_time or now)
        if who is not None:
            place = f"{lease['metadata'].get('namespace', '')}/{lease['metadata']['name']}"
            raise RefusedError(
                f"an operator is alive (Lease {place}: {who}): it puts finalizers back, and deletes the data that they keep until then;"
                " delete the resources while it runs, or uninstall it first; --force goes on all the same",
                reason=Reason.INVALID_SPEC,
            )


async def _leases(session: Session, namespace: str) -> AsyncIterator[Any]:
    """Yield the Leases of every operator that can be found: by its Deployment, or by the name that the chart gives."""
    try:
        deployments = [one async for one in session.kube.list(DEPLOYMENTS, labels=OPERATOR_LABELS)]
        everything = [one async for one in session.kube.list(LEASES)]
    except RefusedError:  # whoever may not look everywhere has one namespace to name
        deployments = [one async for one in session.kube.list(DEPLOYMENTS, namespace, labels=OPERATOR_LABELS)]
        everything = [one async for one in session.kube.list(LEASES, namespace)]
    places = {(one["metadata"]["namespace"], lease_name([one])) for one in deployments} | {(namespace, LEASE_NAME)}
    for lease in everything:
        name, space = lease["metadata"]["name"], lease["metadata"].get("namespace", "")
        if (space, name) in places or name.endswith(LEASE_NAME):
            yield lease


async def _all_held(session: Session) -> AsyncIterator[Held]:
    served = {one["name"] for one in (await session.kube.read(f"/apis/{API_VERSION}") or {}).get("resources", ())}
    for kind in Kind:
        if kind.plural not in served:  # an older release did not know it yet, or the CRD is gone
            continue
        async for body in session.kube.list(ours(kind.plural), session.namespace):
            one = held(kind, body)
            if one is not None:
                yield one


def _ask(count: int, *, is_agreed: bool) -> None:
    """Return when a person wants it; raises InvalidSpecError where nobody can be asked, and click's Abort for a no."""
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise InvalidSpecError("--yes: must be given where nobody can be asked")
    click.confirm(f"take {FINALIZER} off {count} resources?", abort=True, err=True)


async def _release(session: Session, one: Held) -> bool:
    """Return whether our finalizer is gone from the resource; what somebody wrote meanwhile is read again."""
    resource, place = ours(one.kind.plural), one.place
    for _ in range(_TRIES):
        try:
            await session.kube.patch(resource, one.namespace, one.name, one.patch)
        except ConflictError:
            body = await session.kube.get(resource, one.namespace, one.name)
            again = None if body is None else held(one.kind, body)
            if again is None:
                break
            one = again
        else:
            break
    else:
        complain(f"{place}: still carries {FINALIZER}, because somebody else keeps writing it; try again")
        return False
    click.echo(place)
    return True
