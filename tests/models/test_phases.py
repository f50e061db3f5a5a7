"""Phases of a run: outer ones are without inner ones, other threads add CPU seconds alone."""

import threading
from contextvars import copy_context

import pytest

from models import phases
from models.phases import Phase, PhaseRecorder, PhaseUsage


class Clocks:
    """Wall clock and CPU clock that a test moves."""

    def __init__(self) -> None:
        self.wall = 100.0
        self.cpu = 10.0

    def spend(self, wall: float, cpu: float) -> None:
        self.wall += wall
        self.cpu += cpu


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    moved = Clocks()
    monkeypatch.setattr(phases, "perf_counter", lambda: moved.wall)
    monkeypatch.setattr(phases, "thread_time", lambda: moved.cpu)
    return moved


def figures(recorder: PhaseRecorder) -> list[tuple[str, float, float, int]]:
    return [(each.name, each.seconds, each.cpu_seconds, each.rows) for each in recorder.phases()]


def test_an_outer_phase_is_without_the_inner_one(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder, Phase("store", rows=7):
        clocks.spend(2.0, 1.0)
        with Phase("check") as check:
            clocks.spend(4.0, 3.0)
            check.rows = 5
        clocks.spend(1.0, 0.5)
    assert figures(recorder) == [("check", 4.0, 3.0, 5), ("store", 3.0, 1.5, 7)]


def test_entries_of_one_name_add_up(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder:
        for _ in range(3):
            with Phase("fetch", rows=2):
                clocks.spend(1.0, 0.25)
    assert figures(recorder) == [("fetch", 3.0, 0.75, 6)]


def test_a_lap_takes_what_was_used_since_the_last_one(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder, Phase("prepare") as training:
        with Phase("features"):
            clocks.spend(1.0, 1.0)
        clocks.spend(5.0, 4.0)
        training.lap("seed 0")
        clocks.spend(6.0, 5.0)
        training.lap("seed 1")
        clocks.spend(0.5, 0.5)
    assert figures(recorder) == [
        ("features", 1.0, 1.0, 0), ("seed 0", 5.0, 4.0, 0), ("seed 1", 6.0, 5.0, 0), ("prepare", 0.5, 0.5, 0)
    ]  # fmt: skip


def test_what_a_worker_measured_is_not_counted_twice(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder, Phase("hand over") as waiting:
        clocks.spend(10.0, 0.5)
        waiting.absorb((PhaseUsage("features", 3.0, 2.5, 1_000, 40), PhaseUsage("train", 6.0, 9.0, 2_000, 0)))
    assert figures(recorder) == [("features", 3.0, 2.5, 40), ("train", 6.0, 9.0, 0), ("hand over", 1.0, 0.5, 0)]
    assert [each.peak_bytes for each in recorder.phases()][:2] == [1_000, 2_000]


def test_a_thread_of_a_pool_adds_cpu_seconds_alone(clocks: Clocks) -> None:
    def fetch() -> None:
        with Phase("fetch", rows=3):
            clocks.spend(2.0, 1.0)

    with PhaseRecorder() as recorder:
        thread = threading.Thread(target=copy_context().run, args=(fetch,))
        thread.start()
        thread.join()
    assert figures(recorder) == [("fetch", 0.0, 1.0, 3)]


def test_without_a_recorder_nothing_is_measured(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder:
        pass
    with Phase("late") as phase:
        clocks.spend(1.0, 1.0)
        phase.lap("later")
        phase.absorb((PhaseUsage("worker"),))
    assert recorder.phases() == ()


def test_a_phase_that_fails_is_measured(clocks: Clocks) -> None:
    def check() -> None:
        with Phase("check"):
            clocks.spend(1.5, 1.0)
            raise ZeroDivisionError

    with PhaseRecorder() as recorder, pytest.raises(ZeroDivisionError):
        check()
    assert figures(recorder) == [("check", 1.5, 1.0, 0)]


@pytest.mark.skipif(phases.peak_memory() == 0, reason="the system does not tell the peak of a process")
def test_the_peak_is_that_of_the_phase_and_not_of_the_process() -> None:
    with PhaseRecorder() as recorder:
        with Phase("large"):
            block = bytearray(200_000_000)
            block[::4096] = bytes(len(block[::4096]))
        del block
        with Phase("small"):
            pass
    large, small = (each.peak_bytes for each in recorder.phases())
    assert large - small > 150_000_000


def test_cpu_seconds_and_memory_of_another_process_count_for_the_open_phase(clocks: Clocks) -> None:
    with PhaseRecorder() as recorder, Phase("prepare") as training:
        clocks.spend(5.0, 0.5)
        phases.count_other_process(4.0, 2**50)
        training.lap("seed 0")
        clocks.spend(1.0, 0.25)
    phases.count_other_process(9.0, 1)  # no phase is open
    assert figures(recorder) == [("seed 0", 5.0, 4.5, 0), ("prepare", 1.0, 0.25, 0)]
    assert recorder.phases()[0].peak_bytes == 2**50
