"""Each value does what its row in the table says, and what is not a value is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from chartmaking.copies import CHART
from chartmaking.values import Values
from ground.cache import GroundError
from ground.helm import template
from tests.chart.rendering import MONITORING, at, deployment, merged, nested, of_kind, pod_specs, rendered
from tests.chart.restricted import violations
from tests.chart.test_generated import leaves

POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"
OPERATOR = ("Deployment", "dbcustody-operator")
DIGEST = "sha256:" + "a" * 64
FREEZE = {"schedule": "0 8 * * 1-5", "timeZone": "Europe/Copenhagen", "durationSeconds": 36_000}
FREEZE_TEXT = '[{"durationSeconds":36000,"schedule":"0 8 * * 1-5","timeZone":"Europe/Copenhagen"}]'
"""What the operator is told; tests/plan/test_freeze.py reads it."""
TOLERATION = {"key": "a", "operator": "Exists"}
AFFINITY = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
EXTRA = {"kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}}
NO_MONITOR = {"monitoring": {"podMonitor": {"enabled": False}}}
CLOSED = {"networkPolicy": {"enabled": True}}
SPREAD = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
SECRETS = "dbcustody-database-secrets"
POLICY = "ValidatingAdmissionPolicy"
MONITOR = ("PodMonitor", "dbcustody-operator")
RULES = ("PrometheusRule", "dbcustody-operator")
NETWORK = ("NetworkPolicy", "dbcustody-operator")


class Trial(NamedTuple):
    """One value, and what has to stand where in the chart because of it."""

    path: str
    value: Any
    target: tuple[str, str]
    place: str
    wanted: Any
    beside: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default, never changed


TRIALS = [Trial(*row) for row in (
    ("replicas", 3, OPERATOR, "spec/replicas", 3),
    ("watchNamespaces", ["a", "b"], OPERATOR, f"{CONTAINER}/env/2", {"name": "DBCUSTODY_NAMESPACES", "value": "a,b"}),
    ("scaleNamespaces", ["a"], ("RoleBinding", "a/dbcustody-scaler"), "roleRef/name", "dbcustody-scaler"),
    ("freezeWindows", [FREEZE], OPERATOR, f"{CONTAINER}/env/2", {"name": "DBCUSTODY_FREEZE_WINDOWS", "value": FREEZE_TEXT}),
    ("image.repository", "registry.example.com:5000/team/x", OPERATOR, f"{CONTAINER}/image", "registry.example.com:5000/team/x:0.1.0"),
    ("image.tag", "v9", OPERATOR, f"{CONTAINER}/env/0/value", "dbcustody:v9"),
    ("image.digest", DIGEST, OPERATOR, f"{CONTAINER}/image", f"dbcustody@{DIGEST}"),
    ("image.pullPolicy", "Always", OPERATOR, f"{CONTAINER}/imagePullPolicy", "Always"),
    ("imagePullSecrets", [{"name": "a"}], OPERATOR, f"{POD}/imagePullSecrets", [{"name": "a"}]),
    ("fullnameOverride", "other", ("Deployment", "other-operator"), "metadata/name", "other-operator"),
    ("crds.enabled", False, ("CustomResourceDefinition", "backups.dbcustody.dev"), "", None),
    ("crds.keep", False, ("CustomResourceDefinition", "backups.dbcustody.dev"), "metadata/annotations", None),
    ("serviceAccount.create", False, OPERATOR, f"{POD}/serviceAccountName", "default"),
    ("serviceAccount.name", "mine", ("ServiceAccount", "mine"), "metadata/name", "mine"),
    ("serviceAccount.annotations", {"a/b": "c"}, ("ServiceAccount", "dbcustody-operator"), "metadata/annotations", {"a/b": "c"}),
    ("rbac.create", False, ("ClusterRoleBinding", "dbcustody-operator"), "", None),
    ("rbac.userRoles", False, ("ClusterRole", "dbcustody-view"), "", None),
    ("rbac.aggregateView", False, ("ClusterRole", "dbcustody-view"), "metadata/labels/rbac.authorization.k8s.io~aggregate-to-view", None),
    ("policies.enabled", False, (POLICY, SECRETS), "", None),
    ("policies.actions", ["Warn", "Audit"], (f"{POLICY}Binding", SECRETS), "spec/validationActions", ["Warn", "Audit"]),
    ("monitoring.scrapeAnnotations", False, OPERATOR, "spec/template/metadata/annotations", None, NO_MONITOR),
    ("monitoring.podMonitor.enabled", False, MONITOR, "", None),
    ("monitoring.podMonitor.interval", "5m", MONITOR, "spec/podMetricsEndpoints/0/interval", "5m"),
    ("monitoring.podMonitor.labels", {"release": "p"}, MONITOR, "metadata/labels/release", "p"),
    ("monitoring.prometheusRule.enabled", False, RULES, "", None),
    ("monitoring.prometheusRule.labels", {"release": "p"}, RULES, "metadata/labels/release", "p"),
    ("networkPolicy.enabled", True, NETWORK, "spec/policyTypes", ["Ingress", "Egress"]),
    ("networkPolicy.apiServerPorts", [7443], NETWORK, "spec/egress/1/ports", [{"port": 7443, "protocol": "TCP"}], CLOSED),
    ("networkPolicy.metricsFrom", [{"podSelector": {}}], NETWORK, "spec/ingress/0/from", [{"podSelector": {}}], CLOSED),
    ("podDisruptionBudget.enabled", False, ("PodDisruptionBudget", "dbcustody-operator"), "", None),
    ("resources.requests", {"cpu": "1"}, OPERATOR, f"{CONTAINER}/resources/requests", {"cpu": "1", "memory": "128Mi"}),
    ("resources.limits", {"cpu": 2}, OPERATOR, f"{CONTAINER}/resources/limits", {"cpu": 2, "memory": "384Mi"}),
    ("priorityClassName", "high", OPERATOR, f"{POD}/priorityClassName", "high"),
    ("nodeSelector", {"a": "b"}, OPERATOR, f"{POD}/nodeSelector", {"a": "b"}),
    ("tolerations", [TOLERATION], OPERATOR, f"{POD}/tolerations", [TOLERATION]),
    ("affinity", AFFINITY, OPERATOR, f"{POD}/affinity", AFFINITY),
    ("topologySpreadConstraints", [SPREAD], OPERATOR, f"{POD}/topologySpreadConstraints", [SPREAD]),
    ("extraEnv", [{"name": "A", "value": "b"}], OPERATOR, f"{CONTAINER}/env/5", {"name": "A", "value": "b"}),
    ("extraEnvFrom", [{"configMapRef": {"name": "a"}}], OPERATOR, f"{CONTAINER}/envFrom", [{"configMapRef": {"name": "a"}}]),
    ("extraVolumes", [{"name": "a", "emptyDir": {}}], OPERATOR, f"{POD}/volumes/1", {"name": "a", "emptyDir": {}}),
    ("extraVolumeMounts", [{"name": "a", "mountPath": "/a"}], OPERATOR, f"{CONTAINER}/volumeMounts/1", {"name": "a", "mountPath": "/a"}),
    ("extraLabels", {"team": "a"}, ("Service", "dbcustody-operator"), "metadata/labels/team", "a"),
    ("deploymentAnnotations", {"a": "b"}, OPERATOR, "metadata/annotations", {"a": "b"}),
    ("podLabels", {"team": "a"}, OPERATOR, "spec/template/metadata/labels/team", "a"),
    ("podAnnotations", {"a": "b"}, OPERATOR, "spec/template/metadata/annotations/a", "b"),
    ("extraObjects", [EXTRA], ("ConfigMap", "dbcustody-x"), "kind", "ConfigMap"),
)]  # fmt: skip
ELSEWHERE = {
    "global",
    *(f"policies.{policy}Exempt.{who}" for policy in ("secrets", "deletion") for who in ("users", "groups")),
}
"""What test_policies.py tries, and the value that does nothing."""


@pytest.mark.parametrize("trial", TRIALS, ids=[trial.path for trial in TRIALS])
def test_a_value_does_what_it_says(trial: Trial) -> None:
    """It stands where it belongs, and something else stood there without it."""
    values = merged(trial.beside, nested(trial.path, trial.value))
    assert found(values, trial) == trial.wanted
    assert found(trial.beside, trial) != trial.wanted


def found(values: dict[str, Any], trial: Trial) -> Any:
    """Return what the chart has in the trial's place; None when there is no such object."""
    kind, name = trial.target
    return at(of_kind(rendered(values, apis=MONITORING), kind).get(name), trial.place)


@pytest.mark.parametrize("trial", TRIALS, ids=[trial.path for trial in TRIALS])
def test_no_value_takes_a_pod_out_of_the_restricted_profile(trial: Trial) -> None:
    """Whatever is chosen, the operator runs where nothing else may."""
    values = merged(trial.beside, nested(trial.path, trial.value))
    pods = dict(pod_specs(rendered(values, apis=MONITORING)))
    assert pods
    assert [(name, violations(pod)) for name, pod in pods.items() if violations(pod)] == []


def test_every_value_is_tried() -> None:
    """A value without a trial could do nothing at all."""
    assert {trial.path for trial in TRIALS} | ELSEWHERE == set(leaves(Values()))


def test_text_among_the_extra_objects_is_a_template_too() -> None:
    """Both forms are taken."""
    text = "kind: ConfigMap\nmetadata: {name: {{ .Release.Namespace }}-y}\n"
    assert "custody-y" in of_kind(rendered({"extraObjects": [text]}), "ConfigMap")


def test_the_digest_wins_over_the_tag() -> None:
    """And Jobs run the same image as the operator."""
    container = at(deployment({"image": {"tag": "v1", "digest": DIGEST}}), CONTAINER)
    assert container["image"] == container["env"][0]["value"] == f"dbcustody@{DIGEST}"


@pytest.mark.parametrize("which", ["extraLabels", "podLabels"])
def test_labels_of_the_chart_win(which: str) -> None:
    """Otherwise the selector would no longer find the pods."""
    labels = deployment({which: {"app.kubernetes.io/name": "other"}})["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "dbcustody"


REFUSED = [
    pytest.param({"replica": 2}, "'replica' not allowed", id="unknown"),
    pytest.param({"image": {"name": "a"}}, "'name' not allowed", id="unknown below"),
    pytest.param({"policies": {"secretsExempt": {"user": []}}}, "'user' not allowed", id="unknown far below"),
    pytest.param({"replicas": "2"}, "/replicas", id="text for a number"),
    pytest.param({"replicas": -1}, "/replicas", id="less than nothing"),
    pytest.param({"watchNamespaces": "shop"}, "/watchNamespaces", id="no list"),
    pytest.param({"watchNamespaces": ["Shop"]}, "/watchNamespaces/0", id="no namespace"),
    pytest.param({"watchNamespaces": ["a", "a"]}, "/watchNamespaces", id="twice"),
    pytest.param({"scaleNamespaces": ["Shop"]}, "/scaleNamespaces/0", id="no namespace to scale in"),
    pytest.param({"scaleNamespaces": ["a", "a"]}, "/scaleNamespaces", id="scaled twice"),
    pytest.param({"crds": {"keep": "yes"}}, "/crds/keep", id="text for yes or no"),
    pytest.param({"image": {"digest": "sha256:1"}}, "/image/digest", id="no digest"),
    pytest.param({"image": {"repository": ""}}, "/image/repository", id="no image"),
    pytest.param({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy", id="no policy"),
    pytest.param({"imagePullSecrets": ["a"]}, "/imagePullSecrets/0", id="no reference"),
    pytest.param({"resources": {"limits": {"memory": "a lot"}}}, "/resources/limits/memory", id="no quantity"),
    pytest.param({"extraVolumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "/extraVolumes/0", id="host path"),
    pytest.param({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts", id="no port"),
    pytest.param({"networkPolicy": {"apiServerPorts": [0]}}, "/networkPolicy/apiServerPorts/0", id="port 0"),
    pytest.param({"policies": {"actions": ["Deny", "Warn"]}}, "/policies/actions", id="both deny and warn"),
    pytest.param({"policies": {"actions": []}}, "/policies/actions", id="no action"),
    pytest.param({"podLabels": {"a": "b c"}}, "/podLabels/a", id="no label"),
    pytest.param({"freezeWindows": [{**FREEZE, "timezone": "a"}]}, "'timezone' not allowed", id="unknown in a list"),
    pytest.param({"freezeWindows": [{**FREEZE, "durationSeconds": 1}]}, "/durationSeconds", id="too short a window"),
    pytest.param({"freezeWindows": [{"schedule": "@daily"}]}, "/freezeWindows/0", id="a window without an end"),
    pytest.param({"fullnameOverride": "A"}, "/fullnameOverride", id="no name"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED)
def test_what_is_no_value_is_refused(values: dict[str, Any], words: str) -> None:
    """Helm says where it is, before anything is installed."""
    with pytest.raises(GroundError, match="values don't meet the specifications of the schema") as refused:
        template(CHART, values, release="dbcustody", namespace="custody")
    assert words in str(refused.value)
