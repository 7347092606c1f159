"""Which extensions migrations make, and which they need."""

from __future__ import annotations

from dbcustody.migration.extension import made_extensions, required_extensions
from dbcustody.migration.script import SourceFile, read_scripts

TEXT = b"""-- dbcustody: requires postgis
create extension if not exists "uuid-ossp";
create extension hstore with schema public;
create table t (id int);
drop extension citext;
"""


def test_made_and_required_are_told_apart() -> None:
    """Names come as the catalogue has them."""
    source = read_scripts([SourceFile(name="20260101_000000_a.sql", content=TEXT)])
    assert source.faults == ()
    assert made_extensions(source.scripts) == {"uuid-ossp", "hstore"}
    assert required_extensions(source.scripts) == {"postgis"}
