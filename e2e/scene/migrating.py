"""A DatabaseMigration as people write it: a ConfigMap of files, what is wanted, and what the ledger says came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scene.evidence import conditions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scene.api import Json
    from scene.tenant import Tenant

PLURAL: Final = "databasemigrations"
BEGIN, INDEX = "20260131_120000_newsletter", "20260201_093000_by_email"
FILES: Final = {
    f"{BEGIN}.sql": "create table newsletter (id bigint generated always as identity primary key, email text);\n",
    f"{BEGIN}.down.sql": "drop table newsletter;\n",
}
MORE: Final = {f"{INDEX}.sql": "create unique index concurrently newsletter_by_email on newsletter (email);\n"}


def source(tenant: Tenant, files: Mapping[str, str], name: str = "shop-migrations") -> None:
    """Make the ConfigMap, or give it exactly these files."""
    metadata = {"name": name, "labels": {"dbcustody.dev/migration-source": "shop"}}
    if tenant.api.get("configmaps", name, tenant.name) is None:
        tenant.api.create("configmaps", {"metadata": metadata, "data": dict(files)}, tenant.name)
    else:
        change = [{"op": "replace", "path": "/data", "value": dict(files)}]
        tenant.api.patch("configmaps", name, tenant.name, change)


def spec(**more: Any) -> dict[str, Any]:
    """Return what is wanted of the ConfigMap of the usual name."""
    return {"databaseRef": {"name": "shop"}, "source": {"configMapRefs": [{"name": "shop-migrations"}]}, **more}


def applied(tenant: Tenant, current: str, name: str = "shop") -> Json:
    """Return the resource once everything is in, the last of it *current*."""
    found: Json = tenant.until(
        lambda: _stands(tenant.get(PLURAL, name), current), f"{current} is in and the resource is ready"
    )
    return found


def _stands(body: Json, current: str) -> Json | None:
    ready = conditions(body).get("Ready", {})
    is_there = (body.get("status") or {}).get("currentRevision") == current
    return body if is_there and ready.get("status") == "True" else None


def attempts(tenant: Tenant) -> list[tuple[str, str]]:
    """Return what the ledger says was tried, and how it ended."""
    query = "select a.name, o.state from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id order by a.id, o.id"
    return [(str(name), str(state)) for name, state in tenant.shop.execute(query)]
