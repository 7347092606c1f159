"""`doctor`: everything that must be so for the operator to do its work, asked of the cluster and told line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from dbcustody.adapters.kube import LEASES, Resource
from dbcustody.api.meta import Kind
from dbcustody.cli.ending import Exit
from dbcustody.cli.kubectl.status import plain
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.naming import GROUP
from dbcustody.plan.checkup import (
    Finding,
    Level,
    judge_argocd,
    judge_clock,
    judge_crd,
    judge_deployment,
    judge_lease,
    judge_names,
    judge_resource,
    judge_right,
    judge_version,
)
from dbcustody.settings import LEASE_NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dbcustody.cli.kubectl.session import Session

    Question = Callable[[Session], Awaitable[Sequence[Finding]]]

CRDS: Final = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
DEPLOYMENTS: Final = Resource("apps/v1", "deployments")
CONFIG_MAPS: Final = Resource("v1", "configmaps")
REVIEWS: Final = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews")
OPERATOR_LABELS: Final = "app.kubernetes.io/name=dbcustody,app.kubernetes.io/component=operator"
_RIGHTS: Final = (
    ("list", Kind.DATABASE),
    ("list", Kind.BACKUP_STORAGE),
    ("list", Kind.BACKUP_POLICY),
    ("list", Kind.BACKUP),
    ("list", Kind.RESTORE_REQUEST),
    ("create", Kind.BACKUP),
    ("create", Kind.RESTORE_REQUEST),
    ("patch", Kind.RESTORE_REQUEST),
)
_COLORS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


async def doctor(session: Session, *, operator_namespace: str) -> int:
    """Ask everything, and tell what was found; returns 1 when something fails."""
    questions: dict[str, Question] = {
        "API server": _server,
        "CRDs": _crds,
        "operator": lambda asker: _operator(asker, operator_namespace),
        "permissions": _rights,
        "resources": _resources,
        "Argo CD": _argocd,
    }
    found: list[Finding] = []
    for what, question in questions.items():
        answers = await _ask(session, what, question)
        for one in answers:
            _tell(one)
        found += answers
        if _is_away(answers[0]):
            break
    return Exit.ERROR if any(one.level is Level.FAIL for one in found) else Exit.DONE


async def _ask(session: Session, what: str, question: Question) -> Sequence[Finding]:
    """Return what *question* found; that the caller may not look is no failure of what he wanted to look at."""
    try:
        return await question(session)
    except RefusedError as error:
        return (Finding(Level.WARN, what, f"could not be looked at: {error.message}"),)
    except UnavailableError as error:
        return (Finding(Level.FAIL, what, error.message),)


def _is_away(first: Finding) -> bool:
    """Return whether nothing can be asked at all, so that the rest would be one complaint many times."""
    return first.what == "API server" and first.level is Level.FAIL and not first.remedy


def _tell(one: Finding) -> None:
    mark = click.style(f"{one.level:<4}", fg=_COLORS[one.level])
    helps = f" ({one.remedy})" if one.remedy else ""
    click.echo(f"{mark}  {plain(f'{one.what}: {one.said}{helps}')}")


async def _server(session: Session) -> Sequence[Finding]:
    version = judge_version(await session.kube.read("/version"))
    return version, judge_clock(session.server_time, session.now())


async def _crds(session: Session) -> Sequence[Finding]:
    crds = [crd async for crd in session.kube.list(CRDS)]
    by_name = {crd["metadata"]["name"]: crd for crd in crds}
    own = [judge_crd(kind, by_name.get(f"{kind.plural}.{GROUP}")) for kind in Kind]
    return *own, judge_names(crds)


async def _operator(session: Session, namespace: str) -> Sequence[Finding]:
    deployments = [one async for one in session.kube.list(DEPLOYMENTS, namespace, labels=OPERATOR_LABELS)]
    lease = await session.kube.get(LEASES, namespace, lease_name(deployments))
    now = session.server_time or session.now()
    return judge_deployment(deployments, namespace), judge_lease(lease, now)


def lease_name(deployments: Sequence[Any]) -> str:
    """Return the name of the Lease, which the Deployment says when it is not the usual one."""
    pods = (one["spec"]["template"]["spec"] for one in deployments)
    said = (word for pod in pods for container in pod["containers"] for word in container.get("env") or ())
    return next((str(word["value"]) for word in said if word["name"] == "DBCUSTODY_LEASE_NAME"), LEASE_NAME)


async def _rights(session: Session) -> Sequence[Finding]:
    return [await _right(session, verb, kind) for verb, kind in _RIGHTS]


async def _right(session: Session, verb: str, kind: Kind) -> Finding:
    asked = {"group": GROUP, "resource": kind.plural, "verb": verb, "namespace": session.namespace or ""}
    review = {
        "apiVersion": REVIEWS.api_version,
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = await session.kube.create(REVIEWS, None, review)
    where = f"in namespace {session.namespace}" if session.namespace else "everywhere"
    return judge_right(f"{verb} {kind.plural} {where}", allowed=bool(answer["status"]["allowed"]))


async def _resources(session: Session) -> Sequence[Finding]:
    found, strange = await session.all(Kind.BACKUP_STORAGE, Kind.DATABASE)
    told = [judge_resource(one) for one in found]
    told += [Finding(Level.WARN, f"{one.namespace}/{one.resource}", one.message, one.remedy) for one in strange]
    where = session.namespace or "any namespace"
    return told or [Finding(Level.OK, "resources", f"no Database and no BackupStorage in {where}")]


async def _argocd(session: Session) -> Sequence[Finding]:
    return (judge_argocd(await session.kube.get(CONFIG_MAPS, "argocd", "argocd-cm")),)
