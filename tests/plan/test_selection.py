"""What of an archive comes: by names, by what needs what, and without what may not be made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.restore import Patterns
from dbcustody.plan.selection import EVERYTHING, Choice, Selection, select
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, ExtensionFacts, SequenceFacts, TableFacts
from dbcustody.repository.contents import Entry
from tests.fakes.heads import Shelf

FACTS = DatabaseFacts(name="shop", owner="shop", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")


def chosen(
    shelf: Shelf,
    *tables: str,
    without: tuple[str, ...] = (),
    schemas: Patterns | None = None,
    forbidden: frozenset[int] = frozenset(),
    catalogue: Catalogue | None = None,
) -> Selection:
    """Return what comes."""
    known = tuple(TableFacts(schema=one.schema, name=one.name) for one in shelf.entries if one.kind == "TABLE DATA")
    choice = Choice(schemas=schemas or Patterns(), tables=Patterns(include=tables, exclude=without))
    return select(shelf.contents, catalogue or Catalogue(database=FACTS, tables=known), choice, forbidden=forbidden)


@pytest.fixture
def shelf() -> Shelf:
    """Return an archive of two tables, one of which refers to the other, and of what hangs on them."""
    shelf = Shelf()
    kind = shelf.add("TYPE", "colour")
    customer = shelf.table("customer", kind)
    key = shelf.add("CONSTRAINT", "customer customer_pkey", customer)
    sequence = shelf.add("SEQUENCE", "customer_id_seq", customer)
    shelf.add("SEQUENCE OWNED BY", "customer_id_seq", sequence)
    shelf.add("SEQUENCE SET", "customer_id_seq", sequence)
    shelf.add("DEFAULT", "customer id", customer, sequence)
    orders = shelf.table("orders")
    shelf.add("FK CONSTRAINT", "orders orders_fkey", orders, customer, key)
    shelf.add("INDEX", "orders_idx", orders)
    both = shelf.add("VIEW", "both", customer, orders)
    shelf.add("ACL", "TABLE both", both)
    shelf.add("ACL", "TABLE orders", orders)
    shelf.add("FUNCTION", "of(customer)", customer)
    shelf.add("SEQUENCE", "alone")
    shelf.add("PUBLICATION", "all", schema="")
    shelf.add("PUBLICATION TABLE", "all orders", orders, 999)
    shelf.add("BLOB METADATA", "4711", schema="")
    shelf.add("COMMENT", "LARGE OBJECT 4711", 20, schema="")
    return shelf


def test_everything_is_everything(shelf: Shelf) -> None:
    """Without a choice nothing is left out, and nothing is said."""
    found = select(shelf.contents, Catalogue(database=FACTS), EVERYTHING)
    assert found.kept == {one.id for one in shelf.entries}
    assert (found.left_out, found.skipped, found.faults, found.has_large_objects) == ((), (), (), True)


def test_a_table_comes_with_what_belongs_to_it(shelf: Shelf) -> None:
    """A foreign key to what is left out is left out and named, and so is what cannot be made any more; nothing else comes."""
    found = chosen(shelf, "orders", "both")
    assert shelf.titles(found.kept) == [
        "TYPE public.colour", "TABLE public.orders", "TABLE DATA public.orders", "INDEX public.orders_idx", "ACL public.TABLE orders"
    ]  # fmt: skip
    assert found.left_out == (
        "FK CONSTRAINT public.orders orders_fkey",
        "VIEW public.both",
        "FUNCTION public.of(customer)",
    )
    assert (found.tables, found.sequences) == ({("public", "orders")}, set())
    assert found.faults == ()


def test_sequences_come_with_their_tables(shelf: Shelf) -> None:
    """With all that is said of them; one that belongs to nobody comes where a default needs it."""
    drift = shelf.table("drift", next(one.id for one in shelf.entries if one.name == "alone"))
    found = chosen(shelf, "customer")
    assert found.sequences == {("public", "customer_id_seq")}
    titles = shelf.titles(found.kept)
    assert {
        "SEQUENCE OWNED BY public.customer_id_seq",
        "SEQUENCE SET public.customer_id_seq",
        "DEFAULT public.customer id",
    } <= set(titles)
    assert [one for one in shelf.titles(found.kept) if "CONSTRAINT" in one] == [
        "CONSTRAINT public.customer customer_pkey"
    ]
    assert chosen(shelf, "drift").sequences == {("public", "alone")}
    assert drift in chosen(shelf, "drift").kept
    assert chosen(shelf, "alone").sequences == {("public", "alone")}


def test_what_is_excluded_does_not_come(shelf: Shelf) -> None:
    """By table or by schema, after what is included."""
    assert chosen(shelf, "*", without=("customer", "both", "alone")).tables == {("public", "orders")}
    assert chosen(shelf, schemas=Patterns(exclude=("public",))).tables == set()


def test_patterns_that_fit_nothing_are_faults(shelf: Shelf) -> None:
    """Also those that are none."""
    found = chosen(shelf, "order", "sales.*", schemas=Patterns(include=("public", "sales")))
    assert found.faults == (
        "schemas.include: the backup has nothing in a schema that fits 'sales'",
        "tables.include: the backup has nothing that fits 'order'",
        "tables.include: the backup has nothing that fits 'sales.*'",
    )
    assert "is no pattern" in chosen(shelf, '"order').faults[0]


def test_schemas_bring_what_lies_in_them_and_what_that_needs() -> None:
    """Things of another schema come only where something needs them, with their rights; schemas themselves as well."""
    shelf = Shelf()
    types, sales, empty = (shelf.add("SCHEMA", name, schema="") for name in ("types", "sales", "empty"))
    kind = shelf.add("TYPE", "money", types, schema="types")
    shelf.add("ACL", "TYPE money", kind, schema="types")
    shelf.add("TYPE", "other", types, schema="types")
    shelf.add("EXTENSION", "citext", schema="")
    shelf.table("item", kind, sales, schema="sales")
    shelf.table("log", types, schema="types")
    shelf.add("DEFAULT ACL", "TABLES", sales, schema="sales")
    shelf.add("DEFAULT ACL", "OTHERS", empty, schema="empty")
    shelf.add("DEFAULT ACL", "EVERYWHERE", schema="")
    far = shelf.add("SERVER", "far", schema="")
    found = chosen(shelf, schemas=Patterns(include=("sales",)))
    assert shelf.titles(found.kept) == [
        "SCHEMA types", "SCHEMA sales", "TYPE types.money", "ACL types.TYPE money", "EXTENSION citext", "TABLE sales.item",
        "TABLE DATA sales.item", "DEFAULT ACL sales.TABLES", "DEFAULT ACL EVERYWHERE",
    ]  # fmt: skip
    shelf.add("FOREIGN TABLE", "abroad", far, sales, schema="sales")
    assert far in chosen(shelf, schemas=Patterns(include=("sales",))).kept


def partitioned(how: str = "FOR VALUES FROM (1) TO (2)") -> Shelf:
    """Return an archive of a partitioned table with two partitions, one of which is partitioned again, with indexes."""
    shelf = Shelf()
    root = shelf.add("TABLE", "event")
    index = shelf.add("INDEX", "event_idx", root)
    one = shelf.table("event_1", root)
    two = shelf.add("TABLE", "event_2", root)
    leaf = shelf.table("event_2_a", two)
    part = shelf.add("INDEX", "event_1_idx", one, index)
    shelf.add("TABLE ATTACH", "event_1", root, one, sql=f"ALTER TABLE ONLY event ATTACH PARTITION event_1 {how};")
    shelf.add("TABLE ATTACH", "event_2", root, two, sql=f"ALTER TABLE ONLY event ATTACH PARTITION event_2 {how};")
    shelf.add(
        "TABLE ATTACH",
        "event_2_a",
        two,
        leaf,
        sql="ALTER TABLE ONLY event_2 ATTACH PARTITION event_2_a FOR VALUES FROM (1) TO (2);",
    )
    shelf.add("INDEX ATTACH", "event_1_idx", root, one, index, part)
    return shelf


def test_partitions_come_with_their_table_and_can_come_alone() -> None:
    """With their indexes; that one is not attached any more is told."""
    shelf = partitioned()
    assert chosen(shelf, "event").kept == {one.id for one in shelf.entries}
    found = chosen(shelf, "event_1")
    assert shelf.titles(found.kept) == ["TABLE public.event_1", "TABLE DATA public.event_1", "INDEX public.event_1_idx"]
    assert found.left_out == ("TABLE ATTACH public.event_1", "INDEX ATTACH public.event_1_idx")
    assert chosen(shelf, "event", without=("event_2*",)).faults == ()


@pytest.mark.parametrize(
    ("tables", "without"),
    [(("event_1",), ()), (("event_2_a",), ()), (("event",), ("event_1",)), (("event",), ("event_2_a",))],
)
def test_what_is_partitioned_by_hash_comes_whole_or_not_at_all(
    tables: tuple[str, ...], without: tuple[str, ...]
) -> None:
    """Its rows go in by the topmost table, and may fall into another partition than they were in."""
    shelf = partitioned("FOR VALUES WITH (modulus 2, remainder 0)")
    assert chosen(shelf, "event").faults == ()
    (fault,) = chosen(shelf, *tables, without=without).faults
    assert (
        fault
        == "TABLE public.event is partitioned by hash: choose it with all its partitions and all above it, or none of them"
    )


def test_a_table_that_needs_another_stands_in_the_way() -> None:
    """A table that inherits cannot be made alone: its rows would be lost silently."""
    shelf = Shelf()
    shelf.table("child", shelf.table("parent"))
    found = chosen(shelf, "child")
    assert found.faults == ("TABLE public.child cannot be made without TABLE public.parent, which is left out",)


def test_a_view_without_its_rule_does_not_come_as_an_empty_one() -> None:
    """Where a view and a constraint need each other, it is made empty first and filled by a rule; another view's rule says nothing."""
    shelf = Shelf()
    base, other = shelf.table("base"), shelf.table("other")
    view, second = shelf.add("VIEW", "sums"), shelf.add("VIEW", "more")
    shelf.add("RULE", "sums _RETURN", base, view)
    shelf.add("RULE", "more _RETURN", other, view, second)
    shelf.add("RULE", "gone _RETURN", other)
    found = chosen(shelf, "other", "sums", "more")
    assert (view in found.kept, "VIEW public.sums" in found.left_out) == (False, True)
    assert {view, second} & chosen(shelf, "base", "sums").kept == {view}


def test_rows_that_extensions_keep_come_only_when_asked_for() -> None:
    """They have no definition of their own in the archive."""
    shelf = Shelf()
    extension = shelf.add("EXTENSION", "postgis", schema="")
    rows = shelf.add("TABLE DATA", "spatial_ref_sys", extension)
    shelf.table("map")
    assert rows not in chosen(shelf, "map").kept
    found = chosen(shelf, "spatial_*")
    assert (rows in found.kept, found.tables) == (True, {("public", "spatial_ref_sys")})


def test_what_may_not_be_made_is_left_out_with_all_that_needs_it(shelf: Shelf) -> None:
    """It is named; a table that needs it stands in the way instead, but only one that was chosen."""
    raw = shelf.add("FUNCTION", "raw()")
    shelf.add("VIEW", "sized", raw)
    found = select(shelf.contents, Catalogue(database=FACTS), EVERYTHING, forbidden=frozenset({raw}))
    assert (found.skipped, found.refused, found.left_out) == (("FUNCTION public.raw()", "VIEW public.sized"), (), ())
    shelf.table("checked", raw)
    refused = select(shelf.contents, Catalogue(database=FACTS), EVERYTHING, forbidden=frozenset({raw})).refused
    assert refused == ("TABLE public.checked cannot be made without FUNCTION public.raw(), which is left out",)
    assert chosen(shelf, "orders", forbidden=frozenset({raw})).refused == ()


def test_the_catalogue_is_of_what_comes(shelf: Shelf) -> None:
    """So that exactly that is compared; extensions that no archive has are in every database."""
    extension = shelf.add("EXTENSION", "hstore", schema="")
    catalogue = Catalogue(
        database=FACTS,
        tables=(
            TableFacts(schema="public", name="customer", rows=1),
            TableFacts(schema="public", name="orders", rows=2),
        ),
        sequences=(
            SequenceFacts(schema="public", name="customer_id_seq"),
            SequenceFacts(schema="public", name="alone"),
        ),
        extensions=(
            ExtensionFacts(name="plpgsql", version="1", schema="a"),
            ExtensionFacts(name="hstore", version="1", schema="a"),
        ),
        large_objects=1,
    )
    found = chosen(shelf, "customer", forbidden=frozenset({extension}), catalogue=catalogue)
    assert found.narrow(catalogue) == replace(
        catalogue,
        tables=catalogue.tables[:1],
        sequences=catalogue.sequences[:1],
        extensions=catalogue.extensions[:1],
        large_objects=0,
    )
    assert found.tables_with_rows(catalogue) == {("public", "customer")}
    everything = select(shelf.contents, catalogue, EVERYTHING)
    assert everything.narrow(catalogue) == catalogue


def test_in_other_archives_things_are_known_by_name(shelf: Shelf) -> None:
    """Their ids mean other things."""
    found = chosen(shelf, "customer")

    def entry(kind: str, name: str, schema: str = "public") -> Entry:
        return Entry(id=1, kind=kind, schema=schema, name=name)

    entries = [
        entry("TABLE DATA", "customer"), entry("TABLE DATA", "orders"), entry("SEQUENCE SET", "customer_id_seq"),
        entry("SEQUENCE SET", "alone"), entry("BLOBS", "4711", ""), entry("ACL", "LARGE OBJECT 4711", ""),
        entry("ENCODING", "ENCODING", ""),
    ]  # fmt: skip
    assert [found.has(one, by_name=True) for one in entries] == [True, False, True, False, False, False, True]
    everything = select(shelf.contents, Catalogue(database=FACTS), EVERYTHING)
    assert everything.has(entries[4], by_name=True)
