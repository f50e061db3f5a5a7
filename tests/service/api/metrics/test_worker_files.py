"""Several worker processes count together, and the counts of a killed one stay."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from service.api.metrics import worker_files
from service.api.metrics.worker_files import collect_workers, share_metrics
from service.settings import METRICS_FOLDER, metrics_folder
from tests.support.api.scrape import Scrape
from tests.support.api_process import start_api

COUNT = "tplus_http_requests_total"


@contextmanager
def worker(file: Path, folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run an API process that counts in the folder."""
    with (file.parent / "worker.log").open("a") as log:
        process = start_api(file, stderr=log, settings={METRICS_FOLDER: str(folder)})
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"], process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_workers_count_together_and_a_killed_one_is_not_forgotten(filled_file: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "filled.db", tmp_path / "metrics"
    file.write_bytes(filled_file.read_bytes())
    folder.mkdir()

    def scrape(url: str) -> Scrape:
        return Scrape(httpx.get(f"{url}/metrics").text)

    with ExitStack() as stack:
        (first, killed), (second, _) = (stack.enter_context(worker(file, folder)) for _ in range(2))
        for _ in range(3):
            httpx.get(f"{first}/v1/status")
        for _ in range(4):
            httpx.get(f"{second}/v1/status")
        assert {scrape(url).value(COUNT, route="/v1/status") for url in (first, second)} == {7}
        before = len(list(folder.glob("*.db")))
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        # Its file of live gauges goes; its counts go to one file for all ended workers.
        after = scrape(second)
        assert after.value(COUNT, route="/v1/status") == 7
        assert after.value("tplus_http_request_duration_seconds_count", route="/v1/status") == 7
        assert after.value("tplus_http_requests_in_progress") == 1
        assert after.value("tplus_edition_number") == 3
        assert [path.name for path in folder.glob(f"*_{killed.pid}.db")] == []
        assert len(list(folder.glob("*.db"))) == before - 1
        third, _ = stack.enter_context(worker(file, folder))
        httpx.get(f"{third}/v1/status")
        assert scrape(third).value(COUNT, route="/v1/status") == 8
    assert (file.parent / "worker.log").read_text() == ""


def write(path: Path, counts: dict[str, float]) -> None:
    file = worker_files.MmapedDict(str(path))
    for name, value in counts.items():
        key = json.dumps([name, f"{name}_total", {}, "help"], sort_keys=True)
        file.write_value(key, value, 0.0)
    file.close()


def ended_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_many_ended_workers_leave_one_file_per_kind(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"counter_{ended_process()}.db", {"tplus_a": 1.0, "tplus_b": float(number)})
    write(tmp_path / f"counter_{os.getpid()}.db", {"tplus_a": 5.0})
    for _ in range(2):
        totals = {metric.name: metric.samples[0].value for metric in collect_workers(tmp_path)}
        assert totals == {"tplus_a": 35.0, "tplus_b": 435.0}
    assert sorted(path.name for path in tmp_path.glob("*.db")) == sorted(
        [f"counter_{os.getpid()}.db", "counter_ended.db"]
    )


def test_a_damaged_file_of_an_ended_worker_is_dropped_and_the_others_count(tmp_path: Path) -> None:
    write(tmp_path / f"counter_{ended_process()}.db", {"tplus_a": 2.0})
    damaged = tmp_path / f"counter_{ended_process()}.db"
    write(damaged, {"tplus_a": 9.0})
    damaged.write_bytes(damaged.read_bytes()[:8] + b"\xff\xff\xff\x7f" + damaged.read_bytes()[12:])
    empty = tmp_path / f"counter_{ended_process()}.db"
    empty.touch()
    (tmp_path / f"counter_{os.getpid()}.db").touch()  # of a worker that starts just now
    assert [metric.samples[0].value for metric in collect_workers(tmp_path)] == [2.0]
    assert not damaged.exists()
    assert not empty.exists()


def test_the_parent_empties_the_folder_and_sets_it_for_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, "")
    assert metrics_folder() is None
    folder = tmp_path / "new"
    share_metrics(folder)
    write(folder / "counter_1.db", {"tplus_a": 1.0})
    share_metrics(folder)
    assert metrics_folder() == folder
    assert os.environ[METRICS_FOLDER] == str(folder)
    assert list(folder.glob("*.db")) == []
    assert folder.stat().st_mode & 0o777 == 0o700
