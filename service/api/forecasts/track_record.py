"""Computes skill and measured coverage from stored track records, for one or several steps."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Row

from service.api.forecasts.schemas import MIN_SESSIONS, Coverage, HeldOut, LevelHeld, Mode, Skill

LEVELS: tuple[int, ...] = (50, 80, 95)
"""Nominal levels of the intervals, percent."""


def skill_over(records: Sequence[Row[Any]], mode: str, steps: int) -> Skill:
    """Return skill over steps: 1 - summed pinball / the random walk's on the same forecasts.

    Args:
        records: Rows of the table of track records, one per step that has one.
        mode: Mode of the forecasts.
        steps: Number of expected steps; skill is null if one is missing.

    Returns:
        The skill; n is the least of the steps' sessions, p the largest of theirs.
    """
    n = _sessions(records, steps)
    newest = max((record.as_of for record in records), default=None)
    value = p = None
    if n >= MIN_SESSIONS and all(record.random_walk_pinball is not None for record in records):
        walk = sum(record.n * record.random_walk_pinball for record in records)
        if walk > 0:
            value = 1 - sum(record.n * record.pinball for record in records) / walk
            # The largest p: skill over all steps is significant only if it is at each step.
            p = None if any(record.p is None for record in records) else max(record.p for record in records)
    return Skill(value=value, n=n, kind=cast(Mode, mode), as_of=newest, p=p)


def coverage_over(records: Sequence[Row[Any]], steps: int) -> Coverage:
    """Return measured coverage over steps, each forecast counting once; no levels without scores.

    Under `MIN_SESSIONS` sessions the measured value of a level is null.
    """
    total = sum(record.n for record in records)
    if total == 0:
        return Coverage(n=0, levels=[])
    n = _sessions(records, steps)

    def measured(level: int) -> float | None:
        if n < MIN_SESSIONS:
            return None
        return float(sum(record.n * getattr(record, f"coverage_{level}") for record in records) / total)

    return Coverage(n=n, levels=[LevelHeld(level=level, measured=measured(level)) for level in LEVELS])


def held_out(metrics: dict[str, Any]) -> HeldOut | None:
    """Return a version's test figures; None without any."""
    if metrics.get("test_n") is None:
        return None
    names = ("n", "pinball", "random_walk_pinball", "skill", "coverage_50", "coverage_80", "coverage_95")
    return HeldOut(**{name: metrics.get(f"test_{name}") for name in names})


def _sessions(records: Sequence[Row[Any]], steps: int) -> int:
    return min(record.n for record in records) if len(records) == steps else 0
