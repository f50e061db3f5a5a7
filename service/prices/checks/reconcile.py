"""Compares an answer with the stored bars: same basis, corrected, re-based, or suspect."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log

import numpy as np

from service.prices.checks.outliers import JUMP, is_mix_up
from service.prices.checks.row_checks import VOLUME, BoolArray, FloatArray, Rows
from service.prices.sources.base import Action, ActionKind

NOISE = 1e-4
"""Relative difference up to which two figures count as equal."""

_SPLIT_MATCH = 1e-3
"""Largest log distance between the ratio of closes and a split's factor."""

_TOO_FEW = 2

_SHIFT_ROWS = 4
"""Bars that must equal their neighbours' closes before an answer counts as shifted."""


class Verdict(StrEnum):
    """Result of the comparison."""

    SAME_BASIS = "same_basis"
    REBASED = "rebased"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Stored bars compared with answered ones.

    Attributes:
        verdict: On the same basis, re-based by a split, or suspect.
        reason: One sentence where suspect, else empty.
        stored: `(k,)` rows of the stored bars that the answer has too.
        answered: `(k,)` rows of the same sessions in the answer.
        changed: `(k,)` whether a figure differs by more than noise beyond the split's factor.
    """

    verdict: Verdict
    reason: str
    stored: np.ndarray[tuple[int], np.dtype[np.intp]]
    answered: np.ndarray[tuple[int], np.dtype[np.intp]]
    changed: BoolArray


def new_splits(stored: Sequence[Action], answered: Sequence[Action]) -> tuple[Action, ...]:
    """Return the splits that are new in the answer; a changed one counts with the ratio of new to old."""
    known = {action.ex_date: action.value for action in stored if action.kind is ActionKind.SPLIT}
    found = []
    for action in answered:
        if action.kind is ActionKind.SPLIT:
            value = action.value / known.get(action.ex_date, 1.0)
            if abs(log(value)) > NOISE:
                found.append(Action(action.ex_date, ActionKind.SPLIT, value))
    return tuple(found)


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
    _, here, there = np.intersect1d(stored.sessions, answered.sessions, assume_unique=True, return_indices=True)
    factors = split_factors(stored, splits)[here]
    before, after = stored.values[here].copy(), answered.values[there]
    before[:, :VOLUME] /= factors[:, None]
    before[:, VOLUME] *= factors
    ratios = np.log(after[:, 3] / before[:, 3])
    verdict, reason = _verdict(ratios, factors, stored, here, splits)
    return Comparison(verdict, reason, here, there, _changed(before, after))


def _verdict(
    ratios: FloatArray,
    factors: FloatArray,
    stored: Rows,
    here: np.ndarray[tuple[int], np.dtype[np.intp]],
    splits: Sequence[Action],
) -> tuple[Verdict, str]:
    mixed = [row for row in range(len(ratios)) if is_mix_up(float(ratios[row]))]
    if mixed:
        day = stored.sessions[here[mixed[0]]]
        return (
            Verdict.SUSPECT,
            f"the close of {day} is near 100 or 0.01 times the stored one: a currency unit mixed up?",
        )
    if splits:
        verdict, reason = _verdict_of_splits(ratios, factors, splits)
        wild, message = _verdict_of_bars(ratios, stored, here)
        return (wild, message) if verdict is Verdict.REBASED and wild is Verdict.SUSPECT else (verdict, reason)
    off = np.abs(ratios) > NOISE
    if len(ratios) >= _TOO_FEW and off.all() and np.ptp(ratios) <= _SPLIT_MATCH:
        ratio = float(np.exp(np.median(ratios)))
        return Verdict.SUSPECT, f"all closes are {ratio:.6g} times the stored ones and no split explains it"
    if 2 * off.sum() > len(off) and _is_shifted(stored.close, here, ratios):
        return Verdict.SUSPECT, "the closes are one session off: each is the stored one of its neighbour"
    return _verdict_of_bars(ratios, stored, here)


def _is_shifted(closes: FloatArray, here: np.ndarray[tuple[int], np.dtype[np.intp]], ratios: FloatArray) -> bool:
    """Return whether each answered close is the stored one of the next or of the previous session."""
    mine = np.log(closes)
    theirs = mine[here] + ratios
    for step in (1, -1):
        inside = (here + step >= 0) & (here + step < len(closes))
        gaps = np.abs(theirs[inside] - mine[here[inside] + step])
        # A tenth may be next to a holiday or a missing session.
        if len(gaps) >= _SHIFT_ROWS and float(np.quantile(gaps, 0.9)) <= NOISE:
            return True
    return False


def _verdict_of_splits(ratios: FloatArray, factors: FloatArray, splits: Sequence[Action]) -> tuple[Verdict, str]:
    names = ", ".join(f"{split.value:.6g}:1 of {split.ex_date}" for split in splits)
    earlier = factors != 1.0
    if not earlier.any():
        # Only the whole history can show whether older bars moved.
        return Verdict.REBASED, ""
    width = min(_SPLIT_MATCH, float(np.min(np.abs(np.log(factors[earlier])))) / 4)
    if np.median(np.abs(ratios[earlier])) <= width:
        return Verdict.REBASED, ""
    return Verdict.SUSPECT, f"the split {names} is announced and the stored closes have not moved by it"


def _verdict_of_bars(
    ratios: FloatArray, stored: Rows, here: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> tuple[Verdict, str]:
    wild = np.flatnonzero(np.abs(ratios) > JUMP)
    if len(wild):
        day, ratio = stored.sessions[here[wild[0]]], float(np.exp(ratios[wild[0]]))
        return Verdict.SUSPECT, f"the close of {day} is {ratio:.6g} times the stored one: too far for a correction"
    return Verdict.SAME_BASIS, ""


def _changed(before: FloatArray, after: FloatArray) -> BoolArray:
    # A figure that is missing from the answer is not a correction: the stored one stays.
    with np.errstate(invalid="ignore"):
        differs = np.abs(after - before) > NOISE * np.abs(before)
    gained = np.isnan(before) & ~np.isnan(after)
    return np.asarray((differs | gained).any(axis=1))
