"""The server process: it reports its address, ends on a signal, and refuses an address that is in use."""

import json
import shutil
import signal
import threading
from pathlib import Path

import httpx
import pytest

from service.app import bind, create_app, serve
from service.errors import PortInUse
from service.settings import Settings
from tests.support.api_process import start_api
from tests.support.postgres import free_port


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        folder = tmp_path / "never"
        expected = f"port {port} on 127.0.0.1 is in use; stop the other program or set TPLUS_PORT"
        with pytest.raises(PortInUse, match=expected):
            serve(Settings(port=port, data_dir=folder))
        assert not folder.exists()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortInUse, match=r"port 9 on 192\.0\.2\.1 cannot be used"):
        bind("192.0.2.1", 9)


def test_the_process_listens_answers_and_ends_on_a_signal(filled_file: Path) -> None:
    port = free_port()
    process = start_api(filled_file, port)
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
        assert event["url"] == f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=event["url"]) as client:
            assert client.get("/v1/forecasts/AAPL").json()["as_of"] == "2018-06-01"
            assert client.get("/v1/forecasts/MSFT").status_code == 503
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode in (0, -signal.SIGTERM, 143)
        assert errors == ""
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


def test_a_failed_start_is_reported_in_one_sentence(filled_file: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        process = start_api(filled_file, port)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors == f"port {port} on 127.0.0.1 is in use; stop the other program or set TPLUS_PORT\n"


def test_listening_for_other_machines_without_a_key_is_refused_at_start(filled_file: Path, tmp_path: Path) -> None:
    database = Path(shutil.copy(filled_file, tmp_path / "own.db"))
    # Not a way to write loopback that settings accept, although the system resolves it to 127.0.0.1.
    settings = {"TPLUS_HOST": "127.1"}
    process = start_api(database, settings=settings)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    sentence = "TPLUS_HOST=127.1 lets other machines reach the API, and the database has no valid key"
    assert json.loads(errors)["event"].startswith(sentence)
    (tmp_path / "key").write_text("tplus_" + "k" * 43)
    process = start_api(database, settings={**settings, "TPLUS_API_KEY_FILE": str(tmp_path / "key")})
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        with httpx.Client(base_url=json.loads(process.stdout.readline())["url"]) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
            assert client.get("/v1/status").status_code == 401
            key = {"Authorization": "Bearer tplus_" + "k" * 43}
            assert client.get("/v1/status", headers=key).status_code == 200
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


OPERATIONS = {
    "/v1/forecasts": "list_forecasts",
    "/v1/forecasts/{symbol}": "get_forecast",
    "/v1/forecasts/{symbol}/history": "list_past_forecasts",
    "/v1/figures/{symbol}": "get_figure",
    "/v1/prices/{symbol}": "list_prices",
    "/v1/symbols": "list_symbols",
    "/v1/watchlist": "list_watchlist",
    "/v1/models": "list_models",
    "/v1/models/{id}": "get_model",
    "/v1/runs": "list_runs",
    "/v1/runs/{id}": "get_run",
    "/v1/accuracy": "list_track_records",
    "/v1/status": "get_status",
    "/v1/events": "stream_events",
    "/v1/ledger": "get_ledger",
    "/v1/run-requests": "list_run_requests",
    "/v1/run-requests/{id}": "get_run_request",
    "/v1/subscriptions": "list_subscriptions",
    "/v1/subscriptions/{id}": "get_subscription",
    "/v1/audit": "list_audit",
    "/v1/session": "get_session",
    "/healthz": "get_liveness",
    "/readyz": "get_readiness",
    "/metrics": "get_metrics",
}


def test_operation_ids_are_names_for_a_client(tmp_path: Path) -> None:
    document = create_app(Settings(data_dir=tmp_path)).openapi()
    found = {
        (method, path): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {path: name for (method, path), name in found.items() if method == "get"} == OPERATIONS
    assert found["post", "/v1/subscriptions"] == "create_subscription"
    assert found["delete", "/v1/subscriptions/{id}"] == "delete_subscription"
    assert found["post", "/v1/subscriptions/{id}/test"] == "send_test_alert"
    assert len(set(found.values())) == len(found)
