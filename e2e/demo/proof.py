"""What an act has shown, held against what is so: a story that went on though something else had happened would lie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demo.narration import Narrator
    from ground.postgres import PostgresServer

_TABLES: Final = (
    "public.customers",
    "sales.orders",
    "sales.order_lines",
    "sales.best_sellers",
    "warehouse.products",
    '"Audit Log".events',
)
_SUMMED: Final = "public.customers"
"""The table that the story spoils; of the others the rows are counted."""


class NotAsToldError(Exception):
    """Something is otherwise than the story says."""


def hold(narrator: Narrator, claim: str, *, found: object, wanted: object) -> None:
    """Tell that *claim* was checked; raises NotAsToldError when what was *found* is not what is *wanted*."""
    if found != wanted:
        raise NotAsToldError(f"{claim}: is not so; found {found!r}, not {wanted!r}")
    narrator.say(f"checked: {claim}")


def contents_of(server: PostgresServer, database: str) -> dict[str, tuple[Any, ...]]:
    """Return how many rows each table of the shop has in *database*, and of the customers a sum of all that they are."""
    queries = {table: f"select count(*) from {table}" for table in _TABLES}  # noqa: S608 - our own names
    queries[_SUMMED] = f"select count(*), sum(hashtext(one::text)) from {_SUMMED} one"  # noqa: S608
    return {table: server.execute(query, database=database)[0] for table, query in queries.items()}


def names_in(server: PostgresServer, database: str = "shop") -> int:
    """Return how many names the customers of *database* have among them."""
    return int(server.execute("select count(distinct full_name) from customers", database=database)[0][0])


def in_cluster(narrator: Narrator, kind: str, name: str) -> dict[str, Any]:
    """Return the resource *name*."""
    found: dict[str, Any] = json.loads(narrator.quiet(f"kubectl get {kind} {name} -o json"))
    return found


def verdicts(resource: dict[str, Any], kinds: Iterable[str]) -> dict[str, str]:
    """Return the status of those conditions of *resource* that are of *kinds*."""
    conditions = resource.get("status", {}).get("conditions", ())
    return {one["type"]: one["status"] for one in conditions if one["type"] in kinds}


def backups_in_storage(narrator: Narrator) -> dict[str, bool]:
    """Return the names of the backups that lie in the storage and were not deleted, with whether each is good."""
    told = json.loads(narrator.quiet("dbcustody backups list --json"))
    return {one["name"]: one["good"] for one in told["backups"] if not one["deleted"]}


def backups_in_cluster(narrator: Narrator) -> dict[str, bool]:
    """Return the names of the Backups in the cluster, with whether each succeeded and was verified."""
    items = json.loads(narrator.quiet("kubectl get backups -o json"))["items"]
    wanted = {"Succeeded": "True", "Verified": "True"}
    return {one["metadata"]["name"]: verdicts(one, wanted) == wanted for one in items}
