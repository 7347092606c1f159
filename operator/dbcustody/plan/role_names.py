"""Where roles are named in the SQL of an archive: so that others can take their place, and rights that only others could give are found.

pg_dump writes rights, policies and user mappings as a few plain statements; they are read word by word, with names as SQL quotes them. What
stands in strings, or in the bodies of functions, is nobody's business here and is left as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dbcustody.repository.contents import Contents, Entry

NAMING: Final = frozenset({"ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"})
"""Kinds of entries whose SQL names roles."""
_TOKEN: Final = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*")|(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')"""
    r"""|(?P<body>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|(?P<comment>--[^\n]*)|(?P<word>[^\W\d][\w$]*)|(?P<sign>\S)""",
    re.DOTALL,
)
_MARKS: Final = {
    ("GRANT",): ("TO",),
    ("REVOKE",): ("FROM",),
    ("SET", "SESSION", "AUTHORIZATION"): ("AUTHORIZATION",),
    ("ALTER", "DEFAULT", "PRIVILEGES"): ("ROLE", "TO", "FROM"),
    ("CREATE", "POLICY"): ("TO",),
    ("CREATE", "USER", "MAPPING"): ("FOR",),
}
"""By the words that a statement begins with: behind which words, outside of parentheses, roles are named."""
_ENDS: Final = frozenset({"USING", "WITH"})
"""Behind these words no role is named any more."""
_PUBLIC: Final = "PUBLIC"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.upper() == word

    @property
    def name(self) -> str | None:
        """The name that it is, or None."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "word" and self.text.upper() != _PUBLIC else None


def words_of(sql: str) -> tuple[str, ...]:
    """Return the words of *sql* that are no names in quotes, no strings and no comments, in upper case."""
    return tuple(word.upper() for word in written_words(sql))


def written_words(sql: str) -> tuple[str, ...]:
    """Return the same words as they are written: PostgreSQL writes its own in upper case, and names without quotes in lower case."""
    return tuple(token.text for token in _tokens(sql) if token.kind == "word")


def roles_of(entry: Entry) -> frozenset[str]:
    """Return the roles that *entry* names: its owner, and those in its SQL."""
    named = (name for _, name in _named(entry.definition or "")) if entry.kind in NAMING else ()
    return frozenset({*named, *([entry.owner] if entry.owner else ())})


def renamed(contents: Contents, names: Mapping[str, str]) -> Contents:
    """Return *contents* with the roles *names* in the place of those that they are told by."""
    return contents.having(_rename(entry, names) for entry in contents.entries)


def gives(entry: Entry, right: str, role: str) -> bool:
    """Return whether the rights of *entry* give *role* that *right*, by name or with all others."""
    for statement in _statements(entry.definition or ""):
        words = {token.text.upper() for token in statement if token.kind == "word"}
        if (
            _begins(statement, ("GRANT",))
            and words & {right, "ALL"}
            and any(name == role for _, name in _roles_in(statement))
        ):
            return True
    return False


def given_by_others(entry: Entry) -> bool:
    """Return whether some of the rights of *entry* were passed on by another role than the owner."""
    return entry.kind == "ACL" and any(_begins(one, ("SET", "SESSION")) for one in _statements(entry.definition or ""))


def given_by_owner(entry: Entry) -> Entry:
    """Return *entry* with those rights alone that the owner gave."""
    if not given_by_others(entry):
        return entry
    kept, is_other = [], False
    definition = entry.definition or ""
    for statement in _statements(definition):
        is_other = _begins(statement, ("SET", "SESSION")) or (is_other and not _begins(statement, ("RESET",)))
        if not is_other and not _begins(statement, ("RESET",)):
            kept.append(definition[statement[0].start : statement[-1].end])
    return replace(entry, definition="".join(f"{one}\n" for one in kept))


def _rename(entry: Entry, names: Mapping[str, str]) -> Entry:
    owner = names.get(entry.owner or "", entry.owner)
    if entry.kind not in NAMING or entry.definition is None:
        return entry if owner == entry.owner else replace(entry, owner=owner)
    parts, at = [], 0
    for token, name in _named(entry.definition):
        if name in names:
            parts += [entry.definition[at : token.start], '"' + names[name].replace('"', '""') + '"']
            at = token.end
    return replace(entry, owner=owner, definition="".join([*parts, entry.definition[at:]]))


def _named(sql: str) -> Iterator[tuple[_Token, str]]:
    """Yield where *sql* names a role, and the role."""
    for statement in _statements(sql):
        yield from _roles_in(statement)


def _roles_in(statement: Sequence[_Token]) -> Iterator[tuple[_Token, str]]:
    marks = next((found for begin, found in _MARKS.items() if _begins(statement, begin)), ())
    depth, is_list, is_due = 0, False, False
    for token in statement:
        depth += (token.text == "(") - (token.text == ")")
        if token.kind == "word" and token.text.upper() in _ENDS and depth == 0:
            break
        if is_due and token.name is not None:
            yield token, token.name
        is_mark = depth == 0 and any(token.is_word(mark) for mark in marks)
        is_list = is_mark or (is_list and (is_due or token.text == ","))
        is_due = is_mark or (is_list and token.text == ",")


def _begins(statement: Sequence[_Token], words: Sequence[str]) -> bool:
    return len(statement) >= len(words) and all(
        token.is_word(word) for token, word in zip(statement, words, strict=False)
    )


def _statements(sql: str) -> Iterator[list[_Token]]:
    statement: list[_Token] = []
    for token in _tokens(sql):
        statement.append(token)
        if token.text == ";":
            yield statement
            statement = []
    if statement:
        yield statement


def _tokens(sql: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(sql):
        if match.lastgroup is not None and match.lastgroup != "comment":
            yield _Token(match.lastgroup, match[0], match.start(), match.end())
