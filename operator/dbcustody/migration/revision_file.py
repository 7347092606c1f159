"""An Alembic revision, read from its Python file without being run: what it is called, what it follows, and whether it can be undone.

Nothing of it is imported: to look at a source must not run anybody's code. What must be known is therefore said by literals, as
Alembic's own templates say it (https://alembic.sqlalchemy.org/en/latest/tutorial.html#create-a-migration-script).
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.migration.body import Body
from dbcustody.migration.directive import LONGEST_REVISION, Directives, read_head
from dbcustody.migration.fault import MOST_FAULTS, Fault, Place
from dbcustody.migration.reading import checksum, read_text
from dbcustody.migration.revision_function import FORTH, Commits, commits_of, has_way_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BACK: Final = "downgrade"
_NAMES: Final = ("revision", "down_revision", "depends_on", "branch_labels")
_COMMENT: Final = re.compile(r"#\s*(?P<said>dbcustody\s*:.*)", re.IGNORECASE)
_FOREIGN_WORDS: Final = ("revision", "down_revisions", "transaction", "idempotent")
_ILLEGAL: Final = re.compile(r"[@+\-\s]")
"""Alembic reads such characters in a revision as relative steps and ranges (`alembic.script.revision`)."""
_LITERAL: Final = "write it as a literal: what a file follows is read without running it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a revision says of its place; *revision* is None, and *downs* are, where it says nothing."""

    revision: str | None = None
    downs: tuple[str, ...] | None = None
    """The revisions that it follows in its branch; empty for a first one."""
    depends: tuple[str, ...] = ()
    """What must be in as well: revisions, or labels of branches."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRevision:
    """A revision and its faults; *up* is None where the file cannot be understood, *down* where there is no way back."""

    up: Body | None
    down: Body | None
    said: Said
    faults: tuple[Fault, ...]


def read_revision(file: str, content: bytes) -> ReadRevision:
    """Return what the Python *file* of *content* says, and everything that is wrong with it."""
    text = read_text(content)
    if isinstance(text, Fault):
        return ReadRevision(up=None, down=None, said=Said(), faults=(replace(text, file=file),))
    try:
        tree = ast.parse(text)
        directives, misread = _directives(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        return ReadRevision(up=None, down=None, said=Said(), faults=(replace(_unreadable(error), file=file),))
    values, faults = _constants(tree)
    said = Said(
        revision=next(iter(values.get("revision") or ()), None),
        downs=values.get("down_revision"),
        depends=values.get("depends_on") or (),
        labels=values.get("branch_labels") or (),
    )
    found = [*faults, *_faults_of(said), *misread, *_function_faults(tree)]
    whole = Body(
        file=file, text=text, checksum=checksum(text), statements=(), directives=directives, is_transactional=True
    )
    up = _body(whole, FORTH, tree)
    back = _body(replace(whole, directives=Directives(budget_seconds=directives.budget_seconds)), BACK, tree)
    down = back if has_way_back(tree, BACK) else None
    return ReadRevision(
        up=up, down=down, said=said, faults=tuple(replace(fault, file=file) for fault in found[:MOST_FAULTS])
    )


def _body(whole: Body, function: str, tree: ast.Module) -> Body:
    """Return *whole* as what its *function* does."""
    commits = commits_of(tree, function)
    return replace(
        whole,
        function=function,
        is_transactional=commits in {Commits.NEVER, Commits.ABSENT},
        is_mixed=commits is Commits.BETWEEN,
    )


def _unreadable(error: Exception) -> Fault:
    if isinstance(error, SyntaxError):
        place = Place(error.lineno, max(error.offset or 1, 1)) if error.lineno else None
        return Fault(what=f"is no Python: {error.msg}", helps="correct it; nothing of it was run", place=place)
    return Fault(what="is no Python that can be read", helps="correct it; nothing of it was run")


def _constants(tree: ast.Module) -> tuple[dict[str, tuple[str, ...] | None], list[Fault]]:
    """Return what the constants of the file say, each as the texts that it names, and what is wrong with them."""
    values: dict[str, tuple[str, ...] | None] = {}
    faults = []
    for name, value in _assignments(tree):
        try:
            values[name] = _texts(ast.literal_eval(value))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            place = Place(value.lineno, value.col_offset + 1)
            faults.append(Fault(what=f"{name} is no literal text", helps=_LITERAL, place=place))
            values[name] = () if name != "down_revision" else None
    return values, faults


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        for target in targets:
            if isinstance(target, ast.Name) and target.id in _NAMES and value is not None:
                yield target.id, value


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts that *value* (None, one text, or several) holds; raises TypeError for anything else."""
    found = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(found, tuple | list | set | frozenset) or not all(isinstance(one, str) and one for one in found):
        raise TypeError("no texts")
    return tuple(sorted(found) if isinstance(found, set | frozenset) else found)


def _faults_of(said: Said) -> Iterator[Fault]:
    named: Mapping[str, tuple[str, ...]] = {
        "revision": (said.revision,) if said.revision is not None else (),
        "down_revision": said.downs or (),
    }
    for name, revisions in named.items():
        for one in revisions:
            if len(one) > LONGEST_REVISION:
                what = f"{name} has {len(one)} characters, and Alembic keeps it in a VARCHAR({LONGEST_REVISION})"
                yield Fault(what=what, helps="shorten it, where it is named too; the name of the file may stay")
            elif _ILLEGAL.search(one):
                what = f"{name} holds a blank, '@', '+' or '-', which Alembic reads as a step"
                yield Fault(what=what, helps="use letters, digits and '_'")
    if said.revision is not None and said.revision in (*(said.downs or ()), *said.depends):
        what = f"comes after {said.revision}, which is itself"
        yield Fault(
            what=what, helps="two were perhaps made in one second, and one overwrote the other: bring that back"
        )


def _function_faults(tree: ast.Module) -> Iterator[Fault]:
    if commits_of(tree, FORTH) is Commits.ABSENT:
        yield Fault(what=f"has no function {FORTH}", helps="write one; it may be empty where it only joins branches")


def _directives(text: str) -> tuple[Directives, tuple[Fault, ...]]:
    """Return what comments such as `# dbcustody: allow RULE because ...` say; they are read as those of SQL are, line by line."""
    lines = [""] * (text.count("\n") + 1)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (match := _COMMENT.fullmatch(token.string)) is not None:
            lines[token.start[0] - 1] = " " * token.start[1] + f"-- {match['said']}"
    head = read_head("\n".join(lines), ())
    foreign = [name for name in _FOREIGN_WORDS if getattr(head.directives, name) is not None]
    faults = [
        Fault(
            what=f"the directive {name.replace('down_revisions', 'down-revision')} is for SQL",
            helps="a revision says it by its constants, and by autocommit_block()",
        )
        for name in foreign
    ]
    plain = replace(head.directives, revision=None, down_revisions=None, transaction=None, idempotent=None)
    return plain, (*head.faults, *faults)
