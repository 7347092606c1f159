"""What stands in the way of a restore is found out before anything is made, all of it, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.restore import MissingRoles, OwnerMapping, Patterns, SideEffect
from dbcustody.plan.part import Part
from dbcustody.plan.restoration import Landing, RestorePlan, Wish, plan_restoration, state
from dbcustody.plan.selection import Choice, Selection
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, ExtensionFacts, RoleFacts, RoleSetting, TableFacts
from tests.fakes.heads import Shelf, bare

if TYPE_CHECKING:
    from dbcustody.repository.contents import Contents

DATABASE = DatabaseFacts(name="shop", owner="shop", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")
CATALOGUE = Catalogue(
    database=DATABASE,
    roles=(RoleFacts(name="shop"), RoleFacts(name="reader")),
    extensions=(ExtensionFacts(name="plpgsql", version="1.0", schema="pg_catalog"),),
    not_captured=("passwords of 2 roles",),
)
LANDING = Landing(
    major_version=17,
    role="admin",
    may_create_databases=True,
    roles=frozenset({"shop", "reader"}),
    memberships=frozenset({"admin", "shop"}),
    databases=frozenset({"postgres", "shop"}),
    extensions={"plpgsql": ("1.0",)},
)
WISH = Wish(database="shop_restored")
NOTHING = Selection(kept=frozenset(), tables=frozenset(), sequences=frozenset())


def plan(
    *,
    catalogue: Catalogue = CATALOGUE,
    major: int = 17,
    wish: Wish = WISH,
    contents: Contents | None = None,
    **changes: Any,
) -> RestorePlan:
    """Return the plan for a landing with *changes*."""
    return plan_restoration(catalogue, major, replace(LANDING, **changes), wish, contents=contents)


def test_nothing_in_the_way() -> None:
    """A server that has everything is told of what no backup holds, and of nothing else."""
    assert plan() == RestorePlan(remarks=("not in the backup: passwords of 2 roles",), part=Part(catalogue=CATALOGUE))


def test_the_hash_is_of_all_that_will_be_done() -> None:
    """Another backup, target, role or remark makes another plan; the same plan has the same hash."""
    made = plan(wish=replace(WISH, missing_roles=MissingRoles.CREATE), roles=frozenset({"shop"}))
    told = state(made, "f" * 64, "shop_restored")
    others = [
        state(made, "e" * 64, "shop_restored"),
        state(made, "f" * 64, "other"),
        state(replace(made, roles_to_create=()), "f" * 64, "shop_restored"),
        state(replace(made, with_ownership=False), "f" * 64, "shop_restored"),
        state(replace(made, remarks=()), "f" * 64, "shop_restored"),
        state(replace(made, part=replace(made.part, skipped=("TABLE x",))), "f" * 64, "shop_restored"),
        state(replace(made, part=replace(made.part, names={"a": "b"})), "f" * 64, "shop_restored"),
        state(replace(made, part=replace(made.part, selection=NOTHING)), "f" * 64, "shop_restored"),
    ]
    assert (told.roles_to_create, told.with_ownership, told.remarks) == (("reader",), True, made.remarks)
    assert told == state(made, "f" * 64, "shop_restored")
    assert len({one.hash for one in (told, *others)}) == 9


def test_obstacles_are_told_with_their_reasons() -> None:
    """All of them, in the words of the plan."""
    told = state(plan(roles=frozenset(), extensions={}), "f" * 64, "shop_restored")
    assert [one.reason for one in told.obstacles] == ["RolesMissing", "ExtensionsMissing"]


@pytest.mark.parametrize(
    ("about", "reason", "says"),
    [
        pytest.param({"wish": Wish(database="shop")}, Reason.TARGET_EXISTS, "shop exists already", id="name taken"),
        pytest.param({"wish": Wish(database="template0")}, Reason.TARGET_EXISTS, "exists already", id="template"),
        pytest.param({"wish": Wish(database="ø" * 32)}, Reason.INVALID_SPEC, "1 to 63 bytes", id="name too long"),
        pytest.param({"wish": Wish(database="")}, Reason.INVALID_SPEC, "1 to 63 bytes", id="no name"),
        pytest.param({"wish": Wish(database="a\0b")}, Reason.INVALID_SPEC, "1 to 63 bytes", id="name with a zero"),
        pytest.param({"may_create_databases": False}, Reason.PRIVILEGES_MISSING, 'ALTER ROLE "admin" CREATEDB;', id="no right"),
        pytest.param({"memberships": frozenset({"admin"})}, Reason.PRIVILEGES_MISSING, 'GRANT "shop" TO "admin";', id="owner"),
        pytest.param({"major": 18}, Reason.VERSION_UNSUPPORTED, "of PostgreSQL 18, the server is 17", id="older server"),
        pytest.param({"roles": frozenset()}, Reason.ROLES_MISSING, "missing: shop, reader;", id="roles"),
        pytest.param({"extensions": {}}, Reason.EXTENSIONS_MISSING, "cannot be installed on the server: plpgsql", id="extension"),
        pytest.param(
            {"catalogue": replace(CATALOGUE, database=replace(DATABASE, locale_provider="icu")), "major_version": 14, "major": 14},
            Reason.VERSION_UNSUPPORTED, "locale (icu) needs PostgreSQL 15", id="icu",
        ),
        pytest.param(
            {"catalogue": replace(CATALOGUE, database=replace(DATABASE, locale_provider="icu", icu_rules="&a < b")),
             "major_version": 15, "major": 15},
            Reason.VERSION_UNSUPPORTED, "locale (icu) needs PostgreSQL 16", id="rules",
        ),
        pytest.param(
            {"catalogue": replace(CATALOGUE, database=replace(DATABASE, locale_provider="builtin")), "major_version": 16, "major": 16},
            Reason.VERSION_UNSUPPORTED, "locale (builtin) needs PostgreSQL 17", id="builtin",
        ),
        pytest.param(
            {"roles": frozenset(), "wish": Wish(database="n", missing_roles=MissingRoles.CREATE)},
            Reason.PRIVILEGES_MISSING, 'roles shop, reader: ALTER ROLE "admin" CREATEROLE;', id="may not create roles",
        ),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(about: dict[str, Any], reason: Reason, says: str) -> None:
    """Each obstacle alone, with what helps."""
    (obstacle,) = plan(**about).obstacles
    assert (obstacle.reason, says in obstacle.text) == (reason, True), obstacle.text


def test_all_obstacles_come_at_once() -> None:
    """Whoever has put one right is not told of the next an hour later."""
    found = plan(major=18, roles=frozenset(), extensions={}, wish=Wish(database="shop"))
    assert [one.reason for one in found.obstacles] == [
        Reason.TARGET_EXISTS, Reason.VERSION_UNSUPPORTED, Reason.ROLES_MISSING, Reason.EXTENSIONS_MISSING
    ]  # fmt: skip


def test_superuser_may_everything() -> None:
    """A superuser needs neither CREATEDB nor CREATEROLE."""
    wish = Wish(database="n", missing_roles=MissingRoles.CREATE)
    found = plan(
        is_superuser=True, may_create_databases=False, memberships=frozenset(), roles=frozenset({"shop"}), wish=wish
    )
    assert found.obstacles == ()
    assert [role.name for role in found.roles_to_create] == ["reader"]
    assert found.remarks[0] == "roles are created without passwords: reader"


def test_ownership_is_left_out_only_where_a_role_is_missing() -> None:
    """With every role there, owners and rights come back, whatever was asked for."""
    wish = Wish(database="n", missing_roles=MissingRoles.SKIP_OWNERSHIP)
    without = plan(roles=frozenset(), wish=wish)
    assert (without.obstacles, without.with_ownership, without.roles_to_create) == ((), False, ())
    assert without.remarks[0] == "without owners and rights, because roles are missing: shop, reader"
    assert plan(wish=wish).with_ownership


def test_another_version_of_an_extension_is_told() -> None:
    """The server installs what it has; that it is another version is said."""
    (remark, _) = plan(extensions={"plpgsql": ("1.1", "2.0")}).remarks
    assert remark == "the extension plpgsql was of version 1.0, which the server does not have"


def test_long_lists_are_cut() -> None:
    """Ten names are enough to see what is meant."""
    roles = tuple(RoleFacts(name=f"r{number}") for number in range(12))
    (obstacle,) = plan(catalogue=replace(CATALOGUE, roles=roles)).obstacles
    assert "r8, r9 and 2 more;" in obstacle.text


def some(*tables: str) -> Wish:
    """Return the wish for *tables*."""
    return replace(WISH, choice=Choice(tables=Patterns(include=tables)))


def shop() -> Shelf:
    """Return an archive with a table of another owner, and a reference to it."""
    shelf = Shelf()
    theirs = shelf.table("theirs", owner="reader")
    ours = shelf.table("ours")
    shelf.add("FK CONSTRAINT", "ours theirs_fkey", ours, theirs)
    return shelf


ROWS = tuple(TableFacts(schema="public", name=name, rows=1) for name in ("ours", "theirs"))
FULL = replace(CATALOGUE, tables=ROWS, large_objects=2)


def test_only_what_was_chosen_is_planned() -> None:
    """With the roles that it needs, and what does not come by name or number; what fits nothing stands in the way."""
    found = plan(catalogue=FULL, wish=some("ours"), contents=shop().contents, roles=frozenset({"shop"}))
    assert found.obstacles == ()
    assert found.remarks == (
        "not in the backup: passwords of 2 roles",
        "only what was chosen comes: 1 of 2 tables with rows",
        "left out: 2 large objects, which belong to no table",
        "left out: FK CONSTRAINT public.ours theirs_fkey",
    )
    assert found.part.catalogue == replace(CATALOGUE, tables=ROWS[:1], roles=CATALOGUE.roles[:1])
    (obstacle,) = plan(catalogue=FULL, wish=some("nothing"), contents=shop().contents).obstacles
    assert (obstacle.reason, "nothing that fits 'nothing'" in obstacle.text) == (Reason.INVALID_SPEC, True)
    assert (WISH.needs_contents, some("ours").needs_contents) == (False, True)
    assert replace(WISH, owner_map=(OwnerMapping(from_="a", to="b"),)).needs_contents


def test_what_is_left_out_is_cut_when_it_is_much() -> None:
    """Fifty names are told, and how many there are besides."""
    shelf = shop()
    for number in range(60):
        shelf.add("FUNCTION", f"f{number}(theirs)", 1)
    remarks = plan(catalogue=replace(FULL, large_objects=0), wish=some("ours"), contents=shelf.contents).remarks
    assert (len(remarks), remarks[-1]) == (53, "left out: and 11 more")


def test_owners_that_nothing_can_be_given_to_are_found_out_first() -> None:
    """Unless they are superusers, whose things stay with the role when that is acknowledged."""
    contents = shop().contents
    (obstacle,) = plan(catalogue=FULL, contents=contents).obstacles
    assert (obstacle.reason, 'GRANT "reader" TO "admin";' in obstacle.text) == (Reason.PRIVILEGES_MISSING, True)
    (both,) = plan(catalogue=FULL, contents=contents, memberships=frozenset({"admin", "reader"})).obstacles
    assert "may not give the database to its owner shop" in both.text
    (needed,) = plan(catalogue=FULL, contents=contents, superusers=frozenset({"reader"})).obstacles
    assert needed.reason is Reason.ACKNOWLEDGEMENT_NEEDED
    assert "OWNER reader of TABLE public.theirs; to go without, acknowledge SkippedObjects" in needed.text
    known = replace(WISH, acknowledged=frozenset({SideEffect.SKIPPED_OBJECTS}))
    found = plan(catalogue=FULL, contents=contents, superusers=frozenset({"reader"}), wish=known)
    assert (found.obstacles, found.part.skipped, found.part.alters) == (
        (),
        ("OWNER reader of TABLE public.theirs",),
        True,
    )
    owners = {one.owner for one in found.part.rewrite(contents, by_name=False).entries if one.kind == "TABLE"}
    assert owners == {"", "shop"}
    assert plan(catalogue=FULL, contents=contents, is_superuser=True).part.alters is False
    skipping = replace(WISH, missing_roles=MissingRoles.SKIP_OWNERSHIP)
    assert plan(catalogue=FULL, contents=contents, roles=frozenset({"shop"}), wish=skipping).obstacles == ()


def test_a_successor_must_be_there() -> None:
    """The role whose place it takes need not be, and is not created."""
    contents = shop().contents
    wish = replace(WISH, owner_map=(OwnerMapping(from_="reader", to="new"), OwnerMapping(from_="lost", to="new")))
    found = plan(catalogue=FULL, contents=contents, wish=wish, roles=frozenset({"shop"}), is_superuser=True)
    assert [(one.reason, one.text) for one in found.obstacles] == [
        (Reason.INVALID_SPEC, "ownerMap: the backup knows no role lost"),
        (Reason.ROLES_MISSING, "roles that shall take the place of others are missing: new"),
    ]
    good = replace(wish, owner_map=wish.owner_map[:1])
    found = plan(catalogue=FULL, contents=contents, wish=good, roles=frozenset({"shop", "new"}), is_superuser=True)
    assert (found.obstacles, found.remarks[-1]) == ((), "new takes the place of reader")
    renamed = found.part.rewrite(contents, by_name=True)
    assert {one.owner for one in renamed.entries} == {"shop", "new"}
    assert [bare(one) for one in renamed.entries if one.owner == "shop"] == [
        one for one in contents.entries if one.owner == "shop"
    ]


def test_rights_of_others_and_the_schema_public_are_not_spoken_for() -> None:
    """On an older server public is another's; that it stays a superuser's is no loss, that another does not get it is told."""
    shelf = Shelf()
    shelf.add("SCHEMA", "public", schema="", owner="shop")
    shelf.add(
        "ACL",
        "TABLE t",
        sql="SET SESSION AUTHORIZATION x;\nGRANT SELECT ON TABLE t TO y;\nRESET SESSION AUTHORIZATION;\n",
    )
    found = plan(contents=shelf.contents, major_version=14, major=14)
    assert found.part.skipped == ("OWNER shop of SCHEMA public", "RIGHTS passed on by others: ACL public.TABLE t")
    first, second = found.part.rewrite(shelf.contents, by_name=False).entries
    assert (first.owner, second.definition) == ("", "")
    newer = plan(contents=shelf.contents).part
    assert newer.skipped == ("RIGHTS passed on by others: ACL public.TABLE t",)
    superusers = frozenset({"shop"})
    assert (
        plan(contents=shelf.contents, major_version=14, major=14, superusers=superusers).part.skipped == newer.skipped
    )


def test_a_table_that_needs_what_may_not_be_made_stands_in_the_way() -> None:
    """Its rows would be lost."""
    shelf = Shelf()
    raw = shelf.add("FUNCTION", "raw()", sql="CREATE FUNCTION raw() LANGUAGE c;")
    shelf.table("t", raw)
    known = replace(WISH, acknowledged=frozenset({SideEffect.SKIPPED_OBJECTS}))
    (obstacle,) = plan(contents=shelf.contents, wish=known).obstacles
    assert (obstacle.reason, "TABLE public.t cannot be made without FUNCTION" in obstacle.text) == (
        Reason.PRIVILEGES_MISSING,
        True,
    )


def test_differences_and_sizes_are_told() -> None:
    """Settings that the role may not set are skipped also where the archive is not looked at; sizes are no part of the hash."""
    database = replace(DATABASE, collation_version="1", settings=(RoleSetting(settings=("log_statement=all",)),))
    landing: dict[str, Any] = {
        "collation_versions": {("libc", "C"): "2"},
        "guarded_settings": frozenset({"log_statement"}),
    }
    found = plan(catalogue=replace(CATALOGUE, database=database), major=16, size_bytes=7, **landing)
    assert [one.reason for one in found.obstacles] == [Reason.ACKNOWLEDGEMENT_NEEDED]
    assert found.remarks[1] == "the backup is of PostgreSQL 16, the server is 17"
    assert found.remarks[2].startswith("the collation C was of version 1 and is 2 here")
    told = state(found, "f" * 64, "a")
    assert (told.server_bytes, told.skipped_objects) == (7, ("SETTING log_statement of the database",))
    assert state(replace(found, server_bytes=8), "f" * 64, "a").hash == told.hash
