"""What an answer says about bars that are stored already: the same, corrected, re-based, or beyond belief."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log

import numpy as np

from service.prices.checks.outliers import JUMP, is_mix_up
from service.prices.checks.row_checks import VOLUME, BoolArray, FloatArray, Rows
from service.prices.sources.base import Action, ActionKind

NOISE = 1e-4
"""Relative difference up to which two figures are the same."""

_SPLIT_MATCH = 1e-3
"""How near, on the log scale, the ratio of closes must be to a split's factor."""

_TOO_FEW = 2

_SHIFT_ROWS = 4
"""Bars that must agree with their neighbours' sessions before an answer is held to be shifted."""


class Verdict(StrEnum):
    """What the overlap says."""

    SAME_BASIS = "same_basis"
    REBASED = "rebased"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Stored bars against answered ones.

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
    """Splits the answer has beyond the stored ones; a changed one counts with the ratio of new to old."""
    known = {action.ex_date: action.value for action in stored if action.kind is ActionKind.SPLIT}
    found = []
    for action in answered:
        if action.kind is ActionKind.SPLIT:
            value = action.value / known.get(action.ex_date, 1.0)
            if abs(log(value)) > NOISE:
                found.append(Action(action.ex_date, ActionKind.SPLIT, value))
    return tuple(found)


def split_factors(rows: Rows, splits: Sequence[Action]) -> FloatArray:
    """`(n,)` new shares per old share that each row is still to be divided by: the product of later splits."""
    factors = np.ones(len(rows))
    for split in splits:
        factors[rows.sessions < np.datetime64(split.ex_date)] *= split.value
    return factors


def compare(stored: Rows, answered: Rows, splits: Sequence[Action]) -> Comparison:
    """Judge an answer by the bars it shares with the store.

    Args:
        stored: Stored bars, on the stored basis.
        answered: Checked bars of the answer.
        splits: Splits that the store does not know, see `new_splits`.
    """
    _, here, there = np.intersect1d(stored.sessions, answered.sessions, assume_unique=True, return_indices=True)
    factors = split_factors(stored, splits)[here]
    before, after = stored.values[here].copy(), answered.values[there]
    before[:, :VOLUME] /= factors[:, None]
    before[:, VOLUME] *= factors
    ratios = np.log(after[:, 3] / before[:, 3])
    verdict, reason = _judge(ratios, factors, stored, here, splits)
    return Comparison(verdict, reason, here, there, _changed(before, after))


def _judge(
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
            f"the close of {day} came near 100 or 0.01 times the stored one: a currency unit mixed up?",
        )
    if splits:
        verdict, reason = _judge_splits(ratios, factors, splits)
        wild, told = _judge_singles(ratios, stored, here)
        return (wild, told) if verdict is Verdict.REBASED and wild is Verdict.SUSPECT else (verdict, reason)
    off = np.abs(ratios) > NOISE
    if len(ratios) >= _TOO_FEW and off.all() and np.ptp(ratios) <= _SPLIT_MATCH:
        ratio = float(np.exp(np.median(ratios)))
        return Verdict.SUSPECT, f"all closes came {ratio:.6g} times the stored ones and no split says why"
    if 2 * off.sum() > len(off) and _is_shifted(stored.close, here, ratios):
        return Verdict.SUSPECT, "the closes came one session off: each is the stored one of its neighbour"
    return _judge_singles(ratios, stored, here)


def _is_shifted(closes: FloatArray, here: np.ndarray[tuple[int], np.dtype[np.intp]], ratios: FloatArray) -> bool:
    """Whether each answered close is the stored one of the session after it, or of the one before."""
    mine = np.log(closes)
    theirs = mine[here] + ratios
    for step in (1, -1):
        inside = (here + step >= 0) & (here + step < len(closes))
        gaps = np.abs(theirs[inside] - mine[here[inside] + step])
        # A tenth may lie beside a holiday or a hole.
        if len(gaps) >= _SHIFT_ROWS and float(np.quantile(gaps, 0.9)) <= NOISE:
            return True
    return False


def _judge_splits(ratios: FloatArray, factors: FloatArray, splits: Sequence[Action]) -> tuple[Verdict, str]:
    names = ", ".join(f"{split.value:.6g}:1 of {split.ex_date}" for split in splits)
    earlier = factors != 1.0
    if not earlier.any():
        # Only the whole history can show whether older bars moved.
        return Verdict.REBASED, ""
    width = min(_SPLIT_MATCH, float(np.min(np.abs(np.log(factors[earlier])))) / 4)
    if np.median(np.abs(ratios[earlier])) <= width:
        return Verdict.REBASED, ""
    return Verdict.SUSPECT, f"the split {names} is announced and the stored closes have not moved by it"


def _judge_singles(
    ratios: FloatArray, stored: Rows, here: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> tuple[Verdict, str]:
    wild = np.flatnonzero(np.abs(ratios) > JUMP)
    if len(wild):
        day, ratio = stored.sessions[here[wild[0]]], float(np.exp(ratios[wild[0]]))
        return Verdict.SUSPECT, f"the close of {day} came {ratio:.6g} times the stored one: too far for a correction"
    return Verdict.SAME_BASIS, ""


def _changed(before: FloatArray, after: FloatArray) -> BoolArray:
    # A figure that the answer lacks is not a correction: the stored one stays.
    with np.errstate(invalid="ignore"):
        differs = np.abs(after - before) > NOISE * np.abs(before)
    gained = np.isnan(before) & ~np.isnan(after)
    return np.asarray((differs | gained).any(axis=1))
