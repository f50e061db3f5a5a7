"""Which closes are too far from the one before to be believed at once.

A bar is suspect when it jumps from the bar before it and from the last believed one; so a spike costs one bar
and a real crash costs one bar until a later pull says the same. What looks like a currency mix-up (a ratio near
100 or 0.01, for as long as it lasts) or like a split that nobody announced is never cleared by repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, log

import numpy as np
from numpy.typing import NDArray

from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.checks.row_checks import CLOSE, OPEN, BoolArray, Rows

JUMP = 0.40
"""Absolute log return of the adjusted close above which a bar is suspect: below -33 % or above +49 %.

On the log scale, so that an unannounced 3-for-2 split (-33.3 %) is seen as well as a 2-for-3 one.
"""

MIX_UP = log(100.0)
_MIX_UP_WIDTH = 0.25
_MIXED = "near 100 or 0.01: a currency unit mixed up?"
_SPLITS = np.log(np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50]))
_SPLIT_WIDTH = 0.025
"""How near open and close must both be to a usual split ratio: a day's and a night's usual move."""
_SPLIT_WIDTH_ALONE = 0.01
"""The same where there is no open to confirm it."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A bar that is not believed yet.

    Attributes:
        row: Its row among those judged.
        jump: Log return of its adjusted close against the last believed bar; the same on every basis.
        clears: Whether a later pull that says the same clears it.
        reason: One sentence.
    """

    row: int
    jump: float
    clears: bool
    reason: str


def is_mix_up(jump: float) -> bool:
    """Whether a log ratio is near log 100 or log 0.01."""
    return abs(abs(jump) - MIX_UP) <= _MIX_UP_WIDTH


def find_suspects(
    rows: Rows, actions: Sequence[Action], believed: BoolArray, jumps_are_usual: bool
) -> tuple[Suspect, ...]:
    """Judge closes against those before them, adjusted for actions.

    Args:
        rows: Bars, oldest first; those already stored among them.
        actions: Actions with ex-dates in the span.
        believed: `(n,)` bars that are stored or were cleared: never suspect.
        jumps_are_usual: For a volatility index, whose jumps are real: only mix-ups are suspect.

    Returns:
        The suspects, oldest first.
    """
    logs = np.log(rows.close * adjustment_factors(rows.sessions, rows.close, actions))
    jumped = np.flatnonzero(np.abs(np.diff(logs)) > JUMP) + 1
    found = _bad_start(rows, logs, believed)
    suspects = {suspect.row for suspect in found}
    row = len(found)
    for start in jumped.tolist():
        if start < row:
            continue
        row = start
        anchor = _last_believed(row, suspects)
        # A mix-up lasts as long as the level does; any other doubt is about the one bar.
        while row < len(rows) and not believed[row] and anchor >= 0:
            suspect = _judge(rows, logs, row, anchor, jumps_are_usual)
            if suspect is None:
                break
            found.append(suspect)
            suspects.add(row)
            row += 1
            if not is_mix_up(suspect.jump):
                break
    return tuple(found)


def _bad_start(rows: Rows, logs: NDArray[np.float64], believed: BoolArray) -> list[Suspect]:
    # Without this, one wrong first row would make a mix-up of everything after it.
    if len(rows) < 3 or believed[0] or not is_mix_up(float(logs[1] - logs[0])) or abs(float(logs[2] - logs[1])) > JUMP:
        return []
    jump = float(logs[0] - logs[1])
    times = f"{np.exp(jump):.4g} times the close of {rows.sessions[1]}"
    return [Suspect(0, jump, False, f"suspect: {times}, {_MIXED}")]


def _last_believed(row: int, suspects: set[int]) -> int:
    anchor = row - 1
    while anchor in suspects:
        anchor -= 1
    return anchor


def _judge(rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, jumps_are_usual: bool) -> Suspect | None:
    jump = float(logs[row] - logs[anchor])
    if abs(jump) <= JUMP:
        return None
    times = f"{np.exp(jump):.4g} times the close of {rows.sessions[anchor]}"
    if is_mix_up(jump):
        return Suspect(row, jump, False, f"suspect: {times}, {_MIXED}")
    if jumps_are_usual:
        return None
    if _like_a_split(jump, float(rows.values[row, OPEN]), float(rows.values[row, CLOSE])):
        return Suspect(row, jump, False, f"suspect: {times}, open and close alike: a split that was not announced?")
    return Suspect(row, jump, True, f"suspect: {times} without an action; a later pull that says the same clears it")


def _like_a_split(jump: float, open_price: float, close: float) -> bool:
    distance = float(np.min(np.abs(abs(jump) - _SPLITS)))
    if isnan(open_price):
        return distance <= _SPLIT_WIDTH_ALONE
    opening = jump + log(open_price / close)
    return distance <= _SPLIT_WIDTH and float(np.min(np.abs(abs(opening) - _SPLITS))) <= _SPLIT_WIDTH
