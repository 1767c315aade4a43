"""What Prometheus is told."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hub.store.progress import Worker

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One application's figures, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "peyvand_http_requests_total", "Requests answered", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "peyvand_http_request_seconds",
            "From a request's head to its answer's, live feeds left out",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.accepted = Counter(
            "peyvand_intake_accepted_total", "Commands acknowledged by Kafka", registry=self._registry
        )
        self.live_clients = Gauge("peyvand_live_clients", "Clients of the live feed", registry=self._registry)
        self.live_dropped = Counter(
            "peyvand_live_dropped_total", "Live clients dropped for reading too slowly", registry=self._registry
        )
        self._store_up = Gauge("peyvand_store_up", "1 if PostgreSQL answers", registry=self._registry)
        self._documents = Gauge("peyvand_documents", "Documents by state", ("state",), registry=self._registry)
        self._lag = Gauge(
            "peyvand_worker_lag", "Records a worker is behind", ("worker", "role"), registry=self._registry
        )
        self._silent = Gauge(
            "peyvand_worker_silent_seconds",
            "Since a worker last spoke",
            ("worker", "role"),
            registry=self._registry,
        )
        self._counters = Gauge(
            "peyvand_worker_counter",
            "What a worker has done since its start",
            ("worker", "role", "counter"),
            registry=self._registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float, *, timed: bool) -> None:
        """Count an answered request; ``route`` is the path's template."""
        self._requests.labels(method, route, str(status)).inc()
        if timed:
            self._seconds.labels(route).observe(seconds)

    def render(self, documents: Mapping[str, int] | None, workers: Iterable[Worker]) -> bytes:
        """The figures as text; ``documents`` by state is None when PostgreSQL doesn't answer."""
        self._store_up.set(0 if documents is None else 1)
        for gauge in (self._documents, self._lag, self._silent, self._counters):
            gauge.clear()
        for state, count in (documents or {}).items():
            self._documents.labels(state).set(count)
        for worker in workers:
            self._lag.labels(worker.id, worker.role).set(worker.lag)
            self._silent.labels(worker.id, worker.role).set(worker.seconds_silent)
            for counter, value in worker.counters.items():
                self._counters.labels(worker.id, worker.role, counter).set(value)
        return generate_latest(self._registry)
