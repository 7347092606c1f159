"""What the chart repeats of the repository: CRDs, the operator's rights, alert rules, examples. Made, never edited."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
CHART: Final = ROOT / "charts" / "dbcustody"
_EXAMPLES: Final = ("20-database.yaml", "30-storage-s3.yaml", "40-policy.yaml", "50-backup.yaml")
_DEFINED: Final = {"dbcustody-operator": "dbcustody.rights", "dbcustody-scaler": "dbcustody.scaling"}
"""ClusterRoles of deploy/rights.yaml, and how the chart's templates call their rules."""
_KEEP: Final = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def escaped(text: str) -> str:
    """Return *text* so that Helm's templates give it back as it is."""
    return text.replace("{{", '{{ "{{" }}')


def crd_template(text: str) -> str:
    """Return the template of a CRD: *text*, with Helm's own annotation when it is to be kept."""
    before, name, after = re.split(r"^(metadata:\n  name: .*\n)", escaped(text), maxsplit=1, flags=re.MULTILINE)
    return f"{{{{- if .Values.crds.enabled }}}}\n{before}{name}{_KEEP}{after}{{{{- end }}}}\n"


def rights_template(text: str) -> str:
    """Return a template with the rules of each ClusterRole, as *text* (deploy/rights.yaml) has them."""
    note = "{{- /* Made by `make chart` from deploy/rights.yaml. */ -}}\n"
    return note + "\n".join(_rules(text, role, name) for role, name in _DEFINED.items())


def _rules(text: str, role: str, name: str) -> str:
    """Return the definition *name* with the rules of the ClusterRole *role*."""
    head = re.compile(rf"^kind: ClusterRole\nmetadata:\n  name: {role}$", re.MULTILINE)
    (part,) = (part for part in text.split("---\n") if head.search(part))
    rules = part.partition("\nrules:\n")[2]
    return f'{{{{- define "{name}" -}}}}\nrules:\n{escaped(rules)}{{{{- end }}}}\n'


def chart_yaml() -> str:
    """Return Chart.yaml: the version of the code, and what Artifact Hub shows of the resources."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    head: dict[str, Any] = {
        "apiVersion": "v2",
        "name": project["name"],
        "description": "Takes custody of PostgreSQL databases that it does not run: scheduled, encrypted, verified backups",
        "type": "application",
        "version": project["version"],
        "appVersion": project["version"],
        "kubeVersion": ">=1.32.0-0",
        "keywords": ["postgresql", "backup", "restore", "operator", "encryption"],
        "annotations": {
            "artifacthub.io/category": "database",
            "artifacthub.io/license": project["license"],
            "artifacthub.io/operator": "true",
            "artifacthub.io/operatorCapabilities": "Basic Install",
            "artifacthub.io/prerelease": "true",
            "artifacthub.io/crds": _text([_described(path) for path in sorted((ROOT / "crds").glob("*.yaml"))]),
            "artifacthub.io/crdsExamples": _text(
                [yaml.safe_load((ROOT / "examples" / name).read_text()) for name in _EXAMPLES]
            ),
        },
    }
    return "# Made by `make chart`.\n" + _text(head)


def _described(path: Path) -> dict[str, str]:
    """Return what Artifact Hub wants to know of the CRD in *path*."""
    crd = yaml.safe_load(path.read_text())
    (version,) = crd["spec"]["versions"]
    return {
        "kind": crd["spec"]["names"]["kind"],
        "version": version["name"],
        "name": crd["metadata"]["name"],
        "displayName": crd["spec"]["names"]["kind"],
        "description": version["schema"]["openAPIV3Schema"]["description"],
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _text(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=10_000)
