"""The chart's admission policies and rights as the real API server judges them: who may name a Secret, and who may have data deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from chartmaking.copies import CHART
from dbcustody.api.meta import Kind
from dbcustody.naming import API_VERSION, GROUP
from ground.helm import template
from ground.process import wait_until
from scene.specimen import ALONE, DATABASE, KEYRING, MIGRATION, RESTORE, S3, STORAGE
from scene.specimen import POLICY as NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.kubernetes import Cluster
    from scene.api import Api

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("api")]

SPACE: Final = "admission"
ELSEWHERE: Final = "beyond"
POLICY: Final = "ValidatingAdmissionPolicy"
VALUES: Final = {
    "watchNamespaces": [SPACE],
    "networkPolicy": {"enabled": True},
    "policies": {
        "secretsExempt": {"users": ["robot"], "groups": ["robots"]},
        "deletionExempt": {"users": ["sweeper"], "groups": ["sweepers"]},
    },
}
PEOPLE: Final = ("jane", "remover", "robot", "sweeper", "member")
"""All of them may write our resources; jane may also read one Secret and create tokens of one ServiceAccount, and the remover has
the verb `delete-data`."""
HERS: Final = {"name": "hers"}
OTHERS: Final = {"name": "others"}


def grant(name: str, space: str, rules: list[Json], *people: str) -> list[Json]:
    """Return a Role and its binding to *people*."""
    metadata = {"name": name, "namespace": space}
    api, group = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    role = {"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": rules}
    subjects = [{"kind": "User", "name": person, "apiGroup": group} for person in people]
    reference = {"kind": "Role", "name": name, "apiGroup": group}
    return [
        role,
        {"apiVersion": api, "kind": "RoleBinding", "metadata": metadata, "roleRef": reference, "subjects": subjects},
    ]


def rights() -> list[Json]:
    """Return what people may do in both namespaces."""
    ours = [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "create", "update", "patch", "delete"]}]
    secret = [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hers"], "verbs": ["get"]}]
    tokens = {"resources": ["serviceaccounts/token"], "resourceNames": ["hers"], "verbs": ["create"]}
    account = [{"apiGroups": [""], **tokens}]
    deletion = [{"apiGroups": [GROUP], "resources": ["backups"], "verbs": ["delete-data"]}]
    return [
        *grant("writer", SPACE, ours, *PEOPLE),
        *grant("writer", ELSEWHERE, ours, *PEOPLE),
        *grant("reader", SPACE, secret, "jane"),
        *grant("remover", SPACE, deletion, "remover"),
        *grant("keeper", SPACE, account, "jane"),
    ]


class Door:
    """Where people come in with requests."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def apply(self, documents: list[Json]) -> None:
        """Have the administrator apply *documents*."""
        self.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def create(self, who: str, kind: Kind, spec: Json, *words: str, space: str = SPACE, name: str = "shop") -> str:
        """Return what the API server says to *who* creates a resource; it is kept only without `--dry-run=server`."""
        metadata = {"name": name, "namespace": space}
        text = json.dumps({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
        return self.cluster.kubectl("create", f"--as={who}", *words, "-o", "name", "-f", "-", stdin=text, check=False)

    def ask(self, who: str, kind: Kind, spec: Json, *words: str, space: str = SPACE) -> str:
        """Return what the API server would say to *who* creates a resource."""
        return self.create(who, kind, spec, "--dry-run=server", *words, space=space)

    def change(self, who: str, resource: str, change: Json) -> str:
        """Return what the API server would say to *who* changes a resource."""
        words = (
            "patch",
            resource,
            "-n",
            SPACE,
            f"--as={who}",
            "--dry-run=server",
            "--type=merge",
            "-p",
            json.dumps(change),
        )
        return self.cluster.kubectl(*words, check=False)


@pytest.fixture(scope="module")
def chart() -> list[Json]:
    """Return every object of the chart, for one namespace of the cluster."""
    text = template(CHART, VALUES, release="dbcustody", namespace=SPACE)
    return [one for one in yaml.safe_load_all(text) if one]


@pytest.fixture(scope="module")
def door(cluster: Cluster, chart: list[Json]) -> Iterator[Door]:
    """Yield two namespaces with people in them, of which the policies guard one; they are gone afterwards."""
    opened = Door(cluster)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name in (SPACE, ELSEWHERE)
    ]
    policies = [one for one in chart if one["kind"].startswith(POLICY)]
    opened.apply([*spaces, *rights()])
    opened.apply(policies)
    assert wait_until(lambda: all(_is_guarded(opened)), 60, pause_seconds=0.5), "the policies refuse nothing"
    yield opened
    for one in policies:
        cluster.kubectl("delete", one["kind"].lower(), one["metadata"]["name"])
    cluster.kubectl("delete", "namespace", SPACE, ELSEWHERE, "--wait=false")


def _is_guarded(door: Door) -> Iterator[bool]:
    """Yield for each policy whether it acts yet."""
    yield "denied request" in door.ask("jane", Kind.DATABASE, {"connection": {"secretRef": OTHERS}})
    yield "denied request" in door.ask(
        "jane", Kind.BACKUP_STORAGE, {"s3": S3, "encryption": {**KEYRING, "keyringSecretRef": OTHERS}}
    )
    yield "denied request" in door.ask("jane", Kind.BACKUP, {**ALONE, "deletionPolicy": "Delete"})
    yield "denied request" in door.ask("jane", Kind.BACKUP, {**ALONE, **running_as("others")})


def database(*, connection: Json = HERS, authority: Json = HERS, role: Json = HERS) -> Json:
    """Return a Database that names three Secrets."""
    tls = {"mode": "VerifyFull", "caSecretRef": {**authority, "key": "ca.crt"}}
    return {"connection": {"secretRef": connection, "tls": tls}, "roles": {"backup": {"secretRef": role}}}


def storage(*, credentials: Json = HERS, authority: Json = HERS, keyring: Json = HERS) -> Json:
    """Return a BackupStorage that names three Secrets."""
    bucket = {**S3, "credentialsSecretRef": credentials, "caSecretRef": {**authority, "key": "ca.crt"}}
    return {"s3": bucket, "encryption": {**KEYRING, "keyringSecretRef": keyring}}


NAMED = [
    pytest.param(Kind.DATABASE, database(connection=OTHERS), "spec.connection.secretRef", id="connection"),
    pytest.param(Kind.DATABASE, database(authority=OTHERS), "spec.connection.tls.caSecretRef", id="server's authority"),
    pytest.param(Kind.DATABASE, database(role=OTHERS), "spec.roles.backup.secretRef", id="role"),
    pytest.param(Kind.BACKUP_STORAGE, storage(credentials=OTHERS), "spec.s3.credentialsSecretRef", id="credentials"),
    pytest.param(Kind.BACKUP_STORAGE, storage(authority=OTHERS), "spec.s3.caSecretRef", id="store's authority"),
    pytest.param(Kind.BACKUP_STORAGE, storage(keyring=OTHERS), "spec.encryption.keyringSecretRef", id="keyring"),
]


@pytest.mark.parametrize(("kind", "spec", "field"), NAMED)
def test_a_secret_that_its_author_may_not_read_is_refused(door: Door, kind: Kind, spec: Json, *, field: str) -> None:
    """The answer names the field, the person and the Secret."""
    answer = door.ask("jane", kind, spec)
    assert f"must name in {field} a Secret that you may get, because a Job will use it for you" in answer
    assert f"jane may not get Secret others in namespace {SPACE}" in answer


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param(Kind.DATABASE, database(), id="database"),
        pytest.param(Kind.BACKUP_STORAGE, storage(), id="storage"),
        pytest.param(Kind.DATABASE, {"connection": {"secretRef": HERS}}, id="one Secret"),
        pytest.param(Kind.BACKUP_STORAGE, {"s3": S3, "acknowledgeUnencrypted": True}, id="no Secret"),
        pytest.param(Kind.BACKUP_STORAGE, {"volume": {"claimName": "a"}, "acknowledgeUnencrypted": True}, id="volume"),
    ],
)
def test_secrets_that_their_author_may_read_are_accepted(door: Door, kind: Kind, spec: Json) -> None:
    """And what names none is no matter of the policy."""
    assert door.ask("jane", kind, spec).startswith(f"{kind.lower()}.{GROUP}/shop")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [(Kind.DATABASE, database(connection=OTHERS)), (Kind.BACKUP_STORAGE, storage(keyring=OTHERS))],
    ids=["database", "storage"],
)
def test_exempt_accounts_name_what_they_want(door: Door, kind: Kind, spec: Json) -> None:
    """By user and by group; whoever is exempt from the other policy is not exempt from this one."""
    accepted = f"{kind.lower()}.{GROUP}/shop"
    assert door.ask("robot", kind, spec).startswith(accepted)
    assert door.ask("member", kind, spec, "--as-group=robots").startswith(accepted)
    assert "sweeper may not get Secret" in door.ask("sweeper", kind, spec)


def test_a_namespace_that_is_not_served_is_not_judged(door: Door) -> None:
    """The policies act in the namespaces of the release."""
    assert door.ask("jane", Kind.DATABASE, DATABASE, space=ELSEWHERE).startswith(f"database.{GROUP}/shop")
    assert "must name in spec.connection.secretRef" in door.ask("jane", Kind.DATABASE, DATABASE)


@pytest.mark.parametrize(
    ("kind", "spec"), [(Kind.DATABASE, DATABASE), (Kind.BACKUP_STORAGE, STORAGE)], ids=["database", "storage"]
)
def test_what_leaves_the_spec_alone_passes(door: Door, kind: Kind, spec: Json) -> None:
    """What the administrator made can be labelled by anybody with the right to; its spec cannot be changed."""
    resource = door.create("robot", kind, spec, name="given").strip()
    assert resource == f"{kind.lower()}.{GROUP}/given"
    assert "patched" in door.change("jane", resource, {"metadata": {"labels": {"team": "a"}}})
    assert "must name in spec." in door.change("jane", resource, {"spec": {"suspend": True}})
    assert "patched" in door.change("robot", resource, {"spec": {"suspend": True}})


def running_as(account: str) -> Json:
    """Return the part of a spec that has Jobs run as *account*."""
    return {"job": {"serviceAccountName": account}}


RUNNING: Final = {
    Kind.DATABASE: {"connection": {"secretRef": HERS}},
    Kind.BACKUP_STORAGE: {"s3": S3, "acknowledgeUnencrypted": True},
    Kind.BACKUP_POLICY: NIGHTLY,
    Kind.BACKUP: ALONE,
    Kind.RESTORE_REQUEST: RESTORE,
    Kind.DATABASE_MIGRATION: MIGRATION,
}
"""Every kind whose Jobs can run as somebody, with nothing else that jane may not say."""
EVERY_RUNNING = pytest.mark.parametrize("kind", RUNNING, ids=str)


@EVERY_RUNNING
def test_an_account_that_its_author_may_not_be_is_refused(door: Door, kind: Kind) -> None:
    """Nobody gets by a Job what a workload identity gives to another; the answer names the person and the account."""
    answer = door.ask("jane", kind, {**RUNNING[kind], **running_as("others")})
    assert "must name in spec.job.serviceAccountName a ServiceAccount that you may create tokens of" in answer
    assert f"jane may not create serviceaccounts/token of others in namespace {SPACE}" in answer


@EVERY_RUNNING
def test_an_account_whose_tokens_its_author_may_create_is_accepted(door: Door, kind: Kind) -> None:
    """By its name; whoever names none is not asked, and exempt accounts name what they want."""
    accepted = f"{kind.lower()}.{GROUP}/shop"
    assert door.ask("jane", kind, {**RUNNING[kind], **running_as("hers")}).startswith(accepted)
    assert door.ask("jane", kind, RUNNING[kind]).startswith(accepted)
    assert door.ask("robot", kind, {**RUNNING[kind], **running_as("others")}).startswith(accepted)


def test_whoever_may_delete_data_may_not_for_that_be_another(door: Door) -> None:
    """The exemption from the one policy is none from the other."""
    assert "sweeper may not create" in door.ask("sweeper", Kind.BACKUP, {**ALONE, **running_as("hers")})


def test_who_may_be_another_in_kubernetes_may_be_it_in_a_job(door: Door) -> None:
    """`edit` may create tokens of every account of the namespace: with it nobody gains anything."""
    edit = {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}
    binding = grant("editor", SPACE, [], "sweeper")[1] | {"roleRef": edit}
    door.apply([binding])
    wanted = {**ALONE, **running_as("others")}
    assert wait_until(lambda: door.ask("sweeper", Kind.BACKUP, wanted).startswith(f"backup.{GROUP}/shop"), 15)
    door.cluster.kubectl("delete", "rolebinding", "editor", "-n", SPACE)


def test_what_leaves_the_account_where_it_was_given_passes(door: Door) -> None:
    """A hold and `cancel` are no matter of the account; a policy that runs as somebody is whole in his hands."""
    backup = door.create("robot", Kind.BACKUP, {**ALONE, **running_as("others")}, name="run-as").strip()
    request = door.create("robot", Kind.RESTORE_REQUEST, {**RESTORE, **running_as("others")}, name="run-as").strip()
    policy = door.create("robot", Kind.BACKUP_POLICY, {**NIGHTLY, **running_as("others")}, name="run-as").strip()
    assert "patched" in door.change("jane", backup, {"spec": {"legalHold": {"reason": "audit"}}})
    assert "patched" in door.change("jane", request, {"spec": {"cancel": True}})
    assert "patched" in door.change("jane", policy, {"metadata": {"labels": {"team": "a"}}})
    assert "jane may not create" in door.change("jane", policy, {"spec": {"suspend": True}})


REFUSED: Final = (
    "must not have spec.deletionPolicy 'Delete' unless you have the verb `delete-data` on backups.dbcustody.dev"
)
DELETED: Final = {**ALONE, "deletionPolicy": "Delete"}


def test_who_may_have_data_deleted(door: Door) -> None:
    """The verb decides when a Backup is created so, and when it is switched."""
    accepted = f"backup.{GROUP}/shop"
    assert f"{REFUSED}: jane has not, in namespace {SPACE}" in door.ask("jane", Kind.BACKUP, DELETED)
    assert REFUSED in door.ask("robot", Kind.BACKUP, DELETED)
    assert door.ask("jane", Kind.BACKUP, ALONE).startswith(accepted)
    assert door.ask("remover", Kind.BACKUP, DELETED).startswith(accepted)
    assert door.ask("sweeper", Kind.BACKUP, DELETED).startswith(accepted)
    assert door.ask("member", Kind.BACKUP, DELETED, "--as-group=sweepers").startswith(accepted)


def test_switching_to_deletion_needs_the_verb_and_the_rest_does_not(door: Door) -> None:
    """A Backup that says Delete already can be held, and switched back, by whoever may change it."""
    kept = door.create("jane", Kind.BACKUP, ALONE, name="kept").strip()
    doomed = door.create("remover", Kind.BACKUP, DELETED, name="doomed").strip()
    assert REFUSED in door.change("jane", kept, {"spec": {"deletionPolicy": "Delete"}})
    assert "patched" in door.change("remover", kept, {"spec": {"deletionPolicy": "Delete"}})
    assert "patched" in door.change("jane", kept, {"spec": {"legalHold": {"reason": "audit"}}})
    assert "patched" in door.change("jane", doomed, {"spec": {"legalHold": {"reason": "audit"}}})
    assert "patched" in door.change("jane", doomed, {"spec": {"deletionPolicy": "Retain"}})


def test_expressions_fit_the_types_of_the_resources(door: Door, api: Api, chart: list[Json]) -> None:
    """The API server checks them against the CRDs, and finds no field that is not there."""
    assert door
    names = [one["metadata"]["name"] for one in chart if one["kind"] == POLICY]
    assert wait_until(lambda: all("typeChecking" in status(api, name) for name in names), 60)
    assert {name: status(api, name)["typeChecking"] for name in names} == {name: {} for name in names}


def status(api: Api, policy: str) -> Json:
    """Return what the API server found about *policy*."""
    return (api.get("validatingadmissionpolicies", policy) or {}).get("status") or {}


def test_the_api_server_takes_the_whole_chart(door: Door, chart: list[Json]) -> None:
    """Every object as it stands, and the pod in a namespace under the `restricted` profile."""
    text = yaml.safe_dump_all(chart)
    answers = door.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text).splitlines()
    (pod,) = (one["spec"]["template"]["spec"] for one in chart if one["kind"] == "Deployment")
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": SPACE}}
    body["spec"] = {**pod, "serviceAccountName": "default"}
    assert len(answers) == len(chart)
    assert "pod/a created" in door.cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))


def test_rights_by_namespace_are_enough_and_not_more(door: Door, chart: list[Json]) -> None:
    """The operator sees the namespaces of its list, the Namespace object included, and nothing of the others."""
    bound = [one for one in chart if one["kind"] in {"ClusterRole", "RoleBinding", "ServiceAccount"}]
    narrow = json.loads(json.dumps(bound).replace("dbcustody-operator", "narrow-operator"))
    door.apply([one for one in narrow if one["metadata"]["name"].startswith("narrow-operator")])
    account = f"--as=system:serviceaccount:{SPACE}:narrow-operator"

    def is_refused(*what: str) -> bool:
        return "Forbidden" in door.cluster.kubectl("get", *what, account, check=False)

    try:
        assert wait_until(lambda: not is_refused("namespace", SPACE), 15)
        for what in ("jobs", "pods", f"backups.{GROUP}"):
            assert [is_refused(what, "-n", space) for space in (SPACE, ELSEWHERE)] == [False, True]
        assert is_refused("namespace", ELSEWHERE)
        assert is_refused("namespaces")
        assert is_refused("secrets", "-n", SPACE)
    finally:
        door.cluster.kubectl("delete", "clusterrole", "narrow-operator")
