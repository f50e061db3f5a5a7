"""Moving windows in shared memory: exact up to one part of a window, for several processes, in a fixed size."""

import os
import subprocess
import sys
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.limits.shared_windows import DIVISIONS, SIZE, SharedWindows, shared_file

SECONDS = 60.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_window_allows_its_limit_and_no_more() -> None:
    clock = Clock()
    windows = SharedWindows(clock=clock)
    assert [windows.acquire("a", 3, SECONDS) for _ in range(5)] == [True, True, True, False, False]
    assert windows.acquire("b", 3, SECONDS)
    assert windows.window("a", SECONDS).number == 3


def test_a_request_leaves_the_window_after_its_length_and_at_most_one_part_more() -> None:
    clock = Clock()
    windows = SharedWindows(clock=clock)
    assert windows.acquire("a", 1, SECONDS)
    clock.now = 1059.9
    assert not windows.acquire("a", 1, SECONDS)
    assert windows.window("a", SECONDS) == (1, 1061.0 - 1059.9)
    clock.now = 1061.0
    assert windows.acquire("a", 1, SECONDS)


def test_more_than_fits_at_once_is_refused_and_not_counted() -> None:
    windows = SharedWindows(clock=Clock())
    assert not windows.acquire("a", 3, SECONDS, amount=4)
    assert windows.acquire("a", 3, SECONDS, amount=3)


def test_clearing_forgets_every_key() -> None:
    windows = SharedWindows(clock=Clock())
    assert windows.acquire("a", 1, SECONDS)
    windows.clear()
    assert windows.acquire("a", 1, SECONDS)


def test_many_keys_take_no_more_memory_and_push_out_those_unused_for_longest() -> None:
    clock = Clock()
    windows = SharedWindows(clock=clock)
    assert windows.acquire("kept", 2, 3600)
    for number in range(20_000):
        clock.now += 0.001
        assert windows.acquire(f"key {number}", 1, 3600)
        if number % 100 == 0:
            assert windows.window("kept", 3600).number == 1
            windows.acquire("kept", 1, 3600)  # refused; a use all the same
    assert SIZE < 3_000_000


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=120),
    limit=st.integers(1, 12),
)
def test_it_is_between_a_window_and_a_window_longer_by_one_part(steps: list[float], limit: int) -> None:
    clock = Clock(5000.0)
    windows = SharedWindows(clock=clock)
    allowed: deque[float] = deque()
    for step in steps:
        clock.now += step
        in_window = sum(clock.now - at < SECONDS for at in allowed)
        in_longer = sum(clock.now - at <= SECONDS * (1 + 1 / DIVISIONS) for at in allowed)
        is_allowed = windows.acquire("a", limit, SECONDS)
        if is_allowed:
            assert in_window < limit
            allowed.append(clock.now)
        else:
            assert in_longer >= limit


def test_processes_count_together() -> None:
    file = shared_file()
    windows = SharedWindows(file)
    code = (
        "import sys; from service.api.limits.shared_windows import SharedWindows\n"
        "windows = SharedWindows(int(sys.argv[1]))\n"
        "print(sum(windows.acquire('a', 500, 3600) for _ in range(400)))"
    )
    command = [sys.executable, "-c", code, str(file)]
    children = [subprocess.Popen(command, pass_fds=[file], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(counts) == 500
    assert windows.window("a", 3600).number == 500
    os.close(file)


@given(st.lists(st.tuples(st.floats(0.0, 40.0), st.sampled_from("ab")), max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_hit_is_an_acquisition_and_the_window_after_it(steps: list[tuple[float, str]]) -> None:
    clock = Clock()
    one, two = SharedWindows(clock=clock), SharedWindows(clock=clock)
    for seconds, key in steps:
        clock.now += seconds
        assert one.hit(key, 5, SECONDS) == (two.acquire(key, 5, SECONDS), two.window(key, SECONDS))
