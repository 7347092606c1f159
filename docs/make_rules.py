"""Writes docs/migration-rules.md from the rules in the code: `python docs/make_rules.py`."""  # noqa: INP001 - a script beside its page

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.jobs.revision import previewed
from dbcustody.migration.lint import RULES, judge
from dbcustody.migration.relation import Relation
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.squawk import missing
from dbcustody.migration.tablefacts import TableFacts

if TYPE_CHECKING:
    from dbcustody.migration.finding import Finding

PAGE: Final = Path(__file__).parent / "migration-rules.md"
FILE: Final = "20260131_120000_example.sql"
HEAD: Final = """# The rules for migrations

What `dbcustody migrate lint` finds, under the name that a waiver gives it, with an example and, where there is one, the recipe that is
printed for it. [Migrations](migrations.md#what-is-refused) says what weighs how much, and how a finding is waived. This page is made from
the rules by `docs/make_rules.py`; every recipe is carried out by `tests/jobs/test_migration_recipes.py` on PostgreSQL 14 and 18, and comes
to the same as what it takes the place of.
"""
EXAMPLES: Final = {
    "add-foreign-key": "alter table orders add foreign key (customer) references customers;",
    "add-check": "alter table orders add constraint positive check (amount > 0);",
    "add-unique": "alter table customers add unique (email);",
    "set-not-null": "alter table customers alter column email set not null;",
    "change-type": "alter table orders alter column amount type bigint;",
    "add-column-default": "alter table orders add column token uuid not null default gen_random_uuid();",
    "add-column-required": "alter table orders add column country text not null;",
    "add-column-checked": "alter table orders add column refund bigint check (refund > 0);",
    "create-index": "create index orders_by_customer on orders (customer);",
    "drop-index": "drop index orders_by_customer;",
    "reindex": "reindex table orders;",
    "index-if-not-exists": "create index concurrently if not exists orders_by_customer on orders (customer);",
    "drop-column": "alter table orders drop column amount;",
    "drop-table": "drop table orders;",
    "drop-cascade": "drop view open_orders cascade;",
    "drop-owned": "drop owned by somebody;",
    "truncate": "truncate orders;",
    "delete-all": "delete from orders;",
    "update-all": "update orders set country = 'DK';",
    "rename-column": "alter table orders rename column amount to total;",
    "rename-table": "alter table orders rename to purchases;",
    "vacuum-full": "vacuum full orders;",
    "cluster": "cluster orders using orders_by_customer;",
    "refresh-view": "refresh materialized view totals;",
    "lock-table": "lock table orders;",
    "create-trigger": "create trigger audit after insert on orders for each row execute function note();",
    "detach-partition": "alter table events detach partition events_2025;",
    "attach-partition": "alter table events attach partition events_2026 for values from ('2026-01-01') to ('2027-01-01');",
    "slow-while-locked": "alter table orders set unlogged;",
    "many-strong-locks": "alter table orders add column note text;\nalter table customers add column note text;",
    "lock-upgrade": "insert into orders (id) values (1);\nalter table orders add column note text;",
    "work-while-locked": "alter table orders add column note text;\nupdate orders set note = '' where id < 1000000;",
    "lock-order": "alter table b add column note text;\nalter table a add column note text;",
    "grant-public": "grant select on orders to public;",
    "create-extension": "create extension pg_trgm;",
    "enum-value": "alter type mood add value 'calm';\ninsert into people (mood) values ('calm');",
    "unknown-effect": "execute something;",
    "python-revision": 'from alembic import op\n\n\ndef upgrade():\n    op.create_table("notes")',
    "python-unseen": 'from alembic import op\n\n\ndef upgrade():\n    for name in op.get_bind().exec_driver_sql("select ...").all():\n'
    "        op.drop_table(name)",
    "python-commits": "from alembic import op\n\n\ndef upgrade():\n    with op.get_context().autocommit_block():\n"
    '        op.execute("vacuum")\n    op.drop_table("notes")',
    "squawk-missing": "",
    "waiver-unused": "-- dbcustody: allow drop-column because nobody reads it\nselect 1;",
    "waiver-unknown": "-- dbcustody: allow drop-colum because nobody reads it\nalter table orders drop column amount;",
}
BEFORE: Final = {"lock-order": "alter table a add column x text;\nalter table b add column x text;"}
"""What stands in an earlier file, where a rule looks at two."""


FACTS: Final = {Relation("", "orders"): TableFacts(size_bytes=2**33, rows=41_000_000, columns={"amount": "integer"})}
"""What is known of a table, where a recipe needs it."""


def example_of(rule: str) -> Finding:
    """Return what *rule* finds in its example."""
    if rule == "squawk-missing":
        return missing("the program squawk is not on this machine")
    texts = {"20260130_120000_before.sql": BEFORE[rule]} if rule in BEFORE else {}
    file = FILE.replace(".sql", ".py") if _is_python(rule) else FILE
    files = [SourceFile(name=name, content=text.encode()) for name, text in (texts | {file: EXAMPLES[rule]}).items()]
    facts = FACTS if rule == "rename-column" else {}
    found = judge([previewed(script) for script in read_scripts(files).scripts], facts)[-1].findings
    return next(finding for finding in found if finding.rule == rule)


def _is_python(rule: str) -> bool:
    return rule.startswith("python-")


def text() -> str:
    """Return the page."""
    parts = [HEAD]
    for rule, says in RULES.items():
        finding = example_of(rule)
        parts.append(
            f"\n## {rule}\n{says[0].upper()}{says[1:]}. {finding.severity.label}, where nothing is known of the tables.\n"
        )
        if EXAMPLES[rule]:
            parts.append(f"```{'python' if _is_python(rule) else 'sql'}\n{EXAMPLES[rule]}\n```\n")
        helps = finding.helps[0].upper() + finding.helps[1:]
        parts.append(f"{helps}.\n" if finding.recipe is None else f"{helps}:\n```sql\n{finding.recipe}```\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text())
