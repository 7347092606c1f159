"""What the API server is told about the resources and what the code knows of them are one thing: held together in both directions."""

from __future__ import annotations

import copy
import types
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from dbcustody.api.approval import Approval, ApprovalSpec, ApprovalStatus
from dbcustody.api.backup import Backup, BackupSpec, BackupStatus
from dbcustody.api.condition import MAX_MESSAGE_LENGTH, ConditionType
from dbcustody.api.database import Database, DatabaseSpec, DatabaseStatus
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationSpec, DatabaseMigrationStatus
from dbcustody.api.policy import BackupPolicy, BackupPolicySpec, BackupPolicyStatus, CaptureOptions
from dbcustody.api.restore import RestoreRequest, RestoreRequestSpec, RestoreRequestStatus
from dbcustody.api.storage import BackupStorage, BackupStorageSpec, BackupStorageStatus
from dbcustody.codec import encode, hints_of, wire_name
from dbcustody.naming import GROUP, MAX_NAME_LENGTH, MAX_SCHEDULED_NAME_LENGTH, VERSION
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.plan.migration_outcome import MOST_MIGRATIONS, MOST_OBSTACLES
from dbcustody.plan.policy import MOST_MISSED
from dbcustody.plan.pruning import MOST_ENTRIES
from dbcustody.plan.restore import MOST_ATTEMPTS as MOST_RESTORE_ATTEMPTS
from dbcustody.plan.restore_outcome import MOST_STATED, NAME_LENGTH, STATED_LENGTH
from dbcustody.reason import Reason
from tests.fakes.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = Any

ROOT = Path(__file__).parents[2]
CRDS = {kind: yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text()) for kind in Kind}
RESOURCES = {
    Kind.DATABASE: (Database, DatabaseSpec, DatabaseStatus),
    Kind.BACKUP_STORAGE: (BackupStorage, BackupStorageSpec, BackupStorageStatus),
    Kind.BACKUP_POLICY: (BackupPolicy, BackupPolicySpec, BackupPolicyStatus),
    Kind.BACKUP: (Backup, BackupSpec, BackupStatus),
    Kind.RESTORE_REQUEST: (RestoreRequest, RestoreRequestSpec, RestoreRequestStatus),
    Kind.APPROVAL: (Approval, ApprovalSpec, ApprovalStatus),
    Kind.DATABASE_MIGRATION: (DatabaseMigration, DatabaseMigrationSpec, DatabaseMigrationStatus),
}
EXAMPLES = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}")
    for path in sorted((ROOT / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
OPEN_ENUMS = (ConditionType, Reason)
"""A newer operator may know more of them than the CRD that was installed with an older one: a pattern instead of a list."""
OPTIONS = frozenset(wire_name(field.name) for field in fields(CaptureOptions))
"""On a Backup with `policyRef` they must not be there, so that the API server may not put them there."""
EVERY_KIND = pytest.mark.parametrize("kind", Kind, ids=str)


def version_of(kind: Kind) -> Json:
    """Return the one version of *kind*'s CRD."""
    (version,) = CRDS[kind]["spec"]["versions"]
    return version


def schema_of(kind: Kind, part: str | None = None) -> Json:
    """Return the schema of *kind*, or of its `spec` or `status`."""
    schema = version_of(kind)["schema"]["openAPIV3Schema"]
    return schema if part is None else schema["properties"][part]


def differences(cls: type, schema: Json, path: str, *, bare: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield how dataclass *cls* and *schema* differ, with all that is below; fields named in *bare* have no default in the schema."""
    known = {wire_name(field.name): field for field in fields(cls)}
    properties = schema.get("properties", {})
    if schema.get("type") != "object":
        yield f"{path}: is no object"
    yield from (f"{path}.{name}: only in the schema" for name in properties.keys() - known.keys())
    yield from (f"{path}.{name}: only in the dataclass" for name in known.keys() - properties.keys())
    wanted = {name for name, field in known.items() if field.default is field.default_factory is MISSING}
    if set(schema.get("required", ())) != wanted:
        yield f"{path}: requires {schema.get('required')}, the dataclass {sorted(wanted)}"
    for name in known.keys() & properties.keys():
        where = f"{path}.{name}"
        below = frozenset(properties[name].get("properties", {})) if name in bare else frozenset()
        yield from kind_differences(hints_of(cls)[known[name].name], properties[name], where, bare=below)
        yield from default_differences(known[name], properties[name], where, bare=name in bare)


def kind_differences(kind: Any, schema: Json, path: str, *, bare: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield how the type *kind* of a field and its *schema* differ."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
        origin = get_origin(kind)
    if origin is tuple:
        yield from () if schema.get("type") == "array" else (f"{path}: is no array",)
        yield from kind_differences(get_args(kind)[0], schema.get("items", {}), f"{path}[]")
    elif origin is dict:
        yield from kind_differences(get_args(kind)[1], schema.get("additionalProperties", {}), f"{path}{{}}")
    elif is_dataclass(kind):
        yield from differences(kind, schema, path, bare=bare)
    elif issubclass(kind, Enum) and kind not in OPEN_ENUMS:
        if schema.get("enum") != [choice.value for choice in kind]:
            yield f"{path}: allows {schema.get('enum')}"
    elif (schema.get("type"), schema.get("format") == "date-time") != scalar(kind):
        yield f"{path}: is {schema.get('type')} of format {schema.get('format')}"


def scalar(kind: type) -> tuple[str, bool]:
    """Return the schema's type for *kind*, and whether it is a time."""
    names = {bool: "boolean", int: "integer", datetime: "string"}
    return names.get(kind, "string"), kind is datetime


def default_differences(field: Any, schema: Json, path: str, *, bare: bool) -> Iterator[str]:
    """Yield when what is assumed for a missing *field* differs; None and empty collections are no default to the API server."""
    bare = bare or (path.startswith("status.") and path != "status.observedGeneration")  # the operator writes it whole
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    assumed = "nothing" if value is MISSING or value is None or value in ((), {}) or bare else encode(value)
    said = filled(schema, copy.deepcopy(schema["default"])) if "default" in schema else "nothing"
    if said != assumed:
        yield f"{path}: default {said!r}, the dataclass has {assumed!r}"


def filled(schema: Json, value: Json) -> Json:
    """Return *value* with the defaults of *schema* put into it, as the API server does; empty objects below are left out."""
    if not isinstance(value, dict):
        return value
    for name, below in schema.get("properties", {}).items():
        if name not in value and "default" in below:
            value[name] = copy.deepcopy(below["default"])
        if name in value:
            value[name] = filled(below, value[name])
    return value


def walk(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Yield every schema below *schema* with its path."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from walk(below, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from walk(schema[name], f"{path}[]")


def is_bounded(schema: Json) -> bool:
    """Return whether what *schema* allows is finite and small enough to reckon with."""
    match schema.get("type"):
        case "string":
            return bool("maxLength" in schema or "enum" in schema or schema.get("format") == "date-time")
        case "integer":
            return "minimum" in schema and "maximum" in schema and schema.get("format") in {"int32", "int64"}
        case "array":
            return "maxItems" in schema and "x-kubernetes-list-type" in schema
        case "object":
            return "properties" in schema or ("maxProperties" in schema and "additionalProperties" in schema)
        case kind:
            return bool(kind == "boolean")


@EVERY_KIND
@pytest.mark.parametrize("part", ["spec", "status"])
def test_schema_and_dataclass_are_one(kind: Kind, part: str) -> None:
    """Names, types, what is required, defaults and enums are the same in both, at every depth, in both directions."""
    cls = RESOURCES[kind][1 if part == "spec" else 2]
    found = differences(cls, schema_of(kind, part), part, bare=OPTIONS if cls is BackupSpec else frozenset())
    assert list(found) == []


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        pytest.param(lambda spec: spec["properties"].pop("suspend"), "spec.suspend", id="field left out"),
        pytest.param(lambda spec: spec["properties"].update(more={"type": "string"}), "spec.more", id="field too many"),
        pytest.param(lambda spec: spec["required"].append("timeZone"), "spec: requires", id="required too much"),
        pytest.param(
            lambda spec: spec["properties"]["retention"]["properties"]["keepDaily"].update(default=8),
            "spec.retention: default",
            id="another default below",
        ),
        pytest.param(
            lambda spec: spec["properties"]["rowCounts"]["enum"].append("Guess"), "spec.rowCounts", id="enum too long"
        ),
        pytest.param(
            lambda spec: spec["properties"]["parallelism"].update(type="string"), "spec.parallelism", id="another type"
        ),
        pytest.param(
            lambda spec: spec["properties"]["tables"]["properties"]["include"].update(type="object"),
            "spec.tables.include",
            id="no list",
        ),
    ],
)
def test_differences_are_noticed(spoil: Any, path: str) -> None:
    """The comparison above can fail: each way of being different is told by its path."""
    spec = copy.deepcopy(schema_of(Kind.BACKUP_POLICY, "spec"))
    spoil(spec)
    assert any(found.startswith(path) for found in differences(BackupPolicySpec, spec, "spec"))


@EVERY_KIND
def test_every_field_is_described_and_bounded(kind: Kind) -> None:
    """Whoever asks `kubectl explain` gets a sentence for every field, and nothing can be arbitrarily long."""
    schema = schema_of(kind)
    unbounded = [path for path, below in walk(schema, kind) if path != f"{kind}.metadata" and not is_bounded(below)]
    said = {path: below.get("description", "") for path, below in walk(schema, kind) if not path.endswith("[]")}
    silent = [path for path, text in said.items() if path != f"{kind}.metadata" and len(text) < 9]
    unfinished = [path for path, below in walk(schema, kind) if not below.get("description", ".").endswith(".")]
    assert (unbounded, silent, unfinished) == ([], [], [])


@EVERY_KIND
def test_rules_say_what_is_allowed(kind: Kind) -> None:
    """Every CEL rule answers with what must be, as the conventions of the API want it."""
    rules = [rule for _, below in walk(schema_of(kind), "") for rule in below.get("x-kubernetes-validations", ())]
    assert rules
    assert [rule["rule"] for rule in rules if not rule["message"].startswith("must ")] == []


@EVERY_KIND
def test_status_says_at_once_that_nobody_looked_yet(kind: Kind) -> None:
    """Tools that wait for a resource never take a fresh one for a ready one."""
    assert schema_of(kind, "status")["default"] == {"observedGeneration": -1}
    assert version_of(kind)["subresources"] == {"status": {}}
    assert schema_of(kind)["required"] == ["spec"]


@EVERY_KIND
def test_names_are_those_of_the_code(kind: Kind) -> None:
    """Group, version, plural, short name and category are what code and documents call them."""
    crd = CRDS[kind]
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{kind.plural}.{GROUP}"
    assert (crd["spec"]["group"], version_of(kind)["name"], crd["spec"]["scope"]) == (GROUP, VERSION, "Namespaced")
    assert (names["kind"], names["plural"], names["singular"]) == (kind.value, kind.plural, kind.value.lower())
    assert (names["shortNames"], names["categories"]) == ([kind.short_name], ["dbcustody"])
    assert version_of(kind)["served"] is version_of(kind)["storage"] is True
    assert crd["metadata"]["labels"]["app.kubernetes.io/part-of"] == "dbcustody"


@EVERY_KIND
def test_columns_are_the_documented_ones(kind: Kind) -> None:
    """`kubectl get` shows what a person asks first, in this order; each path leads to a field that exists."""
    columns = version_of(kind)["additionalPrinterColumns"]
    known = {"name", "type", "format", "jsonPath", "description", "priority"}
    assert {key for column in columns for key in column} <= known, "a comma in words that are not quoted makes a key"
    assert [(c["name"], c["type"], c["jsonPath"], c.get("priority", 0)) for c in columns] == COLUMNS[kind]
    paths = {path for path, _ in walk(schema_of(kind), "")} | {".metadata.creationTimestamp"}
    plain = [column["jsonPath"] for column in columns if "[?" not in column["jsonPath"]]
    assert [path for path in plain if path not in paths] == []


def test_backups_are_found_by_their_database() -> None:
    """`--field-selector spec.databaseRef.name=...` works where a resource names a Database."""
    selectable = {kind: version_of(kind).get("selectableFields", []) for kind in Kind}
    assert {"jsonPath": ".spec.databaseRef.name"} in selectable[Kind.BACKUP_POLICY]
    assert {"jsonPath": ".spec.databaseRef.name"} in selectable[Kind.BACKUP]
    assert {"jsonPath": ".spec.databaseRef.name"} in selectable[Kind.DATABASE_MIGRATION]
    assert {"jsonPath": ".spec.target.databaseRef.name"} in selectable[Kind.RESTORE_REQUEST]


def test_the_job_block_is_the_same_everywhere() -> None:
    """What was learned about `job` on one kind holds on all of them that have Jobs."""
    blocks = [schema_of(kind, "spec")["properties"]["job"] for kind in Kind if kind is not Kind.APPROVAL]
    assert [block == blocks[0] for block in blocks] == [True] * len(blocks)


def test_names_leave_room_for_what_is_put_behind_them() -> None:
    """The bound on a resource's name is the one that the code reckons with."""
    bounds = {kind: schema_of(kind)["x-kubernetes-validations"][0]["rule"] for kind in Kind}
    limits = dict.fromkeys(Kind, MAX_NAME_LENGTH) | {Kind.BACKUP_POLICY: MAX_SCHEDULED_NAME_LENGTH}
    assert bounds == {kind: f"size(self.metadata.name) <= {limit}" for kind, limit in limits.items()}


def test_status_has_room_for_all_that_the_operator_says() -> None:
    """The operator's own bounds lie within the schema's; otherwise the API server would refuse the truth."""
    policy, backup = (schema_of(kind, "status")["properties"] for kind in (Kind.BACKUP_POLICY, Kind.BACKUP))
    assert policy["plan"]["maxItems"] >= MOST_ENTRIES
    assert policy["missed"]["maxItems"] >= MOST_MISSED
    assert backup["attempts"]["maxItems"] >= MOST_ATTEMPTS
    assert backup["conditions"]["maxItems"] >= len(ConditionType)
    condition = backup["conditions"]["items"]["properties"]
    assert condition["message"]["maxLength"] == MAX_MESSAGE_LENGTH
    restore = schema_of(Kind.RESTORE_REQUEST, "status")["properties"]
    stated = restore["plan"]["properties"]
    assert restore["attempts"]["maxItems"] >= MOST_RESTORE_ATTEMPTS
    lists = (stated["obstacles"], stated["rolesToCreate"], stated["remarks"], restore["unknownSettings"])
    assert {one["maxItems"] for one in lists} == {MOST_STATED}
    assert {stated["remarks"]["items"]["maxLength"], restore["unknownSettings"]["items"]["maxLength"]} == {
        STATED_LENGTH,
        NAME_LENGTH,
    }
    migration = schema_of(Kind.DATABASE_MIGRATION, "status")["properties"]["plan"]["properties"]
    assert migration["migrations"]["maxItems"] >= MOST_MIGRATIONS
    assert migration["obstacles"]["maxItems"] >= MOST_OBSTACLES
    longest = max(len(word) for word in (*Reason, *ConditionType))
    assert min(condition["reason"]["maxLength"], condition["type"]["maxLength"]) >= longest


@EVERY_KIND
def test_crd_is_small_enough_for_plain_apply(kind: Kind) -> None:
    """`kubectl apply` keeps the whole text in an annotation; 100 KB leaves room below the API server's limit of 256 KB."""
    assert (ROOT / "crds" / f"{kind.plural}.yaml").stat().st_size < 100_000


@pytest.mark.parametrize("document", EXAMPLES)
def test_examples_are_accepted_and_understood(document: Json) -> None:
    """Every example fits the schema, and the code reads from it what is written there."""
    if document["kind"] not in set(Kind):
        assert document["kind"] in {"Secret", "PersistentVolumeClaim", "ConfigMap"}
        return
    kind = Kind(document["kind"])
    Draft202012Validator(schema_of(kind)).validate(document)
    read = RESOURCES[kind][0].from_body(document)
    assert includes(encode(read.spec), document["spec"])


def includes(whole: Json, part: Json) -> bool:
    """Return whether *whole* says all that *part* says."""
    if isinstance(part, dict):
        return all(name in whole and includes(whole[name], value) for name, value in part.items())
    return bool(whole == part)


def test_there_is_an_example_of_each_kind() -> None:
    """Nobody has to write a resource from nothing."""
    kinds = {parameter.values[0]["kind"] for parameter in EXAMPLES}
    assert kinds >= set(Kind) | {"Secret"}


def test_wrong_resources_are_refused_by_the_schema() -> None:
    """The fast check of examples can fail."""
    body = {"spec": {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}, "schedule": 5}}
    with pytest.raises(ValidationError):
        Draft202012Validator(schema_of(Kind.BACKUP_POLICY)).validate(body)
