"""deploy/install.yaml: the chart as Helm renders it by default, for those who install with kubectl alone."""

from __future__ import annotations

from typing import Final

from chartmaking.copies import CHART, ROOT
from ground.helm import template

PATH: Final = ROOT / "deploy" / "install.yaml"
NAMESPACE: Final = "dbcustody"
_HEAD: Final = f"""\
# The operator with everything it needs, as the chart gives it by default: kubectl apply -f install.yaml
# Made by `make manifest`; change charts/dbcustody instead.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def manifest() -> str:
    """Return the text of deploy/install.yaml."""
    return _HEAD + template(CHART, {}, release="dbcustody", namespace=NAMESPACE)
