"""The house keeps its order: where things stand, how big they are, what they are called, and what the operator may do."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FLOORS = ("adapters", "api", "cli", "handlers", "jobs", "migration", "plan", "repository")
SOURCES = ("operator", "e2e", "bench", "charts", "docs", "tests")
PYTHON = sorted(path for root in SOURCES for path in (ROOT / root).rglob("*.py"))
PATHS = (
    ".ci/run", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile", "README.md", "pyproject.toml",
    "charts/dbcustody/Chart.yaml", "charts/python/chartmaking/values.py",
    "crds/backups.yaml", "deploy/install.yaml", "deploy/operator.yaml", "deploy/rights.yaml",
    "docs/decisions", "docs/reasons.md", "e2e/ground", "examples",
    "requirements/dev.txt", "requirements/runtime.txt", "tests/test_house.py",
    *(f"operator/dbcustody/{name}.py" for name in (
        "__main__", "codec", "contract", "errors", "logs", "metrics", "naming", "reason", "settings",
    )),
    *(f"operator/dbcustody/{floor}/__init__.py" for floor in FLOORS),
    *(f"operator/dbcustody/api/{noun}.py" for noun in ("backup", "database", "policy", "storage")),
    *(f"operator/dbcustody/plan/{noun}.py" for noun in ("backup", "database", "policy", "storage")),
    *(f"operator/dbcustody/handlers/{noun}.py" for noun in ("backup", "database", "policy", "storage")),
)  # fmt: skip
EMPTY_WORDS = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"})
MOST_LINES = 400
LONGEST_FUNCTION = 50
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("files", "pythonhosted"), ("proxy", "golang"), ("sum", "golang"), ("npmjs", "org"), ("ghcr", "io"),
        ("quay", "io"), ("gcr", "io"), ("registry", "k8s"), ("registry-1", "docker"), ("deb", "debian"), ("crates", "io"),
        ("mcr", "microsoft"), ("public", "ecr"),
    )
)  # fmt: skip
"""Written in pieces, so that this file does not hold what it looks for."""


def committed() -> list[Path]:
    """Return every file that is or will be committed, but for test vectors (random bytes may say anything)."""
    words = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [ROOT / name for name in names if name and "/vectors/" not in name]
    return [path for path in paths if path.is_file()]


def functions(*roots: str) -> list[tuple[int, str]]:
    """Return length in lines and place of every function below *roots*."""
    found = []
    for path in (path for path in PYTHON if path.relative_to(ROOT).parts[0] in roots):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append((length, f"{path.relative_to(ROOT)}:{node.name}"))
    return sorted(found)


def words_of(name: str) -> set[str]:
    """Return the words of a snake_case or PascalCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


@pytest.mark.parametrize("path", PATHS)
def test_everything_has_its_place(path: str) -> None:
    """What the architecture names is there."""
    assert (ROOT / path).exists()


def test_the_source_root_is_no_package() -> None:
    """`operator` is a folder of ours and a module of Python; ours must never be imported in its place."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import operator, sys; sys.exit(operator.itemgetter(0)([7]) != 7 or 'dbcustody' in dir(operator))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_tests_mirror_the_floors() -> None:
    """Each floor has its tests in a folder of the same name, and beside them stand only alerts, the chart, GitOps and the test ground."""
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    nested = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/*/test_*.py")}
    assert folders | nested == {*FLOORS, "alerts", "chart", "gitops", "ground"}


def test_files_are_small() -> None:
    """Nobody has to scroll for long."""
    assert [str(path.relative_to(ROOT)) for path in PYTHON if len(path.read_text().splitlines()) > MOST_LINES] == []


@pytest.mark.parametrize("root", ["operator", "e2e", "bench", "charts", "tests"])
def test_functions_are_small(root: str) -> None:
    """Half of them take 8 lines at most, nine of ten 30, none more than 50."""
    found = functions(root)
    lengths = [length for length, _ in found]
    assert statistics.median(lengths) <= 8
    assert lengths[int(len(lengths) * 0.9)] <= 30
    assert [place for length, place in found if length > LONGEST_FUNCTION] == []


def test_names_say_something() -> None:
    """A module or function called after nothing in particular becomes the place for everything."""
    modules = [str(path.relative_to(ROOT)) for path in PYTHON if words_of(path.stem) & EMPTY_WORDS]
    named = [place for _, place in functions(*SOURCES) if words_of(place.rpartition(":")[2]) & EMPTY_WORDS]
    classes = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and words_of(node.name) & EMPTY_WORDS
    ]
    assert (modules, named, classes) == ([], [], [])


def test_no_address_of_a_registry_or_a_machine_is_written_down() -> None:
    """Mirrors are the machine's own business; a path of one machine is wrong on the next."""
    machine = re.compile(r"(?<![\w./~-])/(?:root|work|home)/[a-z]")
    found = []
    for path in committed():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRIES if host in text]
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in machine.finditer(text)]
    assert found == []


def test_ci_runs_what_the_readme_promises() -> None:
    """A change is judged by the commands that a person would type."""
    script, readme, makefile = ((ROOT / name).read_text() for name in (".ci/run", "README.md", "Makefile"))
    (line,) = re.findall(r"^make (.*)$", script, re.MULTILINE)
    commands = line.split()
    assert commands == ["check", "test"]
    assert [command for command in commands if f"make {command}" not in readme] == []
    targets = re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE)
    wanted = {
        "check", "test", "test-fast", "test-slow", "demo", "bench", "image", "cluster-up", "cluster-down", "clean",
    }  # fmt: skip
    assert wanted <= set(targets)


def test_pure_tests_are_run_by_make_check() -> None:
    """What `make check` calls exists, and every test beside the floors that needs no server is among it."""
    (line,) = re.findall(r"^PURE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = line.split()
    assert [path for path in named if not (ROOT / path).exists()] == []
    marked = re.compile(r"pytest\.mark\.(?:postgres|s3|cluster|slow)")
    pure = {f"tests/{path.name}" for path in (ROOT / "tests").glob("test_*.py") if not marked.search(path.read_text())}
    pure.discard("tests/test_house.py")  # it names the marks itself
    floors = {"tests/api", "tests/gitops", "tests/migration", "tests/plan", "tests/repository"}
    assert floors | {"tests/test_house.py"} | pure <= set(named)


OURS = ("databases", "backupstorages", "backuppolicies", "backups")
ASKED = ("restorerequests", "approvals", "databasemigrations")
RIGHTS = {
    **{("dbcustody.dev", plural): {"get", "list", "watch", "create", "patch", "delete"} for plural in OURS},
    **{("dbcustody.dev", plural): {"get", "list", "watch"} for plural in ASKED},
    ("dbcustody.dev", "restorerequests"): {"get", "list", "watch", "patch"},
    **{("dbcustody.dev", f"{plural}/status"): {"patch"} for plural in (*OURS, *ASKED)},
    **{
        ("dbcustody.dev", f"{plural}/finalizers"): {"update"}
        for plural in (*OURS, "restorerequests", "databasemigrations")
    },
    ("batch", "jobs"): {"get", "list", "watch", "create", "patch", "delete"},
    ("batch", "cronjobs"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"list", "watch", "create", "patch"},
    ("", "configmaps"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "namespaces"): {"get"},
    ("", "persistentvolumeclaims"): {"get"},
    ("coordination.k8s.io", "leases"): {"create", "get", "update"},
    **{("apps", f"{plural}/scale"): {"get", "patch"} for plural in ("deployments", "statefulsets")},
}
"""Section 1 of the architecture; there is no Secret among them, and scaling is a role of its own that nothing is bound to."""


def documents() -> list[Any]:
    """Return the objects of deploy/rights.yaml."""
    return list(yaml.safe_load_all((ROOT / "deploy" / "rights.yaml").read_text()))


def granted() -> dict[tuple[str, str], set[str]]:
    """Return every verb that deploy/rights.yaml gives, by group and resource."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in (rule for document in documents() for rule in document.get("rules", ())):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def test_the_operator_has_the_documented_rights_and_no_other() -> None:
    """Least privilege, written down twice: nothing on Secrets, nothing with a star."""
    assert granted() == RIGHTS
    bound = [one["roleRef"]["name"] for one in documents() if one["kind"].endswith("Binding")]
    assert set(bound) == {"dbcustody-operator"}
    (scaler,) = (one for one in documents() if any("apps" in rule["apiGroups"] for rule in one.get("rules", ())))
    assert scaler["metadata"]["name"] == "dbcustody-scaler"


def test_rights_are_those_that_the_code_can_use() -> None:
    """Every verb that is granted is one that the connection to the API server has, or the watching of Kopf."""
    text = (ROOT / "operator" / "dbcustody" / "adapters" / "kube.py").read_text()
    spoken = set(re.findall(r'self\._(?:maybe|write|ask)\(\s*"([a-z]+)"', text))
    assert {"get", "list", "create", "update", "patch", "delete"} <= spoken
    assert {verb for verbs in granted().values() for verb in verbs} <= spoken | {"watch"}
    resources = set(re.findall(r'Resource\("[^"]+", "([a-z]+)"\)', text))
    assert resources <= {resource for _, resource in granted()}
