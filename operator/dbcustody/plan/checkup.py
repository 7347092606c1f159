"""What a doctor says of a cluster: each question that was asked of it, as a finding and what helps."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from dbcustody.api.approval import ApprovalSpec
from dbcustody.api.backup import BackupSpec
from dbcustody.api.database import DatabaseSpec
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigrationSpec
from dbcustody.api.policy import BackupPolicySpec
from dbcustody.api.restore import RestoreRequestSpec
from dbcustody.api.storage import BackupStorageSpec
from dbcustody.codec import hints_of, parse_time, wire_name
from dbcustody.naming import GROUP, VERSION, named
from dbcustody.plan.verdict import End, judge, remedy_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dbcustody.api.glance import Glance

OLDEST_MINOR: Final = 32
"""Of Kubernetes 1.x: what the CRDs' rules need."""
MOST_SKEW: Final = timedelta(minutes=5)
LEASE_PATIENCE: Final = timedelta(seconds=60)
HEALTH_SHA256: Final = "01a7dc774de4e4b371382d6ef66e9c7fe09473426a8988ebd918e96ce3998464"
"""Of deploy/argocd's health.lua as this version ships it; a test holds the two together."""
_SPECS: Final[dict[Kind, type]] = {
    Kind.DATABASE: DatabaseSpec,
    Kind.BACKUP_STORAGE: BackupStorageSpec,
    Kind.BACKUP_POLICY: BackupPolicySpec,
    Kind.BACKUP: BackupSpec,
    Kind.RESTORE_REQUEST: RestoreRequestSpec,
    Kind.APPROVAL: ApprovalSpec,
    Kind.DATABASE_MIGRATION: DatabaseMigrationSpec,
}
_APPLY_CRDS: Final = "apply the CRDs of this version: helm upgrade, or kubectl apply -f crds/"
_NAMES_SHOWN: Final = 5


class Level(StrEnum):
    """How bad it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    level: Level
    what: str
    said: str
    remedy: str = ""


def judge_version(answer: Mapping[str, Any] | None) -> Finding:
    """Return the finding on what the API server says of itself."""
    minor = re.match(r"\d+", str((answer or {}).get("minor", "")))
    if answer is None or minor is None:
        return Finding(Level.WARN, "API server", "answers, but does not say its version")
    said = f"Kubernetes {answer.get('gitVersion', '')}"
    if answer.get("major") == "1" and int(minor[0]) < OLDEST_MINOR:
        return Finding(Level.FAIL, "API server", said, f"Kubernetes 1.{OLDEST_MINOR} or newer is needed")
    return Finding(Level.OK, "API server", said)


def judge_clock(date: datetime | None, now: datetime) -> Finding:
    """Return the finding on the difference between this machine's clock and the API server's, as its answer's *date* says it."""
    if date is None:
        return Finding(Level.WARN, "clock", "the API server does not tell the time")
    skew = abs(now - date)
    said = f"{skew.total_seconds():.0f} s between this machine and the API server"
    if skew > MOST_SKEW:
        return Finding(Level.WARN, "clock", said, "set the clocks: ages, and S3's signatures, depend on them")
    return Finding(Level.OK, "clock", said)


def judge_crd(kind: Kind, crd: Mapping[str, Any] | None) -> Finding:
    """Return the finding on the CRD of *kind*: there, served, and with the fields that this version knows."""
    what = f"CRD {kind.plural}"
    if crd is None:
        return Finding(Level.FAIL, what, "is not installed", _APPLY_CRDS)
    versions = [one for one in crd["spec"]["versions"] if one["name"] == VERSION and one["served"]]
    if not versions:
        return Finding(Level.FAIL, what, f"does not serve {VERSION}", _APPLY_CRDS)
    schema = versions[0].get("schema", {}).get("openAPIV3Schema", {}).get("properties", {}).get("spec", {})
    missing, more = _differences(_SPECS[kind], schema)
    if missing:
        return Finding(
            Level.FAIL, what, f"is older than this client: lacks {named(missing, _NAMES_SHOWN)}", _APPLY_CRDS
        )
    if more:
        return Finding(
            Level.WARN, what, f"is newer than this client: has {named(more, _NAMES_SHOWN)}", "update dbcustody here"
        )
    return Finding(Level.OK, what, f"{VERSION} is served, with every field that this version knows")


def judge_names(crds: Sequence[Mapping[str, Any]]) -> Finding:
    """Return the finding on short names of ours that other groups also use."""
    ours = {kind.short_name for kind in Kind}
    others = [crd["spec"] for crd in crds if crd["spec"]["group"] != GROUP]
    taken = sorted(
        f"{name} ({spec['group']})" for spec in others for name in ours & {*spec["names"].get("shortNames", ())}
    )
    if taken:
        return Finding(
            Level.WARN,
            "short names",
            f"also used by others: {named(taken, _NAMES_SHOWN)}",
            f"say backups.{GROUP} and the like",
        )
    shared = sorted({spec["group"] for spec in others if spec["names"]["plural"] in {kind.plural for kind in Kind}})
    more = f"; on `backups` and the like {named(shared, _NAMES_SHOWN)} may answer, so say pgbak" if shared else ""
    return Finding(Level.OK, "short names", f"nobody else uses ours{more}")


def judge_deployment(found: Sequence[Mapping[str, Any]], namespace: str) -> Finding:
    """Return the finding on the operator's Deployment, of which *found* holds those that bear its labels."""
    if not found:
        helps = "install it, or name where it runs with --operator-namespace"
        return Finding(Level.FAIL, "operator", f"no Deployment of dbcustody in namespace {namespace}", helps)
    name, status = found[0]["metadata"]["name"], found[0].get("status", {})
    ready, wanted = status.get("readyReplicas", 0), found[0].get("spec", {}).get("replicas", 1)
    said = f"{ready} of {wanted} replicas of {namespace}/{name} are ready"
    if ready:
        return Finding(Level.OK if ready >= wanted else Level.WARN, "operator", said)
    return Finding(Level.FAIL, "operator", said, f"kubectl describe deployment/{name} -n {namespace}")


def judge_lease(lease: Mapping[str, Any] | None, now: datetime) -> Finding:
    """Return the finding on the Lease by which the replicas choose who works; *now* by the API server's clock where that is known."""
    spec = (lease or {}).get("spec", {})
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return Finding(Level.FAIL, "leader", "no replica leads: nothing is done", "read the operator's log")
    age = now - parse_time(spec["renewTime"])
    said = f"{spec['holderIdentity']}, renewed {max(age.total_seconds(), 0):.0f} s ago"
    if age > LEASE_PATIENCE:
        return Finding(Level.FAIL, "leader", said, "the leader is gone and nobody follows it: read the operator's log")
    return Finding(Level.OK, "leader", said)


def judge_right(what: str, *, allowed: bool) -> Finding:
    """Return the finding on one permission of the caller; who only looks needs fewer, so that a missing one is no failure."""
    if allowed:
        return Finding(Level.OK, f"may {what}", "yes")
    return Finding(Level.WARN, f"may {what}", "no", "have one of the chart's roles bound, if it shall be done")


def judge_resource(resource: Glance) -> Finding:
    """Return the finding on a Database or BackupStorage."""
    verdict, what = judge(resource), f"{resource.namespace}/{resource.kind.value.lower()}/{resource.name}"
    if verdict.end is End.GOOD:
        return Finding(Level.OK, what, "ready")
    is_bad = verdict.end is End.FAILED or resource.is_false("Ready")
    said = ": ".join(filter(None, (verdict.reason, verdict.message)))
    return Finding(Level.FAIL if is_bad else Level.WARN, what, said, remedy_of(verdict.reason))


def judge_argocd(settings: Mapping[str, Any] | None) -> Finding:
    """Return the finding on Argo CD's ConfigMap *settings* (None: there is no Argo CD)."""
    if settings is None:
        return Finding(Level.OK, "Argo CD", "none in namespace argocd")
    script, helps = (
        _health_script(settings.get("data") or {}),
        "apply deploy/argocd/argocd-cm.yaml as docs/gitops.md says",
    )
    if script is None:
        return Finding(Level.WARN, "Argo CD", f"has no health check for {GROUP}", helps)
    if health_digest(script) != HEALTH_SHA256:
        return Finding(Level.WARN, "Argo CD", "has another health check than this version ships", helps)
    return Finding(Level.OK, "Argo CD", "has this version's health check")


def health_digest(script: str) -> str:
    """Return what identifies a health check, however it was indented into YAML at its end."""
    return hashlib.sha256(script.strip().encode()).hexdigest()


def _health_script(data: Mapping[str, Any]) -> str | None:
    """Return the health check of our group, in either of the places that Argo CD reads."""
    flat = data.get(f"resource.customizations.health.{GROUP}_*")
    if isinstance(flat, str):
        return flat
    try:
        entries = yaml.safe_load(str(data.get("resource.customizations", "")))
    except yaml.YAMLError:
        return None
    entry = entries.get(f"{GROUP}/*") if isinstance(entries, dict) else None
    script = entry.get("health.lua") if isinstance(entry, dict) else None
    return script if isinstance(script, str) else None


def _differences(cls: type, schema: Mapping[str, Any], path: str = "spec") -> tuple[list[str], list[str]]:
    """Return the fields of *cls* that *schema* lacks and those that it has besides, with all that is below."""
    known = {wire_name(field.name): hints_of(cls)[field.name] for field in fields(cls)}
    there = schema.get("properties", {})
    missing = [f"{path}.{name}" for name in known if name not in there]
    more = [f"{path}.{name}" for name in there if name not in known]
    for name, below in ((name, _dataclass_in(hint)) for name, hint in known.items() if name in there):
        if below is not None:
            lacks, has = _differences(below, there[name], f"{path}.{name}")
            missing, more = missing + lacks, more + has
    return missing, more


def _dataclass_in(hint: Any) -> type | None:
    return next((one for one in (hint, *_plain(hint)) if is_dataclass(one) and isinstance(one, type)), None)


def _plain(hint: Any) -> Iterator[Any]:
    """Yield the choices of an `X | None`; lists and mappings are not looked into."""
    arguments = get_args(hint)
    yield from arguments if type(None) in arguments else ()
