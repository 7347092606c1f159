"""The operator's metrics: its own work as counters, and the resources as they are known at the moment of a scrape.

Names of resources stand in `cr_namespace` and `cr_name`, because Prometheus takes `namespace` for itself. Beside names, also of migrations,
nothing that a person wrote, and no text of an error, is ever a label. What is gone from the cluster is not in the next scrape.
"""

from __future__ import annotations

import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import INF, floatToGoString

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.contract import JobResult

DURATIONS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
OBJECT: Final = ("cr_namespace", "cr_name")
Sampler = Callable[[], Iterable[Metric]]


class Metrics(Collector):
    """All instruments of one process, in a registry of its own."""

    def __init__(self, samplers: Iterable[Sampler] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._samplers = list(samplers)
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("dbcustody_build", "What runs.", registry=registry).info(
            {"version": version("dbcustody"), "python": platform.python_version(), "kopf": version("kopf")}
        )
        kind, verb = ("kind",), ("verb", "code_class")
        self.reconciles = Counter("dbcustody_reconcile", "Looks at a resource.", kind, registry=registry)
        self.reconcile_errors = Counter(
            "dbcustody_reconcile_errors", "Looks that failed and are repeated.", (*kind, "error"), registry=registry
        )
        self.reconcile_seconds = Histogram(
            "dbcustody_reconcile_duration_seconds", "How long a look takes.", kind, buckets=DURATIONS, registry=registry
        )
        self.requests = Counter("dbcustody_kubernetes_requests", "Requests to the API server.", verb, registry=registry)
        self.request_errors = Counter(
            "dbcustody_kubernetes_requests_errors", "Requests without a good answer.", verb, registry=registry
        )
        self.request_seconds = Histogram(
            "dbcustody_kubernetes_requests_duration_seconds",
            "How long the API server takes.",
            ("verb",),
            registry=registry,
        )
        self.leader = Gauge("dbcustody_leader", "1 while this replica leads.", registry=registry)
        self.heartbeat = Gauge(
            "dbcustody_heartbeat_timestamp_seconds", "When a loop last turned.", ("loop",), registry=registry
        )
        self.results = Counter(
            "dbcustody_job_results", "Jobs that ended with a result.", ("verb", "reason"), registry=registry
        )
        self.left_data = Counter(
            "dbcustody_data_left_in_storage", "Backups deleted without their data.", registry=registry
        )
        registry.register(self)

    def add_sampler(self, sampler: Sampler) -> None:
        """Have *sampler* asked at every scrape."""
        self._samplers.append(sampler)

    def describe(self) -> list[Metric]:
        """Return nothing: what the samplers yield is known only when they are asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what the samplers know now."""
        for sampler in self._samplers:
            yield from sampler()

    def count_request(self, verb: str, status: int, seconds: float) -> None:
        """Count one request to the API server; *status* 0 means: no answer."""
        code_class = f"{status // 100}xx" if status else "none"
        self.requests.labels(verb, code_class).inc()
        self.request_seconds.labels(verb).observe(seconds)
        if not 200 <= status < 300 and status not in {404, 409}:  # noqa: PLR2004 - answers that are expected
            self.request_errors.labels(verb, code_class).inc()

    def count_reconcile(self, kind: str, seconds: float, error: str | None) -> None:
        """Count one look at a resource; *error* None means: it went well."""
        self.reconciles.labels(kind).inc()
        self.reconcile_seconds.labels(kind).observe(seconds)
        self.heartbeat.labels("reconcile").set(time.time())  # noqa: TID251 - Prometheus compares it with its own clock
        if error is not None:
            self.reconcile_errors.labels(kind, error).inc()

    def count_job(self, result: JobResult) -> None:
        """Count the end of a Job."""
        self.results.labels(result.verb.value, result.reason.value).inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def gauge(name: str, text: str, labels: Iterable[str], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """Return the gauge *name* with a value for each row of labels."""
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for row, value in rows:
        family.add_metric(row, value)
    return family


def counter(name: str, text: str, labels: Iterable[str], rows: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    """Return the counter *name* (exposed with `_total` behind) with a value for each row of labels."""
    family = CounterMetricFamily(name, text, labels=tuple(labels))
    for row, value in rows:
        family.add_metric(row, value)
    return family


class Spread:
    """How what was measured spreads over buckets, each from the bound before it to its own; what is beyond the last one has one, too."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, INF)
        self._counts = [0] * len(self._bounds)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Put *value* into its bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as Prometheus writes it, with how many were not above it."""
        return list(zip(map(floatToGoString, self._bounds), accumulate(self._counts), strict=True))


def histogram(name: str, text: str, labels: Iterable[str], rows: Iterable[tuple[tuple[str, ...], Spread]]) -> Metric:
    """Return the histogram *name* with a spread for each row of labels."""
    family = HistogramMetricFamily(name, text, labels=tuple(labels))
    for row, spread in rows:
        family.add_metric(row, buckets=spread.buckets, sum_value=spread.sum)
    return family


def seconds(moment: datetime | None) -> float:
    """Return *moment* as Prometheus counts time; None is 0."""
    return moment.timestamp() if moment is not None else 0.0
