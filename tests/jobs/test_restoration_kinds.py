"""Every kind of object comes back equal, on its own major version and on every newer one: by the catalogs, by pg_dump, and by content."""

from __future__ import annotations

import itertools
import re
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.restore import MissingRoles
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian
from tests.fakes.homecoming import Likeness, likeness
from tests.fakes.kinddb import make_kinds
from tests.fakes.listing import listing, unlike
from tests.jobs.test_restoration import Restorer, make_backup

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
MAJORS = (14, 15, 16, 17, 18)
PAIRS = list(itertools.combinations_with_replacement(MAJORS, 2))
NEWEST = MAJORS[-1]
_ANALYSED = "select count(*) from pg_class where relname in ('person', 'event_rest', 'summary') and reltuples > 0"
"""Also where a foreign table is a partition of another."""
_ALONE = re.compile(r"\b(?:o|s|numbers)\.(?=\w)")


@dataclass
class Estate:
    """One server of each major that is asked for, and one backup of each that is a source."""

    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    servers: dict[int, PostgresServer] = field(default_factory=dict)
    backups: dict[int, Custodian] = field(default_factory=dict)

    def server(self, major: int) -> PostgresServer:
        """Return the server of *major*."""
        if major not in self.servers:
            self.servers[major] = self.stack.enter_context(PostgresServer(major))
        return self.servers[major]

    def backup(self, major: int) -> Custodian:
        """Return who has a backup of a database on *major* that has everything; one of two majors is cut into streams."""
        if major not in self.backups:
            make_kinds(self.server(major), "shop")
            self.backups[major] = make_backup(
                self.folder / str(major), self.server(major), parallelism=1 + major % 2 * 2
            )
        return self.backups[major]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Return the servers and backups that all pairs share."""
    found = Estate(tmp_path_factory.mktemp("estate"))
    with found.stack:
        yield found


def look(server: PostgresServer, database: str) -> Likeness:
    """Return what is compared by content and by pg_dump; since PostgreSQL 16 columns of the only table of a view are told without it."""
    found = likeness(server, database, client_major=NEWEST)
    return replace(found, script=[_ALONE.sub("", line) for line in found.script])


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_every_kind_comes_back_equal(estate: Estate, old: int, new: int) -> None:
    """Definitions, states, owners, rights, comments, rows, large objects and sequences; nothing is left out."""
    custodian, there = estate.backup(old), estate.server(new)
    found = Restorer(custodian, there).run("back", missing_roles=MissingRoles.CREATE)
    try:
        assert (found.skipped_objects, there.execute(_ANALYSED, database="back")) == ((), [(3,)])
        assert unlike(listing(there, "back"), listing(estate.server(old), "shop")) == {}
        assert look(there, "back") == look(estate.server(old), "shop")
    finally:
        there.execute("drop database back with (force)")
