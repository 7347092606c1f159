"""Who may do what: the operator its list in the namespaces it serves, people what their role says, nobody anything with Secrets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from chartmaking.copies import ROOT
from tests.chart.rendering import FOR_PEOPLE, deployment, of_kind, rendered

PLAIN = list(yaml.safe_load_all((ROOT / "deploy" / "rights.yaml").read_text()))
OPERATOR = "dbcustody-operator"
READ = {"get", "list", "watch"}
SUBJECT = [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": "custody"}]


def rules(kind: str, documents: list[Any]) -> Any:
    """Return the rules of the operator's role of *kind*."""
    return of_kind(documents, kind)[OPERATOR]["rules"]


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["shop"]}], ids=["everywhere", "in one namespace"])
@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_the_operator_has_the_rights_of_the_plain_manifests(kind: str, values: dict[str, Any]) -> None:
    """Run `make chart` when this fails: deploy/rights.yaml has changed."""
    (plain,) = (one["rules"] for one in PLAIN if (one["kind"], one["metadata"]["name"]) == (kind, OPERATOR))
    assert rules(kind, rendered(values)) == plain


SCALER = "dbcustody-scaler"


@pytest.mark.parametrize("values", [{}, {"scaleNamespaces": ["shop"]}], ids=["nowhere", "in one namespace"])
def test_the_scaler_may_scale_and_nothing_else(values: dict[str, Any]) -> None:
    """Its rules are those of the plain manifests, whether it is bound or not; no workload can be seen or changed by it."""
    (plain,) = (one["rules"] for one in PLAIN if (one["kind"], one["metadata"]["name"]) == ("ClusterRole", SCALER))
    assert of_kind(rendered(values), "ClusterRole")[SCALER]["rules"] == plain
    assert plain == [
        {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get", "patch"]}
    ]


def test_workloads_are_scaled_where_that_was_said_and_nowhere_else() -> None:
    """A binding in each namespace of the list, to the operator's account; none for the cluster."""
    documents = rendered({"scaleNamespaces": ["shop", "web"], "serviceAccount": {"name": "mine"}})
    bound = {name: one for name, one in of_kind(documents, "RoleBinding").items() if one["roleRef"]["name"] == SCALER}
    assert set(bound) == {f"shop/{SCALER}", f"web/{SCALER}"}
    for binding in bound.values():
        assert binding["roleRef"]["kind"] == "ClusterRole"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "mine", "namespace": "custody"}]
    unbound = [*of_kind(rendered(), "RoleBinding").values(), *of_kind(documents, "ClusterRoleBinding").values()]
    assert SCALER not in {one["roleRef"]["name"] for one in unbound}


def test_without_a_list_the_rights_hold_everywhere() -> None:
    """One binding for the cluster, and the Lease's beside the operator."""
    documents = rendered()
    binding = of_kind(documents, "ClusterRoleBinding")[OPERATOR]
    assert binding["roleRef"]["name"] == OPERATOR
    assert binding["subjects"] == SUBJECT
    assert list(of_kind(documents, "RoleBinding")) == [OPERATOR]


def test_with_a_list_the_rights_hold_there_alone() -> None:
    """Nothing is bound for the cluster; the operator is told the same list."""
    documents = rendered({"watchNamespaces": ["shop", "web"]})
    bindings = of_kind(documents, "RoleBinding")
    assert of_kind(documents, "ClusterRoleBinding") == {}
    assert set(bindings) == {OPERATOR, f"shop/{OPERATOR}-watching", f"web/{OPERATOR}-watching"}
    assert bindings[OPERATOR]["roleRef"]["kind"] == "Role"
    for space in ("shop", "web"):
        binding = bindings[f"{space}/{OPERATOR}-watching"]
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR}
        assert binding["subjects"] == SUBJECT


def test_the_own_namespace_can_be_among_the_list() -> None:
    """The binding for watching and that of the Lease do not get in each other's way."""
    bindings = of_kind(rendered({"watchNamespaces": ["custody"]}), "RoleBinding")
    assert set(bindings) == {OPERATOR, f"{OPERATOR}-watching"}


def test_the_lease_is_that_of_the_release() -> None:
    """A release of another name in the same namespace has a Lease of its own, and the right to no other."""
    values = {"fullnameOverride": "other"}
    role = of_kind(rendered(values), "Role")["other-operator"]
    environment = {one["name"]: one.get("value") for one in deployment_of(values)["env"]}
    assert environment["DBCUSTODY_LEASE_NAME"] == "other-operator"
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, ["other-operator"]]


def deployment_of(values: dict[str, Any]) -> Any:
    """Return the operator's container."""
    return deployment(values)["spec"]["template"]["spec"]["containers"][0]


def test_another_account_gets_the_rights() -> None:
    """Every binding names the account that the pods have."""
    documents = rendered({"serviceAccount": {"create": False, "name": "mine"}, "watchNamespaces": ["shop"]})
    subjects = [one["subjects"][0]["name"] for one in of_kind(documents, "RoleBinding").values()]
    assert subjects == ["mine", "mine"]
    assert of_kind(documents, "ServiceAccount") == {}


def verbs(role: str, resource: str) -> set[str]:
    """Return what *role* allows with *resource* of our group."""
    found = of_kind(rendered(), "ClusterRole")[f"dbcustody-{role}"]["rules"]
    assert all(rule["apiGroups"] == ["dbcustody.dev"] for rule in found)
    return {verb for rule in found if resource in rule["resources"] for verb in rule["verbs"]}


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_nobody_is_given_secrets_or_everything(role: str) -> None:
    """Roles name our own group alone, no verb and no resource by a star, and never `create` where `view` suffices."""
    for rule in of_kind(rendered(), "ClusterRole")[f"dbcustody-{role}"]["rules"]:
        assert rule["apiGroups"] == ["dbcustody.dev"]
        assert "*" not in (*rule["verbs"], *rule["resources"])
        assert not any("/" in resource for resource in rule["resources"])


def test_what_each_role_is_for() -> None:
    """Who asks does not approve, who backs up does not delete, and only one role has data deleted."""
    assert verbs("backup-operator", "backups") == READ | {"create", "update", "patch"}
    assert verbs("backup-operator", "backuppolicies") == READ | {"create", "update", "patch", "delete"}
    assert verbs("backup-operator", "databases") == READ
    assert verbs("restore-requester", "restorerequests") == READ | {"create", "update", "patch", "delete"}
    assert verbs("restore-requester", "approvals") == READ
    assert verbs("migrator", "databasemigrations") == READ | {"create", "update", "patch", "delete"}
    assert verbs("migrator", "approvals") == READ
    assert verbs("approver", "databasemigrations") == READ
    assert verbs("approver", "approvals") == READ | {"create", "delete"}
    assert verbs("approver", "restorerequests") == READ
    assert [role for role in FOR_PEOPLE if "delete-data" in verbs(role, "backups")] == ["data-remover"]
    assert [role for role in FOR_PEOPLE if verbs(role, "databases") - READ] == []


def test_only_seeing_becomes_part_of_the_roles_of_kubernetes() -> None:
    """An editor of a namespace may not for that reason restore over its database."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    found = {
        name: {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}
        for name, role in of_kind(rendered(), "ClusterRole").items()
    }
    assert {name: roles for name, roles in found.items() if roles} == {"dbcustody-view": {"view", "edit", "admin"}}
    assert all(verbs("view", kind) == READ for kind in ("databases", "backupstorages", "backuppolicies", "backups"))
