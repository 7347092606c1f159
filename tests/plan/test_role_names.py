"""Roles in the SQL of an archive: found and replaced where they stand, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from dbcustody.plan.role_names import given_by_others, given_by_owner, gives, renamed, roles_of, words_of
from dbcustody.repository.contents import Contents, Entry


def entry(kind: str, sql: str | None, **fields: Any) -> Entry:
    """Return an entry with *sql*."""
    return Entry(id=1, kind=kind, schema="", name="", definition=sql, **fields)


RIGHTS = """REVOKE ALL ON TABLE s."to reader" FROM shop;
GRANT SELECT("from"),UPDATE ON TABLE s."to reader" TO "Web 'app'" WITH GRANT OPTION;
SET SESSION AUTHORIZATION "a""b";
GRANT ALL ON FUNCTION s.f(a text, OUT "to" integer) TO reader;
GRANT ALL ON FUNCTION s.f(a text, OUT "to" integer) TO PUBLIC;
RESET SESSION AUTHORIZATION;
GRANT CREATE ON SCHEMA s TO reader;
"""
NEW = {"reader": "Neu; er", 'a"b': "c", "Web 'app'": 'q"', "public": "wrong", "to": "wrong", "shop": "other"}


@pytest.mark.parametrize(
    ("kind", "sql", "wanted"),
    [
        pytest.param(
            "ACL", RIGHTS,
            RIGHTS.replace("FROM shop", 'FROM "other"').replace("TO reader", 'TO "Neu; er"').replace('"a""b"', '"c"')
            .replace('"Web \'app\'"', '"q"""'), id="rights",
        ),
        pytest.param(
            "DEFAULT ACL", "ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA s REVOKE ALL ON TABLES FROM reader;",
            'ALTER DEFAULT PRIVILEGES FOR ROLE "other" IN SCHEMA s REVOKE ALL ON TABLES FROM "Neu; er";', id="defaults",
        ),
        pytest.param(
            "POLICY",
            "-- TO reader\nCREATE POLICY reader ON s.t FOR SELECT TO x, reader, shop USING ((a = 'TO reader')) WITH CHECK (b TO reader);",
            "-- TO reader\nCREATE POLICY reader ON s.t FOR SELECT TO x, \"Neu; er\", \"other\" USING ((a = 'TO reader'))"
            " WITH CHECK (b TO reader);", id="policy",
        ),
        pytest.param(
            "USER MAPPING", "CREATE USER MAPPING FOR reader SERVER reader OPTIONS (\"user\" E'a\\'TO reader');",
            "CREATE USER MAPPING FOR \"Neu; er\" SERVER reader OPTIONS (\"user\" E'a\\'TO reader');", id="user mapping",
        ),
        pytest.param("FUNCTION", "GRANT a TO reader;", "GRANT a TO reader;", id="a function is left alone"),
        pytest.param("ACL", "COMMENT ON x IS 'a'; GRANT a TO reader", "COMMENT ON x IS 'a'; GRANT a TO \"Neu; er\"", id="no end"),
    ],
)  # fmt: skip
def test_roles_are_replaced(kind: str, sql: str, wanted: str) -> None:
    """Names are quoted as they must be; PUBLIC is nobody's name."""
    (found,) = renamed(Contents(entries=(entry(kind, sql, owner="reader"),)), NEW).entries
    assert (found.owner, found.definition) == ("Neu; er", wanted)


def test_what_names_nobody_stays_as_it_is() -> None:
    """Also what has no SQL at all."""
    entries = (
        entry("ACL", None, owner="x"),
        entry("TABLE", "TO reader", owner=None),
        entry("ACL", "GRANT a TO y;", owner="x"),
    )
    assert renamed(Contents(entries=entries), NEW).entries == entries


def test_roles_that_are_named_are_needed() -> None:
    """The owner, and those in rights, once each; of a function only the owner."""
    assert roles_of(entry("ACL", RIGHTS, owner="shop")) == {"shop", "Web 'app'", 'a"b', "reader"}
    assert roles_of(entry("FUNCTION", RIGHTS, owner="")) == set()
    assert roles_of(entry("ACL", None)) == set()


def test_rights_that_others_passed_on() -> None:
    """Only the owner's stay; those of an entry without others are left as they are."""
    plain = entry("ACL", "GRANT a TO b;\n")
    assert (given_by_others(entry("ACL", RIGHTS)), given_by_others(plain), given_by_others(entry("ACL", None))) == (
        True,
        False,
        False,
    )
    assert not given_by_others(entry("FUNCTION", RIGHTS))
    assert given_by_owner(plain) is plain
    kept = given_by_owner(entry("ACL", RIGHTS)).definition or ""
    assert kept.splitlines() == [RIGHTS.splitlines()[at] for at in (0, 1, 6)]


def test_who_is_given_what() -> None:
    """By name or with everything, by a GRANT alone."""
    rights = entry(
        "ACL",
        "REVOKE CREATE ON SCHEMA s FROM a; GRANT CREATE ON SCHEMA s TO b; GRANT ALL ON SCHEMA s TO c; GRANT USAGE ON SCHEMA s TO d;",
    )
    assert [gives(rights, "CREATE", role) for role in "abcd"] == [False, True, True, False]
    assert not gives(entry("ACL", None), "CREATE", "a")


def test_words_are_what_is_neither_name_nor_string() -> None:
    """Bodies of functions are strings, whatever is in them."""
    sql = """CREATE FUNCTION "LANGUAGE" () LANGUAGE plpgsql SET x TO 'LANGUAGE c' AS $a$ LANGUAGE c $$ x $$ $a$; -- LANGUAGE c"""
    assert words_of(sql) == ("CREATE", "FUNCTION", "LANGUAGE", "PLPGSQL", "SET", "X", "TO", "AS")
