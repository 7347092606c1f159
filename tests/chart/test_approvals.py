"""Who asks and who approves: written down where the cluster can, never believed where anything of that is missing.

What the API server makes of the policies is shown by e2e/test_approvals.py.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.chart.rendering import deployment, of_kind, rendered
from tests.chart.test_policies import POLICY, STAMPING, STAMPS, WRITER

ANNOTATION = "dbcustody.dev/requested-by"
WATCHED = {
    "approver": (["approvals"], ["CREATE"]),
    "requester": (["restorerequests", "databasemigrations"], ["CREATE", "UPDATE"]),
}


def specification(kind: str, name: str) -> Any:
    """Return what the policy *name* is, on a cluster that has policies that write."""
    return of_kind(rendered(apis=(STAMPING,)), kind)[name]["spec"]


def is_believed(values: dict[str, Any] | None = None, *, apis: tuple[str, ...] = (STAMPING,)) -> bool:
    """Return whether the operator is told that it can believe what is written down."""
    (container,) = deployment(values, apis=apis)["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}.get("DBCUSTODY_STAMPED_APPROVALS")
    assert told in {None, "true"}
    return told == "true"


@pytest.mark.parametrize(
    ("values", "apis", "expected"),
    [
        pytest.param({}, (STAMPING,), True, id="all-there"),
        pytest.param({}, (), False, id="older-kubernetes"),
        pytest.param({}, ("admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy",), False, id="beta"),
        pytest.param({"policies": {"enabled": False}}, (STAMPING,), False, id="no-policies"),
        pytest.param({"policies": {"actions": ["Warn", "Audit"]}}, (STAMPING,), False, id="nothing-is-refused"),
        pytest.param({"policies": {"actions": ["Deny", "Audit"]}}, (STAMPING,), True, id="refused-and-audited"),
    ],
)
def test_only_what_is_written_and_guarded_is_believed(
    values: dict[str, Any], apis: tuple[str, ...], *, expected: bool
) -> None:
    """The operator is told so by the same conditions under which both kinds of policies are there."""
    assert is_believed(values, apis=apis) is expected
    if expected:
        documents = rendered(values, apis=apis)
        for kind in (WRITER, f"{WRITER}Binding", POLICY, f"{POLICY}Binding"):
            assert {*STAMPS} <= set(of_kind(documents, kind))
        assert {"Deny"} <= set(
            of_kind(documents, f"{POLICY}Binding")["dbcustody-requester"]["spec"]["validationActions"]
        )


@pytest.mark.parametrize("kind", [WRITER, POLICY])
@pytest.mark.parametrize("name", STAMPS)
def test_a_policy_is_closed_and_watches_its_kinds(kind: str, name: str) -> None:
    """In doubt a request is refused."""
    found = specification(kind, name)
    (rule,) = found["matchConstraints"]["resourceRules"]
    resources, operations = WATCHED[name.removeprefix("dbcustody-")]
    assert found["failurePolicy"] == "Fail"
    assert (rule["apiGroups"], rule["resources"], rule["operations"]) == (["dbcustody.dev"], resources, operations)
    binding = of_kind(rendered(apis=(STAMPING,)), f"{kind}Binding")[name]["spec"]
    assert binding == {"policyName": name} | ({"validationActions": ["Deny"]} if kind == POLICY else {})


@pytest.mark.parametrize("name", STAMPS)
def test_what_is_written_is_the_authenticated_user(name: str) -> None:
    """Written again when a later plug-in changes it, and one patch alone."""
    found = specification(WRITER, name)
    (mutation,) = found["mutations"]
    assert (found["reinvocationPolicy"], mutation["patchType"]) == ("IfNeeded", "JSONPatch")
    written = f"{mutation['jsonPatch']['expression']} {found.get('variables', '')}"
    assert "request.userInfo.username" in written
    assert ("/spec/approver" if "approver" in name else ANNOTATION) in written


@pytest.mark.parametrize("name", STAMPS)
def test_a_refusal_speaks_plainly(name: str) -> None:
    """The words begin as all of ours do, and fit on a line."""
    for validation in specification(POLICY, name)["validations"]:
        assert validation["message"].startswith("must ")
        assert validation["messageExpression"].startswith(f'"{validation["message"]}: "')
        assert validation["reason"] == "Forbidden"
        assert not re.search(r"[\n\r]", validation["message"] + validation["messageExpression"])


def test_nobody_is_exempt() -> None:
    """Whoever could write another's name could agree to his own wish."""
    values = {"policies": {"secretsExempt": {"users": ["robot"]}, "deletionExempt": {"groups": ["robots"]}}}
    documents = rendered(values, apis=(STAMPING,))
    for kind in (WRITER, POLICY):
        assert not any("robot" in str(of_kind(documents, kind)[name]) for name in STAMPS)


def test_with_a_list_of_namespaces_names_are_written_there_alone() -> None:
    """The same list as the operator serves."""
    documents = rendered({"watchNamespaces": ["shop", "web"]}, apis=(STAMPING,))
    for binding in of_kind(documents, f"{WRITER}Binding").values():
        (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "web"]}
