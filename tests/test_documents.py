"""The documents lead somewhere: every link to a file and a heading that are there, every command to a test that types it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scene import document

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "charts" / "dbcustody" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
TYPISTS = ("e2e/test_quick_start.py", "tests/cli/test_readme.py")
"""The tests that type what a document shows."""
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


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_every_command_is_typed_by_a_test(page: str) -> None:
    """A command below a heading that no test goes through, or one that is excepted and is not there any more, fails here."""
    typed = {}
    for path in TYPISTS:
        for name, _, heading in re.findall(r'to_type\("([^"]+)"(, "([^"]+)")?\)', (ROOT / path).read_text()):
            typed[name, heading or None] = path
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


def _begins(start: str) -> Callable[[str], bool]:
    return lambda text: f"{text} ".startswith(f"{start} ")
