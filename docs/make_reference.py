"""Writes docs/reference/ from the CRDs and the code, so that no page can say anything else: `python docs/make_reference.py`."""  # noqa: INP001 - a script beside its pages

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from prometheus_client.metrics import MetricWrapperBase

from dbcustody.adapters.lease import Lease
from dbcustody.api.condition import MEANING, ConditionType
from dbcustody.cli.ending import Exit, exit_of
from dbcustody.cli.variables import VARIABLES
from dbcustody.guidance import GUIDANCE
from dbcustody.handlers.counting import Bookkeeper
from dbcustody.handlers.health import Health
from dbcustody.handlers.queue import Queue
from dbcustody.handlers.sampler import process_metrics, sample
from dbcustody.handlers.world import World
from dbcustody.metrics import Metrics
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "reference"
STATES: Final = ROOT / "deploy" / "argocd" / "resource_customizations" / "dbcustody.dev" / "_" / "testdata"
"""Resources in every state that matters, as the plans say them; each kind's conditions are read from there."""
MADE: Final = "Made by `docs/make_reference.py`; see [all of the reference](README.md).\n"
EXITS: Final = {
    Exit.DONE: "done",
    Exit.ERROR: "it failed; the message says why",
    Exit.PENDING: "`kubectl dbcustody`: not so in the time that was given, or something needs a person; `migrate`: something is pending",
    Exit.NEEDS_CONFIRMATION: "retention waits for a confirmation; something else was confirmed; a side effect or a risk is not accepted",
    Exit.NEEDS_RESOLUTION: "a migration may be half in, and a person has to look",
    Exit.LOCKED: "the database was busy",
    Exit.DRIFT: "`migrate dev`: the database is not what its history says",
    Exit.INTEGRITY: "integrity: damaged, forged, or the rows differ",
    Exit.USAGE: "wrong usage, or wrong settings; a confirmation is missing and nobody can be asked",
    Exit.CANCELLED: "cancelled: Ctrl-C, SIGTERM",
}
BOUNDS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " of them"),
)
Json = dict[str, Any]


def pages() -> dict[str, str]:
    """Return every page by its name in docs/reference."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    kinds = {crd["spec"]["names"]["kind"]: crd for crd in crds}
    return {
        "README.md": _index(kinds),
        **{f"{kind}.md": _kind_page(crd) for kind, crd in kinds.items()},
        "conditions.md": _conditions_page(kinds),
        "metrics.md": _metrics_page(),
        "exit-codes.md": _exits_page(),
        "environment.md": _environment_page(),
    }


def _index(kinds: dict[str, Json]) -> str:
    rows = (
        f"| [{kind}]({kind}.md) | `{'`, `'.join(crd['spec']['names'].get('shortNames', ()))}` | {_schema(crd)['description']} |\n"
        for kind, crd in kinds.items()
    )
    return (
        "# Reference\n\n"
        "Made from the CRDs and the code by `docs/make_reference.py`; a test fails when a page says anything else.\n\n"
        "| kind | short | |\n|---|---|---|\n" + "".join(rows) + "\n"
        "- [Conditions](conditions.md): what each one means, and who has it\n"
        "- [Reasons](../reasons.md): what each one means, and what to do\n"
        "- [Metrics](metrics.md)\n"
        "- [Exit codes](exit-codes.md) of the commands and of Jobs\n"
        "- [Variables](environment.md) of the commands that people type\n"
        "- [Values of the chart](../../charts/dbcustody/README.md#values)\n"
    )


def _kind_page(crd: Json) -> str:
    names, schema, version = crd["spec"]["names"], _schema(crd), crd["spec"]["versions"][0]
    columns = "".join(
        f"| {column['name']} | `{column['jsonPath']}` | {'`-o wide`: ' if column.get('priority') else ''}{_cell(column['description'])} |\n"
        for column in version.get("additionalPrinterColumns", ())
    )
    selected = ", ".join(f"`{one['jsonPath']}`" for one in version.get("selectableFields", ()))
    short = ", ".join(f"`{name}`" for name in names.get("shortNames", ()))
    return (
        f"# {names['kind']}\n\n{schema['description']}\n\n"
        f"`{crd['spec']['group']}/{version['name']}`, `kubectl get {names['plural']}` ({short}). {MADE}"
        + "".join(f"\n{rule}\n" for rule in _rules(schema))
        + "".join(f"\n## {part}\n{_table(schema['properties'][part])}" for part in ("spec", "status"))
        + f"\n## Columns\n| column | from | what |\n|---|---|---|\n{columns}"
        + (f"\nField selectors: {selected}.\n" if selected else "")
    )


def _schema(crd: Json) -> Json:
    (version,) = crd["spec"]["versions"]
    found: Json = version["schema"]["openAPIV3Schema"]
    return found


def _table(schema: Json) -> str:
    head = f"{schema['description']}\n" + "".join(f"\n{rule}\n" for rule in _rules(schema))
    rows = "".join(_rows(schema, ""))
    return f"{head}\n| field | type | default | meaning |\n|---|---|---|---|\n{rows}"


def _rows(schema: Json, above: str) -> Iterator[str]:
    """Yield a row for each field below *schema*, depth first; items of lists are called `[]`, values of maps `{}`."""
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        path = f"{above}{name}"
        default = "**required**" if name in required else _default(field)
        meaning = " ".join([field.get("description", ""), *_rules(field)]).strip()
        yield f"| `{path}` | {_cell(_type(field))} | {default} | {_cell(meaning)} |\n"
        yield from _rows(field, f"{path}.")
        yield from _rows(field.get("items", {}), f"{path}[].")
        below = field.get("additionalProperties")
        yield from _rows(below, f"{path}.*.") if isinstance(below, dict) else ()


def _default(field: Json) -> str:
    if "default" not in field:
        return ""
    return f"`{yaml.safe_dump(field['default'], default_flow_style=True).partition(chr(10))[0].replace(chr(39) * 2, chr(34) * 2)}`"


def _type(field: Json) -> str:
    """Return the type of *field* with its bounds, in words."""
    if "enum" in field:
        return "one of " + ", ".join(f"`{one}`" for one in field["enum"])
    kind = "time" if field.get("format") == "date-time" else field.get("type", "anything")
    if kind == "array":
        kind = f"list of {_type(field['items'])}"
    below = field.get("additionalProperties")
    if isinstance(below, dict):
        kind = f"map to {_type(below)}"
    return ", ".join([kind, *_bounds(field)])


def _bounds(field: Json) -> Iterator[str]:
    for least, most, unit in BOUNDS:
        match (field.get(least), field.get(most)):
            case (None, None):
                continue
            case (None, top):
                yield f"at most {top}{unit}"
            case (bottom, None):
                yield f"at least {bottom}{unit}"
            case (bottom, top):
                yield f"{bottom} to {top}{unit}"
    if "maxProperties" in field:
        yield f"at most {field['maxProperties']} of them"
    if "pattern" in field:
        yield f"`{field['pattern']}`"


def _rules(schema: Json) -> list[str]:
    """Return what the API server checks besides, in the words with which it refuses."""
    found = [(rule.get("fieldPath", ""), rule["message"]) for rule in schema.get("x-kubernetes-validations", ())]
    return [f"Rule{f' for `{path}`' if path else ''}: {message}." for path, message in found]


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")


def _conditions_page(kinds: dict[str, Json]) -> str:
    users: dict[str, set[str]] = {}
    for path in sorted(STATES.glob("*.yaml")):
        body = yaml.safe_load(path.read_text())
        for one in body.get("status", {}).get("conditions", ()):
            users.setdefault(one["type"], set()).add(body["kind"])
    rows = "".join(
        f"| {kind} | {MEANING[kind]} | {', '.join(name for name in kinds if name in users.get(kind, ()))} | {_reasons_of(kind)} |\n"
        for kind in ConditionType
    )
    return (
        f"# Conditions\n\n{MADE}\nA condition is `True`, `False`, or `Unknown` while nobody can say yet.\n"
        "A kind has those whose row names it.\n\n"
        "| condition | while it is true | kinds | reasons that stand first there |\n|---|---|---|---|\n" + rows
    )


def _reasons_of(kind: ConditionType) -> str:
    found = [reason for reason in Reason if GUIDANCE[reason].condition == kind]
    return ", ".join(f"[{reason}](../reasons.md#{reason.lower()})" for reason in found)


def _metrics_page() -> str:
    rows = "".join(_metric_row(*one) for one in sorted(_metrics()))
    return (
        f"# Metrics\n\n{MADE}\n"
        "`:8080/metrics` of every replica; those about resources are told by the one that leads. `process_*` and `python_*` are those of\n"
        "Prometheus' client for Python. Alert rules are in [deploy/monitoring](../../deploy/monitoring/backup-rules.yaml), each with\n"
        "[a page](../runbooks/).\n\n| metric | type | labels | what |\n|---|---|---|---|\n" + rows
    )


def _metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield name, type, labels and help of each metric of ours."""
    metrics = Metrics()
    for collector in metrics.registry._collector_to_names:  # noqa: SLF001 - nothing else names the labels of what was never counted
        if isinstance(collector, MetricWrapperBase):
            (family,) = collector.describe()
            yield family.name, family.type, tuple(collector._labelnames), family.documentation  # noqa: SLF001 - as above
    for family in _sampled(metrics):
        yield family.name, family.type, tuple(family._labelnames), family.documentation  # type: ignore[attr-defined]  # noqa: SLF001 - as above


def _sampled(metrics: Metrics) -> Iterable[Metric]:
    """Return what the operator would tell of an empty cluster."""
    lease: Any = Lease(None, name="l", namespace="n", identity="i")  # type: ignore[arg-type]  # nothing is asked of it
    world: World = World()
    return (*sample(world, Queue()), *Bookkeeper(metrics).sample(), *process_metrics(lease, Health()))


def _metric_row(name: str, kind: str, labels: tuple[str, ...], text: str) -> str:
    exposed = {"counter": f"{name}_total", "info": f"{name}_info", "histogram": f"{name}_bucket` `_sum` `_count"}
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{exposed.get(kind, name)}` | {kind} | {named} | {_cell(text)} |\n"


def _exits_page() -> str:
    commands = "".join(f"| {code.value} | {EXITS[code]} | {_ending_in(code)} |\n" for code in Exit)
    codes: dict[ExitCode, str] = runpy.run_path(str(ROOT / "docs" / "make_reasons.py"))["CODES"]
    jobs = "".join(f"| {code.value} | {codes[code]} |\n" for code in ExitCode)
    return (
        f"# Exit codes\n\n{MADE}\n## Commands\n`dbcustody` and `kubectl dbcustody`. Stable: scripts may rely on them.\n\n"
        f"| code | meaning | reasons |\n|---|---|---|\n{commands}\n"
        "## Jobs\nHow `dbcustody job` ends in a pod; [every reason](../reasons.md) says with which. Kubernetes repeats 20 alone.\n\n"
        f"| code | meaning |\n|---|---|\n{jobs}"
    )


def _ending_in(code: Exit) -> str:
    """Return the reasons that end a command with *code*; of good ends and plain failures there are too many to name."""
    if code is Exit.ERROR:
        return "every other one that is no good end"
    if code is Exit.DONE:
        return "every good end"
    return ", ".join(f"[{reason}](../reasons.md#{reason.lower()})" for reason in Reason if exit_of(reason) is code)


def _environment_page() -> str:
    rows = "".join(f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in VARIABLES.items())
    return (
        f"# Variables\n\n{MADE}\nOf the commands that people type; [README](../../README.md#without-a-cluster) shows the usual ones.\n"
        "In parentheses: what holds without it. Every mistake is reported at once, before anything is touched.\n\n"
        "| variable | meaning |\n|---|---|\n" + rows
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for file, content in made.items():
        (FOLDER / file).write_text(content)
