"""Skill over several steps: its p is as weak as the weakest step's."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from service.api.forecasts.track_record import skill_over


def record(pinball: float, p: float | None, n: int = 100) -> Any:
    return SimpleNamespace(n=n, pinball=pinball, random_walk_pinball=0.004, p=p, as_of=date(2018, 6, 1))


@pytest.mark.parametrize(
    ("ps", "expected"),
    [((0.01, 0.2, 0.03), 0.2), ((0.01, 0.002, 0.03), 0.03), ((0.01, None, 0.03), None)],
)
def test_the_largest_p_of_the_steps_counts(ps: tuple[float | None, ...], expected: float | None) -> None:
    skill = skill_over([record(0.003, p) for p in ps], "live", 3)
    assert (skill.value, skill.p) == (pytest.approx(0.25), expected)


def test_where_nothing_is_shown_there_is_no_p() -> None:
    few = skill_over([record(0.003, 0.01, n=59)], "live", 1)
    assert (few.value, few.p) == (None, None)
    lacking = skill_over([record(0.003, 0.01)] * 2, "live", 3)
    assert (lacking.value, lacking.p) == (None, None)
