"""Counts and durations of requests, by route template: never by the path that a client sends."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

UNMATCHED = "unmatched"
"""Route of a request that no route matches."""

ABORTED = "aborted"
"""Status class of a request whose client left before the answer began."""

OTHER_METHOD = "OTHER"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("route", "method", "status")


class RequestMetrics:
    """Counts the requests of one process, or of all worker processes if they share a folder.

    Args:
        registry: Receives the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a third of all series, and Prometheus does without
        self._requests = Counter(
            "tplus_http_requests", "Requests answered, by route template.", _LABELS, registry=registry
        )
        self._seconds = Histogram(
            "tplus_http_request_duration_seconds",
            "Seconds until an answer was complete; of an event stream, until its start.",
            _LABELS,
            buckets=_BUCKETS,
            registry=registry,
        )
        # Few: route templates times methods times classes. Finding a series by its labels costs more than counting.
        self._series: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._open = Gauge(
            "tplus_http_requests_in_progress",
            "Requests being answered now, open event streams included.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def begin(self) -> None:
        """Count a request that is being answered."""
        self._open.inc()

    def end(self, route: str, method: str, status: int | None, seconds: float) -> None:
        """Count an ended request.

        Args:
            route: Its route template.
            method: Its method.
            status: Status of the answer; None if the client left before.
            seconds: How long the answer took.
        """
        self.leave()
        self.count(route, method, status, seconds)

    def leave(self) -> None:
        """Count a request as no longer being answered."""
        self._open.dec()

    def count(self, route: str, method: str, status: int | None, seconds: float) -> None:
        """Count a request that was answered at once; see `end`."""
        labels = (route, method if method in _METHODS else OTHER_METHOD, status_class(status))
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = (self._requests.labels(*labels), self._seconds.labels(*labels))
        series[0].inc()
        series[1].observe(seconds)


def status_class(status: int | None) -> str:
    """Return `2xx` for 200, and so on; `aborted` without a status."""
    return ABORTED if status is None else f"{status // 100}xx"
