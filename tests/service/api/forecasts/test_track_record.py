"""Skill over several steps: its p is the largest of the steps."""

from datetime import date

import pytest

from service.api.common.rows import TrackRecordRow
from service.api.forecasts.track_record import build_skill


def record(pinball: float, p: float | None, n: int = 100) -> TrackRecordRow:
    session = date(2018, 6, 1)
    return TrackRecordRow(
        1,
        "symbol",
        "AAPL",
        "multi_step",
        1,
        "served",
        "live",
        session,
        n,
        pinball,
        0.004,
        None,
        0.5,
        0.8,
        0.95,
        0.01,
        p,
    )


@pytest.mark.parametrize(
    ("ps", "expected"),
    [((0.01, 0.2, 0.03), 0.2), ((0.01, 0.002, 0.03), 0.03), ((0.01, None, 0.03), None)],
)
def test_the_largest_p_of_the_steps_counts(ps: tuple[float | None, ...], expected: float | None) -> None:
    skill = build_skill([record(0.003, p) for p in ps], "live", 3)
    assert skill.value == pytest.approx(0.25)
    assert skill.p == expected


def test_skill_without_a_value_has_no_p() -> None:
    few = build_skill([record(0.003, 0.01, n=59)], "live", 1)
    assert (few.value, few.p) == (None, None)
    incomplete = build_skill([record(0.003, 0.01)] * 2, "live", 3)
    assert (incomplete.value, incomplete.p) == (None, None)
