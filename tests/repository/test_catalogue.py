"""The catalogue survives its way through an object, whatever names a database has."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.errors import DamagedError
from dbcustody.repository.catalogue import (
    Catalogue,
    DatabaseFacts,
    ExtensionFacts,
    RoleFacts,
    RoleSetting,
    SequenceFacts,
    TableFacts,
    read_catalogue,
    write_catalogue,
)

texts = st.text(max_size=8)
lists = st.lists(texts, max_size=3).map(tuple)
maybe = st.none() | texts
bigint = st.integers(-(2**63), 2**63 - 1)


def many(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Return a strategy of short tuples."""
    return st.lists(strategy, max_size=3).map(tuple)


databases = st.builds(
    DatabaseFacts,
    name=texts, owner=texts, encoding=texts, collation=texts, ctype=texts, locale_provider=texts, icu_locale=maybe, icu_rules=maybe,
    collation_version=maybe, connection_limit=bigint, acl=lists, comment=maybe,
    settings=many(st.builds(RoleSetting, role=maybe, settings=lists)),
)  # fmt: skip
catalogues = st.builds(
    Catalogue,
    database=databases,
    roles=many(st.builds(RoleFacts, name=texts, attributes=lists, member_of=lists, connection_limit=bigint)),
    tables=many(st.builds(TableFacts, schema=texts, name=texts, rows=st.none() | bigint)),
    sequences=many(st.builds(SequenceFacts, schema=texts, name=texts, last_value=st.none() | bigint, is_called=st.booleans())),
    extensions=many(st.builds(ExtensionFacts, name=texts, version=texts, schema=texts)),
    large_objects=st.integers(0, 2**40),
    not_captured=lists,
)  # fmt: skip


@settings(deadline=None)
@given(catalogues)
def test_catalogue_survives(catalogue: Catalogue) -> None:
    """Empty lists, absent values, names in any script and numbers of 64 bits come back as they went."""
    assert catalogue == read_catalogue(write_catalogue(catalogue), "catalogue")


@given(st.binary())
def test_random_bytes_are_damage(data: bytes) -> None:
    """Whatever was decrypted, nothing but damage is said of it."""
    with pytest.raises(DamagedError, match="catalogue: "):
        read_catalogue(data, "catalogue")


def test_another_spelling_is_damage() -> None:
    """Two readers can disagree about bytes in another form than the one."""
    facts = DatabaseFacts(name="a", owner="b", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")
    data = write_catalogue(Catalogue(database=facts))
    assert read_catalogue(data, "catalogue").database == facts
    with pytest.raises(DamagedError, match="not in canonical form"):
        read_catalogue(data.replace(b'"format":1', b'"format":1,"more":2'), "catalogue")


def test_no_password_has_a_place() -> None:
    """The fields of a role are a closed list."""
    fields = {field.name for field in dataclasses.fields(RoleFacts)}
    assert fields == {"name", "attributes", "member_of", "connection_limit"}
