"""How two schemas differ, as SQL that makes the first like the second; nothing of it is run but in throw-away databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.modelling import Steps, empty_model, make_tables, read_model, steps_between
from dbcustody.jobs.migration import MigrationOrder
from dbcustody.jobs.workshop import Bench, open_workshop, replay, traits_of

if TYPE_CHECKING:
    from dbcustody.jobs.workshop import Workshop


class Kind(StrEnum):
    """What a side of a comparison is."""

    EMPTY = "Empty"
    DATABASE = "Database"
    MODELS = "Models"
    MIGRATIONS = "Migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two that are compared."""

    kind: Kind
    target: PostgresTarget | None = None
    """Of a database."""
    model: Any = None
    """SQLAlchemy's MetaData, of models."""
    order: Callable[[PostgresTarget], MigrationOrder] | None = None
    """Of migrations: what is to be replayed in a database that is given."""


def compare_sides(bench: Bench, first: Side, second: Side, *, target: PostgresTarget | None) -> Steps:
    """Return what makes *first* like *second*; the databases among them are read only.

    A throw-away server, where one is needed, is like that of the database among them, else like that of *target* (None: any).
    Raises as `open_workshop`, `replay` and the adapters do.
    """
    if first.kind is Kind.DATABASE and second.kind is not Kind.MIGRATIONS:
        return _steps(first.target, second, None)
    database = first.target or second.target or target
    traits = traits_of(database)
    with open_workshop(bench, traits, user="postgres" if database is None else database.user) as shop:
        return _steps(first.target or _build(shop, first), second, shop)


def _steps(database: PostgresTarget | None, second: Side, shop: Workshop | None) -> Steps:
    assert database is not None  # noqa: S101 - a side that is none has been built
    model = _model_of(second, shop)
    with connect(database) as session:
        return steps_between(session, model, is_whole=second.kind is not Kind.MODELS)


def _model_of(side: Side, shop: Workshop | None) -> Any:
    if side.kind is Kind.MODELS:
        return side.model
    if side.kind is Kind.EMPTY:
        return empty_model()
    database = side.target
    if database is None:
        assert shop is not None  # noqa: S101 - migrations are replayed somewhere
        database = _build(shop, side)
    with connect(database) as session:
        return read_model(session)


def _build(shop: Workshop, side: Side) -> PostgresTarget:
    """Return a throw-away database that has what *side* says."""
    database = shop.new_database()
    if side.kind is Kind.MODELS:
        with connect(database) as session:
            make_tables(session, side.model)
    elif side.order is not None:
        order = side.order(database)
        replay(shop, order, database, order.scripts)
    return database
