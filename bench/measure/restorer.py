"""One restore in a process of its own, the same code as behind `dbcustody restore`; prints what it took as one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from dbcustody.contract import Verb
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.garbage import collect_rarely
from dbcustody.jobs.restoration import RestoreOrder, restore
from dbcustody.jobs.source import open_source
from dbcustody.jobs.stock import take_stock
from dbcustody.plan.restoration import Wish
from measure.child import make_request, make_tools


def main() -> None:
    """Do what the JSON on standard input asks for; the first time of each stage is told, in seconds from the beginning of the work."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    collect_rarely()
    started, stages = time.monotonic(), dict[str, float]()
    request, tools = make_request(wanted), make_tools(wanted, lambda _: None)
    storage = open_storage(tools, request)
    backup = take_stock(storage, "bench.shop", tools).live[-1]
    order = RestoreOrder(
        source=open_source(storage, backup),
        server=tools.target(Verb.BACKUP).at("postgres"),
        wish=Wish(database=wanted["database"]),
        parallelism=wanted.get("parallelism", 1),
        report=lambda told: stages.update({told.summary: stages.get(told.summary, time.monotonic() - started)}),
    )
    restored = restore(order, tools)
    ended = time.monotonic() - started
    told = {
        "restore_seconds": ended,
        "loaded_seconds": stages["Sequences and statistics"],
        "rows": restored.accepted.rows,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
