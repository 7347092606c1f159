"""The chart without any value: whole, valid, named briefly, and restricted."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from chartmaking.copies import CHART, ROOT
from chartmaking.manifest import NAMESPACE, PATH, manifest
from ground.cache import GroundError
from ground.helm import helm, template
from tests.chart.rendering import FOR_PEOPLE, MONITORING, deployment, of_kind, only, pod_specs, rendered
from tests.chart.restricted import violations

EVERYTHING: dict[str, Any] = {
    "networkPolicy": {"enabled": True},
    "watchNamespaces": ["shop", "web"],
    "scaleNamespaces": ["shop"],
}
FAULTS = [
    pytest.param({"hostNetwork": True}, {}, "hostNetwork", id="host network"),
    pytest.param(
        {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, {}, "volume hostPath", id="folder of the node"
    ),
    pytest.param({"securityContext": {"sysctls": [{"name": "a", "value": "1"}]}}, {}, "sysctls", id="sysctls"),
    pytest.param({}, {"privileged": True}, "privileged", id="privileged"),
    pytest.param({}, {"allowPrivilegeEscalation": None}, "allowPrivilegeEscalation", id="escalation unsaid"),
    pytest.param({}, {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "capabilities", id="capability"),
    pytest.param({}, {"capabilities": {}}, "capabilities", id="capabilities kept"),
    pytest.param({}, {"runAsUser": 0}, "runAsNonRoot", id="root"),
    pytest.param({}, {"runAsNonRoot": False}, "runAsNonRoot", id="perhaps root"),
    pytest.param({}, {"seccompProfile": {"type": "Unconfined"}}, "seccompProfile", id="no seccomp"),
]


def test_helm_finds_nothing_to_complain_of() -> None:
    """`helm lint --strict`; the one remark is about an icon, and there is none."""
    said = helm("lint", "--strict", CHART)
    assert re.findall(r"^\[\w+\] .*$", said, re.MULTILINE) == ["[INFO] Chart.yaml: icon is recommended"]


@pytest.mark.parametrize("version", ["1.32.0", "1.32.3-eks-4f4795d", "1.37.0"])
def test_kubernetes_that_is_new_enough_is_taken(version: str) -> None:
    """Also with the suffixes that clouds put behind it."""
    assert "kind: Deployment" in helm("template", "dbcustody", CHART, "--kube-version", version)


def test_kubernetes_that_is_too_old_is_refused() -> None:
    """Before anything is installed, and with the version that is needed."""
    with pytest.raises(GroundError, match=r"requires kubeVersion: >=1\.32\.0-0"):
        helm("template", "dbcustody", CHART, "--kube-version", "1.31.9")


def test_what_is_installed_by_default() -> None:
    """Every kind, and how many of it."""
    counted: dict[str, int] = {}
    for document in rendered():
        counted[document["kind"]] = counted.get(document["kind"], 0) + 1
    assert counted == {
        "ClusterRole": 8,
        "ClusterRoleBinding": 1,
        "CustomResourceDefinition": len(list((ROOT / "crds").glob("*.yaml"))),
        "Deployment": 1,
        "PodDisruptionBudget": 1,
        "Role": 1,
        "RoleBinding": 1,
        "Service": 1,
        "ServiceAccount": 1,
        "ValidatingAdmissionPolicy": 6,
        "ValidatingAdmissionPolicyBinding": 6,
    }


def test_crds_are_those_of_the_repository() -> None:
    """As Helm renders them they differ in the annotation alone; without `keep` in nothing."""
    for values, marks in (({}, {"helm.sh/resource-policy": "keep"}), ({"crds": {"keep": False}}, None)):
        found = of_kind(rendered(values), "CustomResourceDefinition")
        for path in (ROOT / "crds").glob("*.yaml"):
            wanted = yaml.safe_load(path.read_text())
            made = found.pop(wanted["metadata"]["name"])
            assert made["metadata"].pop("annotations", None) == marks
            assert made == wanted
        assert found == {}


def test_the_pod_is_that_of_the_plain_manifest() -> None:
    """What tests run is the chart; deploy/operator.yaml gives the same pod, but for the names of a release."""
    plain = next(
        one
        for one in yaml.safe_load_all((ROOT / "deploy" / "operator.yaml").read_text())
        if one["kind"] == "Deployment"
    )
    pod, made = plain["spec"]["template"]["spec"], deployment()["spec"]["template"]["spec"]
    (theirs,), (ours,) = pod.pop("containers"), made.pop("containers")
    assert made.pop("automountServiceAccountToken") is True
    for one in (pod, made):
        del one["topologySpreadConstraints"][0]["labelSelector"]
    assert made == pod
    environment = {one["name"]: one for one in ours.pop("env")}
    image = ours.pop("image")
    assert environment.pop("DBCUSTODY_IMAGE")["value"] == image
    assert environment.pop("DBCUSTODY_LEASE_NAME")["value"] == "dbcustody-operator"
    assert environment == {one["name"]: one for one in theirs.pop("env") if one["name"] != "DBCUSTODY_IMAGE"}
    del theirs["image"]
    assert ours == theirs


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_every_pod_fits_the_restricted_profile(values: dict[str, Any]) -> None:
    """And its root file system is read-only, which the profile does not even ask for."""
    pods = list(pod_specs(rendered(values, apis=MONITORING)))
    assert [name for name, _ in pods] == ["dbcustody-operator"]
    assert [(name, violations(pod)) for name, pod in pods if violations(pod)] == []
    assert all(one["securityContext"]["readOnlyRootFilesystem"] for _, pod in pods for one in pod["containers"])


def test_two_replicas_on_two_nodes_and_one_may_be_drained() -> None:
    """By default somebody takes over when the operator, or its node, is lost; and no drain waits for ever."""
    documents = rendered()
    specification = only(documents, "Deployment")["spec"]
    (spread,) = specification["template"]["spec"]["topologySpreadConstraints"]
    assert specification["replicas"] == 2
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"] == specification["selector"]["matchLabels"]
    assert only(documents, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_network_policy_lets_the_operator_do_its_work_and_nothing_else() -> None:
    """In to the port of probes and metrics, out to DNS and the API server; only the operator's pods, and only when it is wanted."""
    assert of_kind(rendered(), "NetworkPolicy") == {}
    policy = only(rendered(EVERYTHING), "NetworkPolicy")["spec"]
    (entrance,) = policy["ingress"]
    (port,) = deployment()["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert [one["port"] for one in entrance["ports"]] in ([port["containerPort"]], [port["name"]])
    names, servers = policy["egress"]
    assert {(one["port"], one["protocol"]) for one in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert [one["port"] for one in servers["ports"]] == [443, 6443, 8443, 16443]


@pytest.mark.parametrize(("pod", "container", "fault"), FAULTS)
def test_a_pod_that_is_not_restricted_is_noticed(pod: dict[str, Any], container: dict[str, Any], *, fault: str) -> None:
    """The judge of the test above is no rubber stamp."""
    good = deployment()["spec"]["template"]["spec"]
    changed = {**good["containers"][0], "securityContext": {**good["containers"][0]["securityContext"], **container}}
    bad = {**good, "containers": [changed], **pod}
    if "securityContext" in pod:
        bad["securityContext"] = {**good["securityContext"], **pod["securityContext"]}
    assert violations(bad) == [fault]


@pytest.mark.parametrize("release", ["dbcustody", "a", "x" * 53, "my-dbcustody" + "-y" * 20])
def test_names_fit(release: str) -> None:
    """Whatever the release is called, no name is longer than Kubernetes allows, and none is given twice."""
    documents = rendered(EVERYTHING, apis=MONITORING, release=release)
    places = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in documents]
    assert [name for _, _, name in places if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", name)] == []
    assert len(places) == len(set(places))
    labels = [label for one in documents for label in one["metadata"]["labels"].values()]
    assert [
        label for label in labels if not re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", label)
    ] == []


def test_everything_that_lives_in_a_namespace_names_it() -> None:
    """`kubectl apply -f install.yaml` has no namespace of its own."""
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    cluster_wide |= {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    documents = rendered(EVERYTHING, apis=MONITORING)
    without = {one["kind"] for one in documents if "namespace" not in one["metadata"]}
    assert without == cluster_wide - {"ClusterRoleBinding"}
    assert {one["kind"] for one in rendered() if "namespace" not in one["metadata"]} == cluster_wide


def test_selectors_find_the_pods() -> None:
    """Service, budget, policy and monitor look for labels that the pods have."""
    documents = rendered(EVERYTHING, apis=MONITORING)
    labels = only(documents, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [only(documents, "Service")["spec"]["selector"]]
    selectors += [only(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    selectors += [
        only(documents, kind)["spec"]["selector"]["matchLabels"]
        for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor")
    ]
    assert all(len(selector) == 3 and selector.items() <= labels for selector in selectors)


def test_the_released_manifest_is_the_chart() -> None:
    """Run `make manifest` when this fails."""
    assert PATH.read_text() == manifest()


def test_the_released_manifest_is_whole() -> None:
    """A restricted namespace first, then all that Helm would install there."""
    first, *rest = yaml.safe_load_all(PATH.read_text())
    assert first["metadata"] == {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    wanted = template(CHART, {}, release="dbcustody", namespace=NAMESPACE)
    assert rest == [one for one in yaml.safe_load_all(wanted) if one]
    assert {one["metadata"].get("namespace") for one in rest} == {None, NAMESPACE}


def test_the_readme_names_the_image_of_the_manifest() -> None:
    """Whoever copies the command replaces the operator's image, and that of the Jobs."""
    (image,) = re.findall(r"sed 's\|([^|]+)\|", (ROOT / "README.md").read_text())
    assert PATH.read_text().count(image) == 2
    assert deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_roles_for_people_are_named_as_documented() -> None:
    """The README names them."""
    roles = of_kind(rendered(), "ClusterRole")
    assert set(roles) == {"dbcustody-operator", "dbcustody-scaler", *(f"dbcustody-{who}" for who in FOR_PEOPLE)}
    readme = (CHART / "README.md").read_text()
    assert [who for who in FOR_PEOPLE if f"`dbcustody-{who}`" not in readme] == []
