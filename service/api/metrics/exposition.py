"""All metrics of the service, as Prometheus reads them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.api.common.dependencies import Reader
from service.api.metrics.database_metrics import DatabaseMetrics
from service.api.metrics.request_metrics import RequestMetrics
from service.api.metrics.worker_files import collect_workers
from service.settings import metrics_folder


class Metrics(Collector):
    """The metrics of one process, or of all worker processes if they share a folder.

    Args:
        reader: The database and the settings.
        version: The service's version.
    """

    def __init__(self, reader: Reader, version: str) -> None:
        self._version = version
        self._folder = metrics_folder()
        self._own = CollectorRegistry()
        self.requests = RequestMetrics(self._own)
        if self._folder is None:  # with several workers these would be of whichever one answers
            ProcessCollector(registry=self._own)
            PlatformCollector(registry=self._own)
        self._database = DatabaseMetrics(reader)
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; the registry calls it at a scrape."""
        yield InfoMetricFamily("tplus_build", "Version of the service.", {"version": self._version})
        yield from self._own.collect() if self._folder is None else collect_workers(self._folder)
        yield from self._database.collect()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape and its media type, in the format that an Accept header prefers."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type
