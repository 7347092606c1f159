"""What a revision finds when it is called: Alembic's operations and context, as far as they make sense, for one revision at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import alembic.context
import pytest
from alembic import op

from dbcustody.adapters.postgres.literal_dialect import LiteralDialect
from dbcustody.adapters.postgres.revision_environment import RevisionContext, called, find_metadata, words_of
from dbcustody.adapters.postgres.revision_preview import render, rendered
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.migration.revision_file import read_revision

if TYPE_CHECKING:
    from dbcustody.migration.body import Body


def body_of(up: str) -> Body:
    """Return a file whose upgrade is *up*."""
    text = f"from alembic import context, op\nimport dataclasses\n\ndef upgrade():\n    {up}\n"
    found = read_revision("a.py", text.encode()).up
    assert found is not None
    return found


def context_of() -> RevisionContext:
    """Return a context without a database."""
    return RevisionContext(LiteralDialect(), None, as_sql=True)


def test_it_is_asked_what_it_can_answer() -> None:
    """Whether it is offline, which database that would be; no x-arguments, an empty configuration, and no version of anybody's."""
    body = body_of(
        "assert context.is_offline_mode() and context.get_bind().dialect.name == 'postgresql'\n"
        "    assert context.get_x_argument(as_dictionary=True) == {} and context.get_context() is op.get_context()\n"
        "    assert context.config.get_main_option('sqlalchemy.url') is None\n"
        "    op.execute('select ' + __file__[0])"
    )
    assert render(body).text.strip() == "select a;"


@pytest.mark.parametrize("name", ["configure", "run_migrations", "begin_transaction"])
def test_what_is_for_an_env_py_is_refused(name: str) -> None:
    """In words that say what a revision uses."""
    assert "what is for an env.py; a revision uses `op`" in render(body_of(f"context.{name}()")).why_not


def test_x15_two_at_once_are_refused() -> None:
    """Alembic would send the statements of one to the database of the other (X15)."""
    with called(body_of("pass"), context_of()) as function:
        with pytest.raises(RuntimeError, match="two revisions at once"), called(body_of("pass"), context_of()):
            pass
        function()
    with called(body_of("pass"), context_of()) as function:
        function()


def test_afterwards_nothing_is_left() -> None:
    """Neither of Alembic's proxies stays, nor the module, also after a failure."""
    with pytest.raises(KeyError), called(body_of("raise KeyError"), context_of()) as function:
        function()
    assert render(body_of("pass")).why_not == ""
    with pytest.raises((AttributeError, NameError)):
        op.get_context()
    with pytest.raises((AttributeError, NameError)):
        alembic.context.is_offline_mode()


def test_a_class_of_its_own_knows_its_module() -> None:
    """As models that revisions define need it."""
    body = body_of("@dataclasses.dataclass\n    class One:\n        x: 'int' = 1\n    op.execute(f'select {One().x}')")
    assert render(body).text.strip() == "select 1;"


def test_what_is_rendered_and_cannot_be_read_is_told() -> None:
    """Nothing of it counts as a statement then."""
    seen = rendered(body_of('op.execute("select \'open")'))
    assert (seen.statements, seen.unseen.startswith("what it renders cannot be read: ")) == ((), True)


def test_metadata_is_found_by_its_name_or_told() -> None:
    """A module, and the way to the object in it."""
    assert find_metadata(None) is None
    assert find_metadata("sqlalchemy:MetaData.create_all") is not None
    for name in ("nowhere:Base", "sqlalchemy:nothing", "sqlalchemy", ":x"):
        with pytest.raises(InvalidSpecError, match=r"package\.module:Base\.metadata"):
            find_metadata(name)


def test_a_module_that_is_missing_is_named_and_no_value_told() -> None:
    """Other errors by their kind alone."""
    assert "there is no module left" in words_of(ModuleNotFoundError("x", name="left"))
    assert words_of(ValueError("secret")) == "ValueError was raised"
    with pytest.raises(RefusedError), RevisionContext(LiteralDialect(), None, as_sql=False).autocommit_block():
        pass
