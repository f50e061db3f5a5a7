"""Computes skill and measured coverage from stored track records, for one or several steps."""

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

from service.api.common.rows import TrackRecordRow
from service.api.common.schemas import Mode
from service.api.forecasts.schemas import MIN_SESSIONS, Coverage, HeldOut, Skill

LEVELS: tuple[int, ...] = (50, 80, 95)
"""Nominal levels of the intervals, percent."""


_HELD_OUT_LABEL = HeldOut.model_fields["label"].default
_HELD_OUT = [name for name in HeldOut.model_fields if name not in ("label", "n")]

Fields = Mapping[str, Any]
"""The fields of a part of an answer. A whole answer is validated at once, in a third of the time of part by part."""


def build_skill(records: Sequence[TrackRecordRow], mode: Mode, steps: int) -> Skill:
    """Return skill over steps; see `skill_fields`."""
    return Skill.model_validate(skill_fields(records, mode, steps))


def skill_fields(records: Sequence[TrackRecordRow], mode: Mode, steps: int) -> Fields:
    """Return the fields of skill over steps: 1 - summed pinball / the random walk's on the same forecasts.

    Args:
        records: Rows of the table of track records, one per step that has one.
        mode: Mode of the forecasts.
        steps: Number of expected steps; skill is null if one is missing.

    Returns:
        Those of `Skill`; n is the least of the steps' sessions, p the largest of theirs.
    """
    counts = [record.n for record in records]
    n = min(counts) if counts and len(counts) == steps else 0
    newest = max([record.as_of for record in records], default=None)
    value = p = None
    baselines = [record.random_walk_pinball for record in records if record.random_walk_pinball is not None]
    if n >= MIN_SESSIONS and len(baselines) == len(records):
        total = sum(map(mul, counts, baselines))
        if total > 0:
            value = 1 - sum([record.n * record.pinball for record in records]) / total
            # The largest p: skill over all steps is significant only if it is at each step.
            ps = [record.p for record in records if record.p is not None]
            p = max(ps) if len(ps) == len(records) else None
    return {"value": value, "n": n, "kind": mode, "as_of": newest, "p": p}


def build_coverage(records: Sequence[TrackRecordRow], steps: int) -> Coverage:
    """Return measured coverage over steps; see `coverage_fields`."""
    return Coverage.model_validate(coverage_fields(records, steps))


def coverage_fields(records: Sequence[TrackRecordRow], steps: int) -> Fields:
    """Return the fields of measured coverage over steps, each forecast counting once; no levels without scores.

    Under `MIN_SESSIONS` sessions the measured value of a level is null.
    """
    counts = [record.n for record in records]
    total = sum(counts)
    if total == 0:
        return {"n": 0, "levels": []}
    n = min(counts) if len(counts) == steps else 0
    fifty = eighty = ninety_five = None
    if n >= MIN_SESSIONS:
        fifty = sum([record.n * record.coverage_50 for record in records]) / total
        eighty = sum([record.n * record.coverage_80 for record in records]) / total
        ninety_five = sum([record.n * record.coverage_95 for record in records]) / total
    return {
        "n": n,
        "levels": [
            {"level": 50, "measured": fifty},
            {"level": 80, "measured": eighty},
            {"level": 95, "measured": ninety_five},
        ],
    }


def held_out_fields(metrics: Mapping[str, Any]) -> Fields | None:
    """Return a version's test figures, with the fields of `HeldOut`; None without any."""
    if metrics.get("test_n") is None:
        return None
    figures = {name: metrics.get(f"test_{name}") for name in _HELD_OUT}
    numbers = {name: None if value is None else float(value) for name, value in figures.items()}
    return {"label": _HELD_OUT_LABEL, "n": metrics["test_n"], **numbers}
