"""Every generated file of the chart with its text, so that the one who writes them and the test that compares ask the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chartmaking.copies import CHART, ROOT, chart_yaml, crd_template, rights_template
from chartmaking.documents import schema, values_yaml, with_table

if TYPE_CHECKING:
    from pathlib import Path


def generated() -> dict[Path, str]:
    """Return what every generated file is to hold."""
    readme = CHART / "README.md"
    return {
        CHART / "Chart.yaml": chart_yaml(),
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": schema(),
        CHART / "files" / "backup-rules.yaml": (ROOT / "deploy" / "monitoring" / "backup-rules.yaml").read_text(),
        CHART / "templates" / "operator" / "_rights.tpl": rights_template(
            (ROOT / "deploy" / "rights.yaml").read_text()
        ),
        readme: with_table(readme.read_text()),
        **{
            CHART / "templates" / "crds" / path.name: crd_template(path.read_text())
            for path in sorted((ROOT / "crds").glob("*.yaml"))
        },
    }


def left_over() -> list[Path]:
    """Return templates of CRDs that there are no more."""
    wanted = generated()
    return [path for path in sorted((CHART / "templates" / "crds").glob("*")) if path not in wanted]


def write() -> None:
    """Bring every generated file up to date, and remove what is left over."""
    for path, text in generated().items():
        path.write_text(text)
    for path in left_over():
        path.unlink()
