"""How things stand: read from what pg_dump writes of them, and compared with what is there."""

from __future__ import annotations

import pytest

from dbcustody.plan.object_state import Found, Thing, find_state_differences, stated
from tests.fakes.heads import Shelf

CHECK = Thing("constraint", "sales", "item positive")
TRIGGER = Thing("trigger", "sales", "item_0 touch")
INDEX = Thing("index", "sales", "item_idx")


@pytest.mark.parametrize(
    ("kind", "sql", "state"),
    [
        ("CONSTRAINT", "ALTER TABLE ONLY t\n    ADD CONSTRAINT c PRIMARY KEY (id);\n", ""),
        ("CONSTRAINT", "ALTER TABLE ONLY t\n    ADD CONSTRAINT c UNIQUE (a) DEFERRABLE;\n", "DEFERRABLE"),
        (
            "CONSTRAINT",
            "ALTER TABLE ONLY t\n    ADD CONSTRAINT c EXCLUDE USING gist (a WITH &&) DEFERRABLE INITIALLY DEFERRED;\n",
            "DEFERRABLE, INITIALLY DEFERRED",
        ),
        ("CONSTRAINT", "ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID;\n", "NOT VALID"),
        ("CHECK CONSTRAINT", "ALTER TABLE t\n    ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;\n", "NOT VALID"),
        ("CHECK CONSTRAINT", "ALTER TABLE t\n    ADD CONSTRAINT c CHECK ((a <> 'x) NOT VALID'::text));\n", ""),
        ("CHECK CONSTRAINT", 'ALTER TABLE t\n    ADD CONSTRAINT "NOT VALID" CHECK ((NOT valid));\n', ""),
        ("FK CONSTRAINT", "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u(b) NOT ENFORCED;\n", "NOT ENFORCED"),
        ("TRIGGER", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f('DISABLE');\n", ""),
        ("TRIGGER", "CREATE TRIGGER g ...;\n\nALTER TABLE t DISABLE TRIGGER g;\n", "DISABLE"),
        ("TRIGGER", "\nALTER TABLE t ENABLE ALWAYS TRIGGER g;\n", "ENABLE ALWAYS"),
        ("TRIGGER", "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW ...;\n", ""),
        ("EVENT TRIGGER", "CREATE EVENT TRIGGER g ...;\n\nALTER EVENT TRIGGER g ENABLE REPLICA;\n", "ENABLE REPLICA"),
        ("RULE", "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING;\nALTER TABLE t DISABLE RULE r;\n", "DISABLE"),
        ("INDEX", None, ""),
    ],
)  # fmt: skip
def test_state_is_what_pg_dump_writes(kind: str, sql: str | None, state: str) -> None:
    """Outside of names and strings, and nothing where it is the usual one."""
    shelf = Shelf()
    shelf.add(kind, "t c", sql=sql)
    ((thing, found),) = stated(shelf.contents).items()
    assert (thing.schema, thing.name, found) == ("public", "t c", state)


def test_only_what_has_a_state_is_looked_at() -> None:
    """A table has none, and the rule that makes a view is the view itself."""
    shelf = Shelf()
    shelf.table("t")
    shelf.add("RULE", "both _RETURN", sql="CREATE OR REPLACE VIEW both AS SELECT 1;")
    shelf.add("EVENT TRIGGER", "watch", schema="")
    assert [one.title for one in stated(shelf.contents)] == ["event trigger watch"]


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        pytest.param({CHECK: "NOT VALID"}, {CHECK: Found("NOT VALID")}, [], id="equal"),
        pytest.param(
            {CHECK: "NOT VALID"}, {CHECK: Found("")},
            ["the constraint sales.item positive is validated, not deferrable, and was NOT VALID"], id="validated by the way",
        ),
        pytest.param({CHECK: ""}, {}, ["the constraint sales.item positive is missing"], id="missing"),
        pytest.param(
            {}, {CHECK: Found("NOT VALID")},
            ["the constraint sales.item positive is NOT VALID, and was validated, not deferrable"], id="nothing was said of it",
        ),
        pytest.param({}, {TRIGGER: Found("DISABLE", "DISABLE")}, [], id="as the table's"),
        pytest.param(
            {}, {TRIGGER: Found("", "DISABLE")}, ["the trigger sales.item_0 touch is enabled, and was DISABLE"], id="not as the table's"
        ),
        pytest.param({TRIGGER: ""}, {TRIGGER: Found("", "DISABLE")}, [], id="otherwise than the table's, as it was"),
        pytest.param({INDEX: ""}, {INDEX: Found("not valid")}, ["the index sales.item_idx is not valid, and was valid"], id="index"),
    ],
)  # fmt: skip
def test_differences(wanted: dict[Thing, str], found: dict[Thing, Found], said: list[str]) -> None:
    """Both ways: what is told of must stand so, and what nobody speaks of stands as usual."""
    assert list(find_state_differences(wanted, found)) == said
