"""Whom things belong to: successors of roles, owners out of reach, and who needs a right while a restore lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.restore import OwnerMapping
from dbcustody.plan.lending import Loan, lent, loans, owners_rights
from dbcustody.plan.ownership import disowned, map_faults, mapped, needed_roles, unattainable
from dbcustody.plan.part import Part
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, RoleFacts, RoleSetting
from tests.fakes.heads import Shelf

if TYPE_CHECKING:
    from dbcustody.repository.contents import Contents

DATABASE = DatabaseFacts(
    name="shop", owner="shop", encoding="UTF8", collation="C", ctype="C", locale_provider="libc",
    acl=("=T/shop", "shop=CTc/shop", '"a""=b"=c*/shop', "strange", "web=c/shop"),
    settings=(RoleSetting(settings=("a=1",)), RoleSetting(role="web", settings=("b=1",))),
)  # fmt: skip
CATALOGUE = Catalogue(
    database=DATABASE,
    roles=(RoleFacts(name="shop"), RoleFacts(name="web", member_of=("group",)), RoleFacts(name="group"), RoleFacts(name='a"=b'),
           RoleFacts(name="other", member_of=("shop",)), RoleFacts(name="reader")),
)  # fmt: skip


def test_a_successor_takes_the_place_everywhere() -> None:
    """As owner, in rights and settings of the database, and as a group; the role itself is needed no more."""
    found = mapped(CATALOGUE, {"shop": "New Owner", 'a"=b': "plain", "web": 'q"', "group": "band"})
    assert found.database == replace(
        DATABASE,
        owner="New Owner",
        acl=("=T/shop", '"New Owner"=CTc/shop', "plain=c*/shop", "strange", '"q"""=c/shop'),
        settings=(RoleSetting(settings=("a=1",)), RoleSetting(role='q"', settings=("b=1",))),
    )
    assert found.roles == (RoleFacts(name="other", member_of=("New Owner",)), RoleFacts(name="reader"))
    assert mapped(CATALOGUE, {}) == CATALOGUE


def test_a_mapping_must_be_of_a_role_of_the_backup_and_only_one() -> None:
    """Both faults are told."""
    pairs = [OwnerMapping(from_="web", to="a"), OwnerMapping(from_="nobody", to="a"), OwnerMapping(from_="web", to="b")]
    assert list(map_faults(pairs, CATALOGUE)) == [
        "ownerMap: the backup knows no role nobody",
        "ownerMap: web stands there twice",
    ]


def test_only_roles_that_something_names_are_needed() -> None:
    """With the groups that they are in; those of the database itself are."""
    shelf = Shelf()
    shelf.add("TABLE", "t", owner="shop")
    assert [role.name for role in needed_roles(CATALOGUE, shelf.entries).roles] == ["shop", "web", "group", 'a"=b']
    shelf.add("ACL", "t", owner="other", sql="GRANT SELECT ON TABLE t TO reader;")
    assert needed_roles(CATALOGUE, shelf.entries) == CATALOGUE


def test_owners_out_of_reach() -> None:
    """Of what has an owner; the database's owner is always within reach."""
    shelf = Shelf()
    shelf.add("SCHEMA", "public", schema="", owner="boss")
    shelf.add("TABLE", "a", owner="boss")
    shelf.add("INDEX", "a_idx", owner="boss")
    shelf.add("TABLE", "b", owner="ours")
    shelf.add("SCHEMA", "s", schema="", owner="pg_database_owner")
    shelf.add("TABLE", "c", owner=None)
    found = unattainable(shelf.contents, {"ours"}, without_public=False)
    assert {owner: [one.title for one in entries] for owner, entries in found.items()} == {
        "boss": ["SCHEMA public", "TABLE public.a"]
    }
    (entries,) = unattainable(shelf.contents, {"ours"}, without_public=True).values()
    assert [one.title for one in entries] == ["TABLE public.a"]
    assert [one.owner for one in disowned(shelf.contents, {"boss"}, with_public=False).entries] == [
        "", "", "boss", "ours", "pg_database_owner", None
    ]  # fmt: skip
    assert [one.owner for one in disowned(shelf.contents, set(), with_public=True).entries][:2] == ["", "boss"]


@pytest.fixture
def rented() -> Contents:
    """Return contents in which things of one role are in the schema of another."""
    shelf = Shelf()
    shelf.add("SCHEMA", "s", schema="", owner="a", sql="CREATE SCHEMA s;\n")
    shelf.add("SCHEMA", "Odd", schema="", owner="a", sql='CREATE SCHEMA "Odd";\n')
    shelf.add("SCHEMA", "public", schema="", owner="a", sql="-- there\n")
    shelf.add("TABLE", "own", schema="s", owner="a")
    shelf.add("TABLE", "lodger", schema="s", owner="b")
    shelf.add("INDEX", "lodger_idx", schema="s", owner="c")
    shelf.add("TABLE", "lodger", schema="Odd", owner='b"')
    shelf.add("TABLE", "desk", schema="public", owner="b")
    shelf.add("TABLE", "chair", schema="public", owner="shop")
    shelf.add("TABLE", "lost", schema="made", owner="b")
    shelf.add("ACL", 'SCHEMA "Odd"', schema="", owner="a", sql='GRANT ALL ON SCHEMA "Odd" TO "b""";\n')
    shelf.add("ACL", "SCHEMA s", schema="", owner="a", sql="GRANT USAGE ON SCHEMA s TO b;\n")
    return shelf.contents


def test_owners_may_create_where_their_things_are(rented: Contents) -> None:
    """As long as the restore lasts, where they may not always; a schema that the archive makes lends it at once."""
    owed = loans(rented)
    assert owed == (
        Loan(schema="Odd", owner='b"', is_due_by_hand=False, is_theirs=True),
        Loan(schema="made", owner="b", is_due_by_hand=True),
        Loan(schema="public", owner="b", is_due_by_hand=True),
        Loan(schema="public", owner="shop", is_due_by_hand=True),
        Loan(schema="s", owner="b", is_due_by_hand=False),
    )
    made = [one.definition for one in lent(rented, owed).entries[:4]]
    assert made == [
        'CREATE SCHEMA s;\nGRANT CREATE ON SCHEMA "s" TO "b";\n',
        'CREATE SCHEMA "Odd";\nGRANT CREATE ON SCHEMA "Odd" TO "b""";\n', "-- there\n", None,
    ]  # fmt: skip
    part = Part(catalogue=CATALOGUE, loans=owed)
    given, returned = owners_rights(part, with_database=True)
    assert given == [("public", "shop"), ("made", "b"), ("public", "b")]
    assert returned == [("public", "shop"), ("made", "b"), ("public", "b"), ("s", "b")]
    assert owners_rights(Part(catalogue=CATALOGUE), with_database=False) == ([], [])
