"""The ConfigMap of Argo CD that carries our scripts, made of the very files: `python -m tests.gitops.argocd_cm` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from tests.gitops.argocd import script_of

PLACE: Final = Path(__file__).parents[2] / "deploy" / "argocd" / "argocd-cm.yaml"
ACTIONS: Final = ("backup-now", "suspend", "resume")
HEAD: Final = """\
# What Argo CD has to know of the kinds of dbcustody.dev: a patch for its ConfigMap, made of the scripts in resource_customizations/.
#   kubectl patch configmap argocd-cm -n argocd --type merge --patch-file argocd-cm.yaml
# A patch replaces `resource.customizations` as a whole: where there is one already, add the entry for "dbcustody.dev/*" to it by hand.
"""


class _Block(str):
    """A text that is written as a block, as it stands in the script's file."""

    __slots__ = ()


class _Writer(yaml.SafeDumper):
    """Writes scripts as blocks, because people read them."""


_Writer.add_representer(
    _Block, lambda writer, text: writer.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def _written(value: Any) -> str:
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, width=1000)


def text() -> str:
    """Return the patch."""
    actions = [
        {"name": name, "action.lua": _Block(script_of(f"BackupPolicy/actions/{name}/action.lua"))} for name in ACTIONS
    ]
    discovery = _Block(script_of("BackupPolicy/actions/discovery.lua"))
    health = {"dbcustody.dev/*": {"health.lua": _Block(script_of("_/health.lua"))}}
    data = {
        "resource.customizations": _Block(_written(health)),
        "resource.customizations.actions.dbcustody.dev_BackupPolicy": _Block(
            _written({"discovery.lua": discovery, "definitions": actions})
        ),
    }
    return HEAD + _written({"data": data})


if __name__ == "__main__":
    PLACE.write_text(text())
