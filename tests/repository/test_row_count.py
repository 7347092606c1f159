"""How many rows a backup holds, told by its catalogue."""

from __future__ import annotations

import pytest

from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, TableFacts

DATABASE = DatabaseFacts(name="shop", owner="shop", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")


@pytest.mark.parametrize(("counts", "whole"), [((), 0), ((3, 4), 7), ((3, None), None)])
def test_rows_of_all_tables(counts: tuple[int | None, ...], whole: int | None) -> None:
    """One table that was not counted is enough for nobody to know."""
    tables = tuple(TableFacts(schema="public", name=f"t{n}", rows=rows) for n, rows in enumerate(counts))
    assert Catalogue(database=DATABASE, tables=tables).row_count == whole
