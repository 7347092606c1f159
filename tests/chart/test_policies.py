"""The admission policies as far as they can be judged without an API server: complete, bound, closed when in doubt, in plain words.

What the API server makes of them is shown by e2e/test_admission.py.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from chartmaking.copies import ROOT
from tests.chart.rendering import of_kind, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = "ValidatingAdmissionPolicy"
ACCOUNTS = "dbcustody-job-accounts"
NAMES = ("dbcustody-data-deletion", "dbcustody-database-secrets", "dbcustody-storage-secrets", ACCOUNTS)
STAMPS = ("dbcustody-approver", "dbcustody-requester")
"""Policies about who asks and who approves, tried by test_approvals.py."""
WRITER = "MutatingAdmissionPolicy"
STAMPING = f"admissionregistration.k8s.io/v1/{WRITER}"
SECRETS = {"databases": "dbcustody-database-secrets", "backupstorages": "dbcustody-storage-secrets"}
OF_THE_KUBELET = {"job.imagePullSecrets"}
"""They open the registry of an image that the operator chooses, and reach no container: nobody can have them sent elsewhere."""
EVERYWHERE = sorted(path.stem for path in (ROOT / "crds").glob("*.yaml"))


def policy(name: str, values: dict[str, Any] | None = None) -> Any:
    """Return the specification of the policy *name*."""
    return of_kind(rendered(values), POLICY)[name]["spec"]


def named_secrets(schema: Any, above: str = "") -> Iterator[str]:
    """Yield the dotted path of every property of a CRD's *schema* that names a Secret."""
    for name, inner in (schema.get("properties") or {}).items():
        path = f"{above}.{name}".lstrip(".")
        if re.search(r"secret(s|ref|refs|name)?$", name, re.IGNORECASE):
            yield path
        else:
            yield from named_secrets(inner, path)
            yield from named_secrets(inner.get("items") or {}, path)


@pytest.mark.parametrize("plural", EVERYWHERE)
def test_every_secret_that_a_spec_can_name_is_asked_for(plural: str) -> None:
    """A field that enters a CRD tomorrow has to enter the policy with it."""
    wanted = set(named_secrets(_specification(plural))) - OF_THE_KUBELET
    asked = {
        one["expression"].removeprefix("object.spec.?").removesuffix(".?name.orValue('')").replace(".?", ".")
        for one in (policy(SECRETS[plural])["variables"] if plural in SECRETS else ())
    }
    assert asked == wanted


def test_the_search_for_secrets_finds_them() -> None:
    """The judge of the test above is no rubber stamp: in depth, in lists, by reference and by name."""
    schema = {
        "properties": {
            "a": {"properties": {"tokenSecretRef": {}}},
            "b": {"items": {"properties": {"secretName": {}}}},
            "secrets": {},
            "secretive": {},
        }
    }
    assert list(named_secrets(schema)) == ["a.tokenSecretRef", "b.secretName", "secrets"]


@pytest.mark.parametrize("name", SECRETS.values())
def test_each_secret_is_judged_by_itself(name: str) -> None:
    """An expression may ask twice at most who may do what; one for each field never gets near that."""
    found = policy(name)
    variables = [one["name"] for one in found["variables"]]
    assert len(found["validations"]) == len(variables)
    for variable, validation in zip(variables, found["validations"], strict=True):
        expression = validation["expression"]
        assert expression.count("authorizer.") == 1
        assert expression.startswith(f"variables.{variable} == '' || authorizer.group('').resource('secrets')")
        assert f".name(variables.{variable}).check('get').allowed()" in expression
        assert ".namespace(request.namespace)" in expression


def _kinds_with_accounts() -> set[str]:
    """Return the plurals of the kinds whose spec can name a ServiceAccount."""
    return {plural for plural in EVERYWHERE if list(_named_accounts(_specification(plural)))}


def _named_accounts(schema: Any, above: str = "") -> Iterator[str]:
    """Yield the dotted path of every property of a CRD's *schema* that names a ServiceAccount."""
    for name, inner in (schema.get("properties") or {}).items():
        path = f"{above}.{name}".lstrip(".")
        if "serviceaccount" in name.lower():
            yield path
        else:
            yield from _named_accounts(inner, path)
            yield from _named_accounts(inner.get("items") or {}, path)


@pytest.mark.parametrize("plural", EVERYWHERE)
def test_every_account_that_a_spec_can_name_is_asked_for(plural: str) -> None:
    """In one place alone, whatever the kind; a kind that can name one tomorrow has to enter the policy with it."""
    judged = policy(ACCOUNTS)["matchConstraints"]["resourceRules"][0]["resources"]
    found = list(_named_accounts(_specification(plural)))
    assert found == (["job.serviceAccountName"] if plural in judged else [])


def test_an_account_is_for_those_who_may_create_its_tokens() -> None:
    """What a Job could get by it is what they can get without one; by the name, in the namespace of the request."""
    (validation,) = policy(ACCOUNTS)["validations"]
    (variable,) = policy(ACCOUNTS)["variables"]
    assert variable == {"name": "account", "expression": "object.spec.?job.?serviceAccountName.orValue('')"}
    assert " ".join(validation["expression"].split()) == (
        "variables.account == '' || authorizer.group('').resource('serviceaccounts').subresource('token') "
        ".namespace(request.namespace).name(variables.account).check('create').allowed()"
    )


def test_a_job_that_cannot_change_is_judged_once() -> None:
    """Where the CRD says so, a hold and `cancel` are judged by nobody's rights to the account; elsewhere the whole spec counts."""
    condition = policy(ACCOUNTS)["matchConditions"][0]["expression"]
    fixed = {plural for plural in _kinds_with_accounts() if _is_job_fixed(plural)}
    assert fixed == set(re.findall(r"'(\w+)'", condition.partition("request.resource.resource in ")[2]))
    assert condition.endswith("? object.spec.?job != oldObject.spec.?job : object.spec != oldObject.spec)")


def _is_job_fixed(plural: str) -> bool:
    rules = _specification(plural).get("x-kubernetes-validations") or ()
    return any("self.job == oldSelf.job" in one["rule"] for one in rules)


def _specification(plural: str) -> Any:
    crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def test_deletion_asks_for_a_verb_of_its_own() -> None:
    """Both creating and switching are judged; what already says Delete is not."""
    found = policy("dbcustody-data-deletion")
    (validation,) = found["validations"]
    assert (
        "authorizer.group('dbcustody.dev').resource('backups').namespace(request.namespace)" in validation["expression"]
    )
    assert ".check('delete-data').allowed()" in validation["expression"]
    asking = found["matchConditions"][0]["expression"]
    assert "object.spec.?deletionPolicy.orValue('Retain') == 'Delete'" in asking
    assert "request.operation == 'CREATE' || oldObject.spec.?deletionPolicy.orValue('Retain') != 'Delete'" in asking


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_closed_bound_and_speaks_plainly(name: str) -> None:
    """In doubt a request is refused; the words begin as all of ours do, and fit on a line."""
    found = policy(name)
    (rule,) = found["matchConstraints"]["resourceRules"]
    assert found["failurePolicy"] == "Fail"
    assert rule["apiGroups"] == ["dbcustody.dev"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert len(rule["resources"]) == (len(_kinds_with_accounts()) if name == ACCOUNTS else 1)
    assert of_kind(rendered(), f"{POLICY}Binding")[name]["spec"] == {"policyName": name, "validationActions": ["Deny"]}
    for validation in found["validations"]:
        assert validation["message"].startswith("must ")
        assert validation["messageExpression"].startswith(f'"{validation["message"]}: "')
        assert validation["reason"] == "Forbidden"
        assert not re.search(r"[\n\r]", validation["message"] + validation["messageExpression"])


def test_there_is_no_other_policy() -> None:
    """The tests here name them all."""
    names = {*NAMES, *STAMPS}
    assert set(of_kind(rendered(), POLICY)) == set(of_kind(rendered(), f"{POLICY}Binding")) == names
    for kind in (WRITER, f"{WRITER}Binding"):
        assert of_kind(rendered(), kind) == {}
        assert set(of_kind(rendered(apis=(STAMPING,)), kind)) == set(STAMPS)


def test_an_update_that_leaves_the_spec_alone_passes() -> None:
    """What was there before the policy can be labelled, and lose its finalizer."""
    for name in SECRETS.values():
        expressions = [one["expression"] for one in policy(name)["matchConditions"]]
        assert expressions[0] == "request.operation == 'CREATE' || object.spec != oldObject.spec"


EXEMPT = [
    pytest.param("secretsExempt", ("dbcustody-database-secrets", "dbcustody-storage-secrets", ACCOUNTS), id="secrets"),
    pytest.param("deletionExempt", ("dbcustody-data-deletion",), id="deletion"),
]


@pytest.mark.parametrize(("value", "names"), EXEMPT)
def test_accounts_are_exempt_from_one_policy_and_not_the_other(value: str, names: tuple[str, ...]) -> None:
    """Users and groups stand in the condition, whatever characters they have."""
    who = {"users": ["a'b\"c\\d", "system:serviceaccount:argocd:x"], "groups": ["g"]}
    values = {"policies": {value: who}}
    for name in NAMES:
        condition = policy(name, values)["matchConditions"][1]
        users, groups = re.findall(r" in (\[.*?\])(?:\)|$)", condition["expression"], re.MULTILINE)
        wanted = who if name in names else {"users": [], "groups": []}
        assert condition["name"] == "not-exempt"
        assert {"users": json.loads(users), "groups": json.loads(groups)} == wanted


def test_with_a_list_of_namespaces_the_policies_act_there_alone() -> None:
    """Somebody else's release may look after the rest."""
    for binding in of_kind(rendered({"watchNamespaces": ["shop", "web"]}), f"{POLICY}Binding").values():
        (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "web"]}


def test_policies_can_be_left_out() -> None:
    """All of them, with their bindings."""
    documents = rendered({"policies": {"enabled": False}})
    assert of_kind(documents, POLICY) == of_kind(documents, f"{POLICY}Binding") == {}
