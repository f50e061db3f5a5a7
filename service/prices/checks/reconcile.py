"""Compares an answer with the stored bars: same basis, corrected, re-based, or suspect."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log

import numpy as np

from service.prices.checks.outliers import JUMP, is_unit_jump
from service.prices.checks.row_checks import CLOSE, VOLUME, BoolArray, FloatArray, Rows
from service.prices.sources.base import Action, ActionKind

NOISE = 1e-4
"""Relative difference up to which two figures count as equal."""

_SPLIT_MATCH = 1e-3
"""Largest log distance between the ratio of closes and a split's factor."""

_MIN_ALIKE = 2
"""Fewest common bars whose equal ratio counts as another scale."""

_MIN_SHIFTED = 4
"""Fewest bars that must equal the closes of their neighbours before an answer counts as shifted."""


class Verdict(StrEnum):
    """Result of the comparison."""

    SAME_BASIS = "same_basis"
    REBASED = "rebased"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of comparing stored bars with those of an answer.

    Attributes:
        verdict: Whether the answer is on the same basis, re-based by a split, or suspect.
        reason: One sentence if suspect, else empty.
        stored: `(k,)` row numbers of the stored bars that the answer also holds.
        answered: `(k,)` row numbers of the same sessions in the answer.
        changed: `(k,)` whether a figure differs by more than noise after the split's factor is applied.
    """

    verdict: Verdict
    reason: str
    stored: np.ndarray[tuple[int], np.dtype[np.intp]]
    answered: np.ndarray[tuple[int], np.dtype[np.intp]]
    changed: BoolArray


def new_splits(stored: Sequence[Action], answered: Sequence[Action]) -> tuple[Action, ...]:
    """Return the splits that are new in the answer; a changed one counts with the ratio of new to old."""
    stored_ratios = {action.ex_date: action.value for action in stored if action.kind is ActionKind.SPLIT}
    found = []
    for action in answered:
        if action.kind is ActionKind.SPLIT:
            value = action.value / stored_ratios.get(action.ex_date, 1.0)
            if abs(log(value)) > NOISE:
                found.append(Action(action.ex_date, ActionKind.SPLIT, value))
    return tuple(found)


def undone_splits(stored: Sequence[Action], answered: Sequence[Action]) -> tuple[Action, ...]:
    """Return the inverse of each stored split that the answer lacks."""
    days = {action.ex_date for action in answered if action.kind is ActionKind.SPLIT}
    return tuple(
        Action(action.ex_date, ActionKind.SPLIT, 1.0 / action.value)
        for action in stored
        if action.kind is ActionKind.SPLIT and action.ex_date not in days
    )


def split_factors(rows: Rows, splits: Sequence[Action]) -> FloatArray:
    """Return `(n,)` divisors of each row: the product of later splits, new shares per old share."""
    factors = np.ones(len(rows))
    for split in splits:
        factors[rows.sessions < np.datetime64(split.ex_date)] *= split.value
    return factors


def compare(stored: Rows, answered: Rows, splits: Sequence[Action]) -> Comparison:
    """Compare an answer with the stored bars of the same sessions.

    Args:
        stored: Stored bars, on the stored basis.
        answered: Checked bars of the answer.
        splits: Splits that are not stored yet, see `new_splits`.
    """
    _, stored_rows, answered_rows = np.intersect1d(
        stored.sessions, answered.sessions, assume_unique=True, return_indices=True
    )
    factors = split_factors(stored, splits)[stored_rows]
    before, after = stored.values[stored_rows].copy(), answered.values[answered_rows]
    before[:, :VOLUME] /= factors[:, None]
    before[:, VOLUME] *= factors
    ratios = np.log(after[:, CLOSE] / before[:, CLOSE])
    verdict, reason = _verdict(ratios, factors, stored, stored_rows, splits)
    return Comparison(verdict, reason, stored_rows, answered_rows, _changed(before, after))


def _verdict(
    ratios: FloatArray,
    factors: FloatArray,
    stored: Rows,
    rows: np.ndarray[tuple[int], np.dtype[np.intp]],
    splits: Sequence[Action],
) -> tuple[Verdict, str]:
    mixed = [row for row in range(len(ratios)) if is_unit_jump(float(ratios[row]))]
    if mixed:
        day = stored.sessions[rows[mixed[0]]]
        return (
            Verdict.SUSPECT,
            f"the close of {day} is near 100 or 0.01 times the stored one: mixed currency units?",
        )
    if splits:
        verdict, reason = _verdict_of_splits(ratios, factors, splits)
        bars_verdict, bars_reason = _verdict_of_bars(ratios, stored, rows)
        if verdict is Verdict.REBASED and bars_verdict is Verdict.SUSPECT:
            return bars_verdict, bars_reason
        return verdict, reason
    differs = np.abs(ratios) > NOISE
    if len(ratios) >= _MIN_ALIKE and differs.all() and np.ptp(ratios) <= _SPLIT_MATCH:
        ratio = float(np.exp(np.median(ratios)))
        return Verdict.SUSPECT, f"all closes are {ratio:.6g} times the stored ones and no split explains it"
    if 2 * differs.sum() > len(differs) and _is_shifted(stored.close, rows, ratios):
        return (
            Verdict.SUSPECT,
            "the closes are one session off: each equals the stored close of the neighbouring session",
        )
    return _verdict_of_bars(ratios, stored, rows)


def _is_shifted(closes: FloatArray, rows: np.ndarray[tuple[int], np.dtype[np.intp]], ratios: FloatArray) -> bool:
    """Return whether each answered close equals the stored close of the next or of the previous session."""
    stored = np.log(closes)
    answered = stored[rows] + ratios
    for step in (1, -1):
        inside = (rows + step >= 0) & (rows + step < len(closes))
        gaps = np.abs(answered[inside] - stored[rows[inside] + step])
        # A tenth of the bars may be next to a holiday or a missing session.
        if len(gaps) >= _MIN_SHIFTED and float(np.quantile(gaps, 0.9)) <= NOISE:
            return True
    return False


def _verdict_of_splits(ratios: FloatArray, factors: FloatArray, splits: Sequence[Action]) -> tuple[Verdict, str]:
    names = ", ".join(f"{split.value:.6g}:1 of {split.ex_date}" for split in splits)
    earlier = factors != 1.0
    if not earlier.any():
        # Only the whole history can show whether the older bars were re-based.
        return Verdict.REBASED, ""
    width = min(_SPLIT_MATCH, float(np.min(np.abs(np.log(factors[earlier])))) / 4)
    if np.median(np.abs(ratios[earlier])) <= width:
        return Verdict.REBASED, ""
    return Verdict.SUSPECT, f"the split {names} is announced, but the closes have not changed by its ratio"


def _verdict_of_bars(
    ratios: FloatArray, stored: Rows, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> tuple[Verdict, str]:
    too_far = np.flatnonzero(np.abs(ratios) > JUMP)
    if len(too_far):
        day, ratio = stored.sessions[rows[too_far[0]]], float(np.exp(ratios[too_far[0]]))
        return Verdict.SUSPECT, f"the close of {day} is {ratio:.6g} times the stored one: too far for a correction"
    return Verdict.SAME_BASIS, ""


def _changed(before: FloatArray, after: FloatArray) -> BoolArray:
    # A figure that the answer lacks is not a correction: the stored figure is kept.
    with np.errstate(invalid="ignore"):
        differs = np.abs(after - before) > NOISE * np.abs(before)
    gained = np.isnan(before) & ~np.isnan(after)
    return np.asarray((differs | gained).any(axis=1))
