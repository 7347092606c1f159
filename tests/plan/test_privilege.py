"""What only a superuser may make is found in the table of contents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.plan.difference import collation_remarks, owner_remarks, version_remarks
from dbcustody.plan.privilege import Privileges, forbidden, settable
from dbcustody.repository.catalogue import DatabaseFacts, RoleSetting
from tests.fakes.heads import Shelf

FEW = Privileges(
    is_superuser=False, memberships=frozenset({"clerk", "shop"}), untrusted=frozenset({"raw"}),
    guarded_settings=frozenset({"log_statement"}), alterable_roles=frozenset({"clerk"}),
)  # fmt: skip
DATABASE = DatabaseFacts(
    name="shop", owner="shop", encoding="UTF8", collation="de_DE.UTF-8", ctype="C", locale_provider="libc", collation_version="2.36",
    settings=(RoleSetting(settings=("Log_Statement=all", "work_mem=1")), RoleSetting(role="clerk", settings=("a=1",)),
              RoleSetting(role="other", settings=("a=1", "b=2"))),
)  # fmt: skip
USUAL = "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT ALL ON SCHEMA public TO PUBLIC;\n"


@pytest.mark.parametrize(
    ("kind", "name", "sql", "is_forbidden"),
    [
        ("EVENT TRIGGER", "bell", None, True),
        ("SECURITY LABEL", "x", None, True),
        ("FOREIGN DATA WRAPPER", "x", None, True),
        ("TABLE", "t", "CREATE TABLE t (LANGUAGE c);", False),
        ("EXTENSION", "raw", None, True),
        ("EXTENSION", "citext", None, False),
        ("SUBSCRIPTION", "x", None, True),
        ("PUBLICATION", "x", "CREATE PUBLICATION x FOR ALL TABLES WITH (publish = '');", True),
        ("PUBLICATION", "x", "CREATE PUBLICATION \"ALL\" WITH (publish = 'ALL');", False),
        ("CAST", "x", "CREATE CAST (a AS b) WITHOUT FUNCTION;", True),
        ("CAST", "x", "CREATE CAST (a AS b) WITH FUNCTION c(a);", False),
        ("FUNCTION", "f()", "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x', 'y';", True),
        ("FUNCTION", "f()", "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql SET log_statement TO 'x' AS '';", True),
        (
            "PROCEDURE",
            "f()",
            "CREATE PROCEDURE f() LANGUAGE sql SET work_mem TO 'x' AS $$ SET log_statement LANGUAGE c $$;",
            False,
        ),
        ("AGGREGATE", "f()", None, False),
        ("DEFAULT ACL", "TABLES", None, False),
        ("ACL", "SCHEMA public", "GRANT USAGE ON SCHEMA public TO x;", False),
    ],
)
def test_what_a_role_may_not_make(kind: str, name: str, sql: str | None, is_forbidden: bool) -> None:  # noqa: FBT001
    """A superuser may everything."""
    shelf = Shelf()
    number = shelf.add(kind, name, sql=sql)
    assert forbidden(shelf.contents, FEW) == ({number} if is_forbidden else set())
    assert forbidden(shelf.contents, Privileges()) == set()


def test_what_providers_and_memberships_allow() -> None:
    """Their roles install extensions, and since PostgreSQL 16 one role lets others subscribe; an extension's comment stays its owner's."""
    shelf = Shelf()
    extension = shelf.add("EXTENSION", "raw")
    comment = shelf.add("COMMENT", "EXTENSION raw", extension)
    shelf.add("COMMENT", "EXTENSION lost", 99)
    shelf.add("SUBSCRIPTION", "s")
    rights = shelf.add("DEFAULT ACL", "TABLES", owner="stranger")
    assert forbidden(shelf.contents, FEW) == {extension, comment, 4, rights}
    more = replace(FEW, memberships=frozenset({"rds_superuser", "pg_create_subscription", "stranger"}))
    assert forbidden(shelf.contents, more) == {comment}


def test_the_schema_public_of_an_older_server_is_anothers() -> None:
    """Its rights cannot be changed there; those that it has anyway are no loss."""
    shelf = Shelf()
    shelf.add("ACL", "SCHEMA public", sql=USUAL)
    rights = shelf.add("ACL", "SCHEMA public", sql="GRANT USAGE ON SCHEMA public TO x;")
    comment = shelf.add("COMMENT", "SCHEMA public")
    nothing = shelf.add("ACL", "SCHEMA public")
    assert forbidden(shelf.contents, replace(FEW, owns_public=False)) == {rights, comment, nothing}


def test_settings_that_the_role_may_not_set() -> None:
    """Are left out by name, without their values."""
    database, skipped = settable(DATABASE, FEW)
    assert database.settings == (RoleSetting(settings=("work_mem=1",)), RoleSetting(role="clerk", settings=("a=1",)))
    assert skipped == (
        "SETTING log_statement of the database",
        "SETTING a of other in the database",
        "SETTING b of other in the database",
    )
    assert settable(DATABASE, Privileges()) == (DATABASE, ())


def test_another_way_to_sort_is_told_where_both_are_known() -> None:
    """By what the provider calls the locale."""
    icu = replace(DATABASE, locale_provider="icu", icu_locale="de")
    (remark,) = collation_remarks(DATABASE, {("libc", "de_DE.UTF-8"): "2.41"})
    assert remark.startswith("the collation de_DE.UTF-8 was of version 2.36 and is 2.41 here: text may sort otherwise")
    assert len(list(collation_remarks(icu, {("icu", "de"): "153"}))) == 1
    same, unknown = {("libc", "de_DE.UTF-8"): "2.36"}, {("icu", "de"): "1"}
    old, bare = replace(DATABASE, collation_version=None), replace(icu, icu_locale=None)
    for database, versions in (
        (DATABASE, same),
        (DATABASE, unknown),
        (old, {("libc", "de_DE.UTF-8"): "1"}),
        (bare, unknown),
    ):
        assert list(collation_remarks(database, versions)) == []


def test_other_differences_are_told() -> None:
    """The server's version, and who takes whose place."""
    assert list(version_remarks(14, 18)) == ["the backup is of PostgreSQL 14, the server is 18"]
    assert list(version_remarks(17, 17)) == list(owner_remarks(())) == []
