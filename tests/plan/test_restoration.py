"""What stands in the way of a restore is found out before anything is made, all of it, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.restore import MissingRoles
from dbcustody.plan.part import Part
from dbcustody.plan.restoration import Landing, RestorePlan, Wish, plan_restoration, state
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, ExtensionFacts, RoleFacts

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


def plan(*, catalogue: Catalogue = CATALOGUE, major: int = 17, wish: Wish = WISH, **changes: Any) -> RestorePlan:
    """Return the plan for a landing with *changes*."""
    return plan_restoration(catalogue, major, replace(LANDING, **changes), wish)


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
    ]
    assert (told.roles_to_create, told.with_ownership, told.remarks) == (("reader",), True, made.remarks)
    assert told == state(made, "f" * 64, "shop_restored")
    assert len({one.hash for one in (told, *others)}) == 6


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
