"""The port of its own: the same metrics without a key, for few clients at a time, and none forever."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from service.api.common.dependencies import Reader
from service.api.metrics import own_port
from service.api.metrics.exposition import Metrics
from service.api.metrics.own_port import metrics_port
from service.app import bind
from service.db.session import Database
from service.errors import PortInUse
from service.settings import Settings
from tests.support.api.scrape import Scrape
from tests.support.postgres import free_port


@contextmanager
def opened(file: Path, **values: object) -> Iterator[int | None]:
    database = Database(f"sqlite:///{file}")
    settings = Settings(**values)  # type: ignore[arg-type]
    try:
        with metrics_port(settings, Metrics(Reader(settings, database), "1.2.3")) as port:
            yield port
    finally:
        database.close()


def test_without_the_setting_there_is_no_port(filled_file: Path) -> None:
    with opened(filled_file) as port:
        assert port is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_serves_the_metrics_until_the_end(filled_file: Path, host: str) -> None:
    port = free_port()
    url = f"http://{'[::1]' if ':' in host else host}:{port}/metrics"
    try:
        with opened(filled_file, metrics_port=port, metrics_host=host):
            scrape = Scrape(httpx.get(url).text)
    except PortInUse:
        pytest.skip("this machine has no IPv6")
    assert scrape.value("tplus_build_info", version="1.2.3") == 1
    assert scrape.value("tplus_edition_number") == 3
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_in_use_is_refused_in_one_sentence(filled_file: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        expected = (
            f"port {port} on 127.0.0.1 for the metrics is in use; stop the other program, "
            "or set TPLUS_METRICS_PORT and TPLUS_METRICS_HOST"
        )
        with pytest.raises(PortInUse, match=expected), opened(filled_file, metrics_port=port):
            pass


def test_silent_clients_take_no_place_for_long_and_no_more_than_there_are(
    filled_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_port._Handler, "timeout", 0.5)
    port = free_port()
    with opened(filled_file, metrics_port=port), ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(20)]
        for each in silent:
            each.settimeout(10)
        assert [each.recv(1) for each in silent] == [b""] * 20  # all closed: the surplus at once, the others in time
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
