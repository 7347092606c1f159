"""The documents lead somewhere: every link to a file and a heading that are there, every command to a test that types it."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.cli.kubectl.main import kubectl_command
from dbcustody.cli.main import dbcustody_command
from dbcustody.codec import wire_name
from dbcustody.repository import catalogue, fact, manifest
from scene import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "charts" / "dbcustody" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
TYPISTS = ("e2e/test_quick_start.py", "e2e/test_drill.py", "tests/cli/test_readme.py", "tests/cli/test_drill.py")
"""The tests that type what a document shows."""
STORED = [
    kind for module in (manifest, catalogue, fact) for kind in vars(module).values()
    if is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == module.__name__
]  # fmt: skip
"""Every document that lies in a storage, and what it is made of."""
COMMAND = re.compile(r"(?<![\w-])(?P<plugin>kubectl )?dbcustody (?P<words>(?:[^`\n#|]|\\\|)+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")


def prose(page: Path) -> str:
    """Return the text of *page* without what is code."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the names by which the headings of *page* are reached, as GitHub makes them."""
    headings = re.findall(r"^#{1,6} (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """A link to another page, to a file of the repository, or to a heading."""
    broken = []
    for link in LINK.findall(prose(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        is_there = target.exists() and (not anchor or anchor in anchors(target))
        broken += [] if is_there else [link]
    assert broken == []


def test_commands_are_read_as_a_person_reads_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What goes on behind a backslash or a heredoc is one command; comments, and what stands below a prompt, are none."""
    text = (
        "## First\n```console\n# a remark\none \\\n  two     # said beside it\ncat <<'EOF'\n$ three\nEOF\n```\n"
        "```sh\nnot this\n```\n## Second\n```console\n$ four\nprinted\n$ five\n```\n"
    )
    (tmp_path / "page.md").write_text(text.replace("$ three", "three"))
    monkeypatch.setattr(document, "REPOSITORY", tmp_path)
    assert [(one.heading, one.text) for one in document.commands("page.md")] == [
        ("First", "one \\\n  two     # said beside it"),
        ("First", "cat <<'EOF'\nthree\nEOF"),
        ("Second", "four"),
        ("Second", "five"),
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md", "docs/disaster-drill.md"])
def test_every_command_is_typed_by_a_test(page: str) -> None:
    """A command below a heading that no test goes through, or one that is excepted and is not there any more, fails here."""
    typed = {}
    for path in TYPISTS:
        text = (ROOT / path).read_text()
        (own,) = re.findall(r'^PAGE: Final = ("[^"]+")$', text, re.MULTILINE) or ("",)
        for name, _, heading in re.findall(r'to_type\(("[^"]+"|PAGE)(, "([^"]+)")?\)', text):
            typed[(own if name == "PAGE" else name).strip('"'), heading or None] = path
    by_nobody = [
        one.text
        for one in document.commands(page)
        if document.why_not(one) is None and not typed.keys() & {(page, None), (page, one.heading)}
    ]
    assert document.commands(page)
    assert by_nobody == []
    texts = [one.text for one in document.commands(page)]
    stale = [start for name, start in document.NOT_TYPED if name == page and not any(map(_begins(start), texts))]
    assert stale == []


def witnesses(*folders: str) -> dict[str, set[str]]:
    """Return the names of all tests below *folders*, with the files in which each stands."""
    found: dict[str, set[str]] = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("test_*.py")):
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("page", ["docs/faults.md", "docs/not-verified.md"])
def test_the_tests_that_are_named_are_there(page: str) -> None:
    """A test that shows something, and was given another name or file, is found out by the page that calls it as a witness."""
    text, known = (ROOT / page).read_text(), witnesses("tests", "e2e")
    named = set(re.findall(r"((?:tests|e2e)/[\w/]+\.py)?(?:::|\b)(test_\w+)\b(?!…|\.py|/)", text))
    files = set(re.findall(r"\b(?:tests|e2e)/[\w/]+\.py", text))
    assert files
    assert [(file, name) for file, name in sorted(named) if not known.get(name) or file not in {"", *known[name]}] == []
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []


def spoken_to(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each command of ours that *text* shows, with the options that it is given there and does not take."""
    for match in COMMAND.finditer(text):
        root = kubectl_command if match["plugin"] or match["words"].startswith("uninstall") else dbcustody_command
        command: click.Command = root
        for word in match["words"].split():
            below = getattr(command, "commands", {}).get(word.strip(".,:;()[]"))
            if below is None:
                break
            command = below
        if command is not root:
            takes = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            yield match[0], set(OPTION.findall(match["words"])) - takes - {"--help"}


@EVERY_PAGE
def test_options_that_are_shown_exist(page: Path) -> None:
    """Of `dbcustody` and of the plugin, wherever a page gives one to a command."""
    assert [(said, sorted(wrong)) for said, wrong in spoken_to(page.read_text()) if wrong] == []


@pytest.mark.parametrize("document", STORED, ids=lambda kind: str(kind.__name__))
def test_every_field_that_is_stored_is_told(document: type) -> None:
    """Whoever reads a storage without dbcustody has nothing but the page."""
    page = (ROOT / "docs" / "repository-format.md").read_text()
    names = [wire_name(field.name) for field in fields(document)]
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []


def test_how_long_a_restore_takes_is_what_was_measured() -> None:
    """Both figures: the one that a restore is judged by, and the one that a person waits for."""
    told = (ROOT / "docs" / "restore.md").read_text().partition("## How long it takes\n")[2].partition("\n## ")[0]
    measured = json.loads((ROOT / "bench" / "results" / "restore.json").read_text())["figures"]
    medians = [one["median"] for one in measured if one["unit"] == "ratio"]
    assert re.findall(r"\*\*(\d\.\d)\*\* times as fast", told) == [f"{median:.1f}" for median in medians]


def test_examples_are_told_apart_by_their_numbers() -> None:
    """Whoever applies them in their order meets no number twice."""
    numbers = [path.name.partition("-")[0] for path in (ROOT / "examples").iterdir()]
    assert sorted(number for number in numbers if numbers.count(number) > 1) == []


def _begins(start: str) -> Callable[[str], bool]:
    return lambda text: f"{text} ".startswith(f"{start} ")
