"""Rules judge whatever the lexer lets pass: what is no SQL is the server's to refuse, and never a reason to fall over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.migration.history import compare
from dbcustody.migration.lint import judge, relations_of
from dbcustody.migration.planned import Policy, Prospect, held_locks, make_plan
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.statement import cut
from tests.migration.test_rules import BLOCKING, HABITS, LOSING

STATEMENTS = [text for text, *_ in (*BLOCKING, *LOSING, *HABITS)]
WORDS = sorted(
    {token for text in STATEMENTS for token in text.replace("(", " ( ").replace(")", " ) ").split()}
    | {",", ".", '"Q"', "'l'"}
)


def plan(text: str) -> None:
    """Judge *text* in whichever way there is."""
    source = read_scripts([SourceFile(name="20260101_000000_x.sql", content=text.encode())])
    for facts in ({}, dict.fromkeys(relations_of(source.scripts))):
        for one in make_plan(
            judge(source.scripts, facts), Prospect.forth(compare(source.scripts, ())), Policy()
        ).judged:
            held_locks(one)
            _ = [str(finding) + str(finding.recipe) for finding in one.findings]


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_may_end_anywhere(text: str) -> None:
    """Each front of each statement is judged."""
    (statement,) = cut(text).statements
    for token in statement.tokens:
        plan(text[: token.end])


@given(st.sampled_from(STATEMENTS), st.lists(st.sampled_from(WORDS), max_size=12))
def test_any_words_may_follow(front: str, words: list[str]) -> None:
    """In any order, behind what begins as a statement that the rules know."""
    begins = front.split()
    plan(" ".join([*begins[:3], *words]))
    plan(" ".join([front, *words]))
