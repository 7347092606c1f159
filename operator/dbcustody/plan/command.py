"""The command that a person would type next about a resource and what is said of it, ready to be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE, GROUP, LABEL_POLICY, label_value
from dbcustody.plan.asking import database_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbcustody.api.glance import Glance
    from dbcustody.api.restore import RestoreSource

    Words = list[str]

_AGAIN: Final = frozenset({
    Reason.JOB_LOST.value, Reason.JOB_DELETED.value, Reason.VERIFICATION_FAILED.value, Reason.ARCHIVE_DAMAGED.value,
})  # fmt: skip
_REFUSED_USER: Final = re.compile(r'User "([^"\s]+)" cannot')
"""How the API server names who may not (https://kubernetes.io/docs/reference/access-authn-authz/authorization/)."""


def command_for(resource: Glance, reason: str, policies: Sequence[Glance]) -> str:
    """Return what a person would type next about *resource* because of *reason*."""
    special = _SPECIAL.get(reason)
    words = special(resource) if special is not None else None
    words = words or _another_backup(resource, reason, policies)
    if words is None:
        words = [["kubectl", "describe", resource.place, "-n", resource.namespace]]
    return " && ".join(shlex.join(one) for one in words)


def undo_command(request: Glance) -> str:
    """Return what takes back the swap of *request*."""
    return shlex.join(["kubectl", "dbcustody", "restore", "--undo", request.name, "-n", request.namespace, "--wait"])


def _confirm_prune(resource: Glance) -> list[Words] | None:
    if not resource.status.prune_hash:
        return None
    agreed = f"{ANNOTATION_CONFIRM_PRUNE}={resource.status.prune_hash}"
    return [["kubectl", "annotate", resource.place, "-n", resource.namespace, agreed, "--overwrite"]]


def _approve(resource: Glance) -> list[Words]:
    kind = [] if resource.kind is Kind.RESTORE_REQUEST else ["--kind", resource.kind.value.lower()]
    return [["kubectl", "dbcustody", "approve", resource.name, *kind, "-n", resource.namespace]]


def _show_grants(resource: Glance) -> list[Words] | None:
    if not resource.status.missing_grants:
        return None
    lines = r'jsonpath={range .status.missingGrants[*]}{@}{"\n"}{end}'
    return [["kubectl", "get", resource.place, "-n", resource.namespace, "-o", lines]]


def _show_backups(resource: Glance) -> list[Words]:
    label = f"{LABEL_POLICY}={label_value(resource.name)}"
    return [["kubectl", "get", f"backups.{GROUP}", "-n", resource.namespace, "-l", label]]


def _restore_again(resource: Glance) -> list[Words] | None:
    """Return how the same is asked for anew, with each side effect of its plan accepted; the person is asked to confirm it."""
    spec, target = resource.spec, resource.spec.target
    if target is None or target.database is not None or (spec.source is None and spec.undo_of is None):
        return None
    source = _source_words(spec.source) if spec.source is not None else []
    where = ["--undo", spec.undo_of.name] if spec.undo_of is not None else ["--replace", target.database_ref.name]
    told = resource.status.plan.side_effects if resource.status.plan is not None else ()
    kinds = dict.fromkeys([*spec.acknowledge, *(one.kind for one in told)])
    accepted = [word for kind in kinds for word in ("--acknowledge", kind)]
    return [["kubectl", "dbcustody", "restore", *source, *where, *accepted, "-n", resource.namespace, "--wait"]]


def _source_words(source: RestoreSource) -> Words:
    named = (
        ("--policy", source.policy_ref.name if source.policy_ref is not None else None),
        ("--before", format_time(source.before_time) if source.before_time is not None else None),
        ("--storage", source.storage_ref.name if source.storage_ref is not None else None),
        ("--custody", source.custody_id),
        ("--backup-id", source.backup_id),
    )
    backup = [source.backup_ref.name] if source.backup_ref is not None else []
    return [*backup, *(word for option, value in named if value is not None for word in (option, value))]


def _scale_back(resource: Glance) -> list[Words] | None:
    stopped = [one for one in resource.status.workloads if not one.resumed]
    return [
        ["kubectl", "scale", f"{one.kind.lower()}/{one.name}", f"--replicas={one.replicas}", "-n", resource.namespace]
        for one in stopped
    ] or None


def _may_scale(resource: Glance) -> list[Words] | None:
    """Return the question whether the operator, as the API server calls it, may scale now."""
    said = resource.said("Ready")
    who = _REFUSED_USER.search(said.message) if said is not None else None
    if who is None:
        return None
    asked = ["kubectl", "auth", "can-i", "patch", "deployments.apps", "--subresource=scale"]
    return [[*asked, "-n", resource.namespace, f"--as={who[1]}"]]


def _drop_left(resource: Glance) -> list[Words] | None:
    """Return what drops each old database that nobody else drops; DATABASE_URL says on which server."""
    return [
        ["dbcustody", "restore", "--drop-old", one.name, "--yes"] for one in resource.status.copies if one.left
    ] or None


def _another_backup(resource: Glance, reason: str, policies: Sequence[Glance]) -> list[Words] | None:
    database = database_of(resource, policies)
    if resource.kind is not Kind.BACKUP or reason not in _AGAIN or database is None:
        return None
    policy = resource.spec.policy_ref
    by = ["--policy", policy.name] if policy is not None else []
    return [["kubectl", "dbcustody", "backup", "now", database, "-n", resource.namespace, *by]]


_SPECIAL: Final[dict[str, Callable[[Glance], list[Words] | None]]] = {
    Reason.RETENTION_NEEDS_CONFIRMATION.value: _confirm_prune,
    Reason.APPROVAL_PENDING.value: _approve,
    Reason.PRIVILEGES_MISSING.value: _show_grants,
    Reason.RECOVERY_POINT_MISSED.value: _show_backups,
    Reason.ACKNOWLEDGEMENT_NEEDED.value: _restore_again,
    Reason.NOT_CONFIRMED.value: _restore_again,
    Reason.SCALE_FORBIDDEN.value: _may_scale,
    Reason.WORKLOADS_STOPPED.value: _scale_back,
    Reason.OLD_DATABASE_LEFT.value: _drop_left,
}
