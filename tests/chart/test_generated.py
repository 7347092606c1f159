"""What is made from something else agrees with it; none of these tests needs Helm."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from chartmaking.copies import CHART, ROOT, chart_yaml, crd_template, escaped, rights_template
from chartmaking.documents import table, with_table
from chartmaking.files import generated, left_over
from chartmaking.values import Section, Values

if TYPE_CHECKING:
    from pathlib import Path

FILES = generated()
CRDS = sorted((ROOT / "crds").glob("*.yaml"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
KEEP = "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHART)))
def test_generated_files_are_up_to_date(path: Path) -> None:
    """Run `make chart` when this fails."""
    assert path.read_text() == FILES[path]


def test_nothing_is_left_over() -> None:
    """A CRD that is gone from crds/ is gone from the chart; run `make chart` when this fails."""
    assert left_over() == []


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_a_crd_is_that_of_the_repository_but_for_the_annotation(path: Path) -> None:
    """Taken back what the chart adds, the text is the same to the letter."""
    made = (CHART / "templates" / "crds" / path.name).read_text()
    head, tail = "{{- if .Values.crds.enabled }}\n", "{{- end }}\n"
    assert made.count(KEEP) == 1
    assert made.startswith(head)
    assert made.endswith(tail)
    assert made.removeprefix(head).removesuffix(tail).replace(KEEP, "") == escaped(path.read_text())


def test_text_with_braces_of_templates_stays_text() -> None:
    """A description that speaks of templates is no template."""
    made = crd_template("kind: A\nmetadata:\n  name: a\n  labels: {a: {b: c}}\nspec: 'says {{ x }}'\n")
    assert """'says {{ "{{" }} x }}'""" in made
    assert "{a: {b: c}}" in made


def test_the_rules_are_those_of_the_cluster_roles_alone() -> None:
    """Neither the Role beside them nor anything behind the rules gets in."""
    rules = rights_template((ROOT / "deploy" / "rights.yaml").read_text())
    assert "leases" not in rules
    assert "---" not in rules
    defined = re.findall(r'\{\{- define "(.*?)" -\}\}\n(.*?)\{\{- end \}\}\n', rules, re.DOTALL)
    groups = {name: {rule["apiGroups"][0] for rule in yaml.safe_load(text)["rules"]} for name, text in defined}
    assert groups == {"dbcustody.rights": {"dbcustody.dev", "batch", ""}, "dbcustody.scaling": {"apps"}}


def test_the_schema_is_one() -> None:
    """It is valid itself, and leaves no object open whose keys are known."""
    Draft202012Validator.check_schema(SCHEMA)
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    assert all(section["additionalProperties"] is False for section in sections if "properties" in section)
    assert len(sections) == len(list(subclasses(Section)))


def subclasses(kind: type) -> list[type]:
    """Return every class below *kind*."""
    return [below for one in kind.__subclasses__() for below in (one, *subclasses(one))]


def test_the_defaults_are_those_of_the_model() -> None:
    """values.yaml says what a chart without values does, and the schema takes it."""
    stated: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    assert stated == Values().model_dump(by_alias=True)
    Draft202012Validator(SCHEMA).validate(stated)


def leaves(section: Section, above: str = "") -> list[str]:
    """Return the dotted path of every single value."""
    found = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        path = f"{above}{field.alias}"
        found += leaves(value, f"{path}.") if isinstance(value, Section) else [path]
    return found


def test_every_value_is_explained() -> None:
    """The README has a row for each, no more, and none without a meaning."""
    rows = re.findall(r"^\| `([^`]+)` \| `[^`]*` \| (.+) \|$", table(), re.MULTILINE)
    assert [path for path, _ in rows] == leaves(Values())
    assert all(len(meaning) > 10 for _, meaning in rows)


def test_the_table_replaces_the_one_before() -> None:
    """Made twice, the README is the same; what stands around the table stays."""
    once = with_table("before\n<!-- the table is made by `make chart` -->\nold\n<!-- end of the table -->\nafter\n")
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert with_table(once) == once


def test_what_artifact_hub_shows_is_there() -> None:
    """Every CRD with its kind, version and description, and examples that are those of examples/."""
    annotations = yaml.safe_load(chart_yaml())["annotations"]
    crds = [yaml.safe_load(path.read_text()) for path in CRDS]
    shown = yaml.safe_load(annotations["artifacthub.io/crds"])
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert [one["name"] for one in shown] == [crd["metadata"]["name"] for crd in crds]
    assert {one["kind"] for one in examples} <= {one["kind"] for one in shown}
    written = [one for path in (ROOT / "examples").glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    assert [one for one in examples if one not in written] == []
