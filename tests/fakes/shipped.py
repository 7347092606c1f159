"""A process that migrates by the history which a package ships: by us, or by the real `alembic`, in the same surroundings.

Both ways see the same stand-ins. A package's own `__init__` is left out, since it loads the whole application; and in Airflow's history, of
which some revisions rewrite rows through the application's models, those models and its web application are stand-ins that have no rows.
No table, column, constraint or index comes from them: an empty database has nothing to rewrite.
"""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import MagicMock

import sqlalchemy as sa
from alembic.config import main as alembic_main
from sqlalchemy import orm
from sqlalchemy.pool import NullPool

from dbcustody.jobs.alembic_adoption import adopt_alembic
from dbcustody.jobs.migration import look
from ground.shipped import VERSIONS, shipped
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbcustody.migration.history import History

METADATA: Final = {
    "mlflow": "mlflow.store.db.base_sql_model:Base.metadata",
    "airflow": "airflow.models.base:Base.metadata",
}
_WITHOUT_ROWS: Final = (
    "airflow.models.dagbag",
    "airflow.models.dagcode",
    "airflow.serialization.serialized_objects",
    "flask_appbuilder",
    "airflow.www",
    "airflow.www.app",
    "airflow.providers.fab",
    "airflow.providers.fab.auth_manager",
    "airflow.providers.fab.auth_manager.models",
    "airflow.models.trigger",
)
_ENV: Final = """
from alembic import context
from sqlalchemy import create_engine
from tests.fakes.shipped import metadata_of

options = context.config
with create_engine(options.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(
        connection=connection, transaction_per_migration=True, target_metadata=metadata_of(options.get_main_option("package"))
    )
    with context.begin_transaction():
        context.run_migrations()
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a database is."""

    host: str
    port: str
    password: str
    database: str

    @property
    def url(self) -> str:
        """Its address for SQLAlchemy."""
        return f"postgresql+psycopg2://postgres:{self.password}@{self.host}:{self.port}/{self.database}"


def prepare(package: str, server: Server) -> None:
    """Let the revisions of *package* find what they import; and its application its own database."""
    folder = shipped()
    sys.path.append(str(folder))
    module = types.ModuleType(package)
    module.__path__ = [str(folder / package)]
    module.__version__ = "0"
    sys.modules[package] = module
    {"mlflow": _prepare_mlflow, "airflow": _prepare_airflow}[package](server)


def metadata_of(package: str) -> Any:
    """Return the MetaData by which the application names its constraints."""
    module, _, path = METADATA[package].partition(":")
    return getattr(importlib.import_module(module), path.split(".")[0]).metadata


def _prepare_mlflow(server: Server) -> None:
    """Make the tables that MLflow makes before its first revision (`mlflow.store.db.utils._initialize_tables`)."""
    base = importlib.import_module("mlflow.store.tracking.dbmodels.initial_models").Base
    engine = sa.create_engine(server.url, poolclass=NullPool)
    if not sa.inspect(engine).has_table("alembic_version"):
        base.metadata.create_all(engine)


def _prepare_airflow(server: Server) -> None:
    for name in _WITHOUT_ROWS:
        sys.modules[name] = _Stand(name)
    sys.modules["flask_appbuilder"].SQLA = _WithoutRows
    importlib.import_module("airflow.models.base")
    settings = importlib.import_module("airflow.settings")
    settings.engine = sa.create_engine(server.url, poolclass=NullPool)
    settings.Session = orm.scoped_session(orm.sessionmaker(bind=settings.engine))
    sys.modules["airflow.models.trigger"].Trigger = _trigger()


class _Stand(types.ModuleType):
    """A module that has whatever is asked for, and nothing in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _WithoutRows:
    """A database of Flask-AppBuilder's, whose session finds no row."""

    session = property(lambda _: MagicMock(), lambda _, __: None)


def _trigger() -> type[Any]:
    """Return a model of the triggers, as far as one revision loads them."""
    base = orm.declarative_base()

    class TaskInstance(base):
        __tablename__ = "task_instance"
        trigger_id = sa.Column(sa.Integer, sa.ForeignKey("trigger.id"), primary_key=True)

    class Trigger(base):
        __tablename__ = "trigger"
        id = sa.Column(sa.Integer, primary_key=True)
        kwargs = sa.Column(sa.Text)
        task_instance = orm.relationship(TaskInstance)

    return Trigger


def migrator_of(package: str, server: Server, more: Path) -> Migrator:
    """Return who migrates by the revisions of *package*, and those in the folder *more*."""
    words = f"{server.host} {server.port} {server.password} {server.database}"
    folders = (shipped() / VERSIONS[package], more)
    paths = [path for folder in folders for path in folder.glob("*.py") if path.name != "__init__.py"]
    found = Migrator.reached(words, folder=more)
    found.target = replace(found.target, database=server.database)
    found.files = {path.name: path.read_text() for path in paths}
    found.is_alembic = True
    return found


def by_alembic(package: str, server: Server, more: Path) -> None:
    """Let Alembic's own command do it, with an env.py that opens that database and nothing else."""
    home = more.parent / f"{package}-scripts"
    (home / "versions").mkdir(parents=True, exist_ok=True)
    (home / "env.py").write_text(_ENV)
    ini = home / "alembic.ini"
    places = f"{shipped() / VERSIONS[package]} {more}"
    lines = [
        "[alembic]",
        f"script_location = {home}",
        f"version_locations = {places}",
        f"sqlalchemy.url = {server.url}",
    ]
    ini.write_text("\n".join([*lines, "path_separator = space", f"package = {package}", ""]))
    alembic_main(["-c", str(ini), "upgrade", "head"])


def by_us(package: str, server: Server, more: Path) -> None:
    """Carry out what is pending."""
    _report(migrator_of(package, server, more).migrate(metadata=METADATA[package]))


def adopted(package: str, server: Server, more: Path) -> None:
    """Take over what Alembic did."""
    _report(adopt_alembic(migrator_of(package, server, more).order()))


def looked_at(package: str, server: Server, more: Path) -> None:
    """Only look."""
    _report(look(migrator_of(package, server, more).order()))


def _report(history: History) -> None:
    kinds = ",".join(sorted(one.kind.value for one in history.differences))
    sys.stdout.write(
        f"{len(history.applied)} applied, {len(history.pending)} pending, differences: {kinds or 'none'}\n"
    )


WAYS: Final[Mapping[str, Callable[[str, Server, Path], None]]] = {
    "alembic": by_alembic,
    "us": by_us,
    "adopt": adopted,
    "look": looked_at,
}

if __name__ == "__main__":
    _package, _way, _more, *_words = sys.argv[1:]
    _server = Server(*_words)
    prepare(_package, _server)
    WAYS[_way](_package, _server, Path(_more))
