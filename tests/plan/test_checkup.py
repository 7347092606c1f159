"""A doctor's findings: each bad state is found, named, and told with what helps; a healthy cluster is told to be one."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from dbcustody.plan.checkup import (
    HEALTH_SHA256,
    Finding,
    Level,
    health_digest,
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
from tests.fakes.glances import body, said
from tests.fakes.seen import NOW, ago

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "argocd"
EVERY_KIND = pytest.mark.parametrize("kind", Kind, ids=str)


def crd_of(kind: Kind) -> Json:
    """Return the CRD that this version ships."""
    found: Json = copy.deepcopy(yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text()))
    return found


def spec_of(crd: Json) -> Json:
    """Return the properties of `spec`, to be changed in place."""
    found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return found


@EVERY_KIND
def test_our_own_crds_are_healthy(kind: Kind) -> None:
    """As they are shipped, at every depth."""
    assert judge_crd(kind, crd_of(kind)).level is Level.OK


@EVERY_KIND
def test_a_missing_crd_is_found(kind: Kind) -> None:
    """With the way to get it; one that serves another version is as good as none."""
    other, unserved = crd_of(kind), crd_of(kind)
    other["spec"]["versions"][0]["name"] = "v2"
    unserved["spec"]["versions"][0]["served"] = False
    for crd in (None, other, unserved):
        found = judge_crd(kind, crd)
        assert (found.level, found.what) == (Level.FAIL, f"CRD {kind.plural}")
        assert "apply the CRDs" in found.remedy


def test_another_version_s_crd_is_found() -> None:
    """An older one lacks fields, also deep within; a newer one has more, which only this client does not know."""
    older, deep, newer = (crd_of(Kind.BACKUP_POLICY) for _ in range(3))
    del spec_of(older)["parallelism"]
    del spec_of(deep)["retention"]["properties"]["keepDaily"]
    spec_of(newer)["job"]["properties"]["ofNextYear"] = {}
    assert judge_crd(Kind.BACKUP_POLICY, older).said == "is older than this client: lacks spec.parallelism"
    assert judge_crd(Kind.BACKUP_POLICY, deep).said == "is older than this client: lacks spec.retention.keepDaily"
    found = judge_crd(Kind.BACKUP_POLICY, newer)
    assert (found.level, found.said) == (Level.WARN, "is newer than this client: has spec.job.ofNextYear")


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"major": "1", "minor": "32", "gitVersion": "v1.32.1"}, Level.OK),
        ({"major": "1", "minor": "33+", "gitVersion": "v1.33.0-gke.1"}, Level.OK),
        ({"major": "1", "minor": "31", "gitVersion": "v1.31.9"}, Level.FAIL),
        ({"major": "2", "minor": "0", "gitVersion": "v2.0.0"}, Level.OK),
        ({}, Level.WARN),
        (None, Level.WARN),
    ],
)
def test_an_old_kubernetes_is_found(answer: Json | None, level: Level) -> None:
    """Whatever a provider writes behind the number."""
    assert judge_version(answer).level is level


@pytest.mark.parametrize(("seconds", "level"), [(0, Level.OK), (300, Level.OK), (301, Level.WARN), (-301, Level.WARN)])
def test_a_wrong_clock_is_found(seconds: float, level: Level) -> None:
    """Before as well as behind."""
    assert judge_clock(ago(seconds), NOW).level is level


def test_a_server_without_a_clock_is_told() -> None:
    """Nothing was measured."""
    assert judge_clock(None, NOW).level is Level.WARN


def another(group: str, plural: str, *short: str) -> Json:
    """Return somebody else's CRD."""
    return {"spec": {"group": group, "names": {"plural": plural, **({"shortNames": list(short)} if short else {})}}}


def test_shared_names_are_found() -> None:
    """A short name that is also somebody else's answers for one of the two; a plural has a way around it."""
    own = crd_of(Kind.BACKUP)
    assert judge_names([own, another("a.io", "things", "th")]) == Finding(
        Level.OK, "short names", "nobody else uses ours"
    )
    shared = judge_names([own, another("velero.io", "backups")])
    assert shared.level is Level.OK
    assert "velero.io" in shared.said
    taken = judge_names([own, another("a.io", "things", "pgbak")])
    assert (taken.level, taken.said) == (Level.WARN, "also used by others: pgbak (a.io)")


@pytest.mark.parametrize(("ready", "level"), [(2, Level.OK), (1, Level.WARN), (0, Level.FAIL)])
def test_an_operator_that_does_not_run_is_found(ready: int, level: Level) -> None:
    """One of two replicas is enough for the work."""
    deployment = {"metadata": {"name": "op"}, "spec": {"replicas": 2}, "status": {"readyReplicas": ready}}
    assert judge_deployment([deployment], "there").level is level


def test_a_missing_operator_is_found() -> None:
    """It may run elsewhere."""
    found = judge_deployment([], "there")
    assert (found.level, "--operator-namespace" in found.remedy) == (Level.FAIL, True)


@pytest.mark.parametrize(("seconds", "level"), [(-5, Level.OK), (5, Level.OK), (61, Level.FAIL)])
def test_a_leader_that_is_gone_is_found(seconds: float, level: Level) -> None:
    """Kubernetes writes microseconds; a clock may be a little ahead."""
    lease = {"spec": {"holderIdentity": "op-1", "renewTime": format_time(ago(seconds)).replace("Z", ".123456Z")}}
    found = judge_lease(lease, NOW + timedelta(microseconds=123456))
    assert found.level is level
    assert found.said.startswith("op-1, renewed ")


@pytest.mark.parametrize("lease", [None, {"spec": {}}, {"spec": {"holderIdentity": "op-1"}}])
def test_that_nobody_leads_is_found(lease: Json | None) -> None:
    """Then nothing is done."""
    assert judge_lease(lease, NOW).level is Level.FAIL


def test_a_missing_right_is_no_failure() -> None:
    """Who only looks needs no more."""
    assert judge_right("create backups", allowed=True).level is Level.OK
    assert judge_right("create backups", allowed=False).level is Level.WARN


@pytest.mark.parametrize(
    ("conditions", "level"),
    [
        ((said("Ready", "True", "Ready"),), Level.OK),
        ((said("Ready", "False", "HostUnreachable", "no route"),), Level.FAIL),
        ((said("Ready", "False", "InvalidSpec"), said("Stalled", "True", "InvalidSpec")), Level.FAIL),
        ((said("Ready", "Unknown", "Pending"),), Level.WARN),
        ((), Level.WARN),
    ],
)
def test_resources_that_are_not_ready_are_found(conditions: tuple[Json, ...], level: Level) -> None:
    """With what helps, as their reason has it."""
    found = judge_resource(Glance.from_body(Kind.DATABASE, body(Kind.DATABASE, "shop", *conditions)))
    assert (found.level, found.what) == (level, "team/database/shop")


def test_why_a_resource_is_not_ready_is_told() -> None:
    """Reason, message, remedy."""
    away = body(Kind.DATABASE, "shop", said("Ready", "False", "HostUnreachable", "no route"))
    found = judge_resource(Glance.from_body(Kind.DATABASE, away))
    assert (found.said, found.remedy) == ("HostUnreachable: no route", "check host, port and network policies")


def test_the_digest_is_of_the_health_check_that_is_shipped() -> None:
    """Whoever changes the script changes HEALTH_SHA256 with it."""
    script = SHIPPED / "resource_customizations" / "dbcustody.dev" / "_" / "health.lua"
    assert health_digest(script.read_text()) == HEALTH_SHA256


def test_the_shipped_config_map_is_healthy() -> None:
    """Applied as docs/gitops.md says; no Argo CD at all is healthy too."""
    shipped = yaml.safe_load((SHIPPED / "argocd-cm.yaml").read_text())
    assert judge_argocd(shipped) == Finding(Level.OK, "Argo CD", "has this version's health check")
    assert judge_argocd(None).level is Level.OK


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "has no health check for dbcustody.dev"),
        ({"resource.customizations": "a: {"}, "has no health check for dbcustody.dev"),
        ({"resource.customizations": "- a"}, "has no health check for dbcustody.dev"),
        ({"resource.customizations": "dbcustody.dev/*: 1"}, "has no health check for dbcustody.dev"),
        ({"resource.customizations": "dbcustody.dev/*: {health.lua: 1}"}, "has no health check for dbcustody.dev"),
        (
            {"resource.customizations": "dbcustody.dev/*: {health.lua: x}"},
            "has another health check than this version ships",
        ),
        ({"resource.customizations.health.dbcustody.dev_*": "x"}, "has another health check than this version ships"),
    ],
)
def test_an_argocd_that_does_not_know_us_is_found(data: Json | None, said: str) -> None:
    """It would call everything healthy."""
    found = judge_argocd({"data": data})
    assert (found.level, found.said) == (Level.WARN, said)
