"""Finds suspect closes: closes too far from the one before.

A bar is suspect when it jumps from the bar before it and from the last trusted one. A spike thus costs one bar, and a
real crash costs one bar until a later pull gives the same close. A ratio near 100 or 0.01 (mixed currency units) and an
unannounced split are never cleared by repetition.
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
"""Largest log distance of open and close from a usual split ratio."""
_SPLIT_WIDTH_ALONE = 0.01
"""The same if there is no open to confirm it."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspect bar.

    Attributes:
        row: Its row among the checked ones.
        jump: Log return of its adjusted close against the last trusted bar; the same on every basis.
        clears: Whether a later pull with the same close clears it.
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
    rows: Rows, actions: Sequence[Action], trusted: BoolArray, jumps_are_usual: bool
) -> tuple[Suspect, ...]:
    """Return the suspect closes, compared with those before them and adjusted for actions.

    Args:
        rows: Bars, oldest first; including the stored ones.
        actions: Actions with ex-dates in the span.
        trusted: `(n,)` bars that are stored or were cleared: never suspect.
        jumps_are_usual: For a volatility index, whose jumps are real: only mix-ups are suspect.

    Returns:
        The suspects, oldest first.
    """
    logs = np.log(rows.close * adjustment_factors(rows.sessions, rows.close, actions))
    jumped = np.flatnonzero(np.abs(np.diff(logs)) > JUMP) + 1
    found = _bad_start(rows, logs, trusted)
    suspects = {suspect.row for suspect in found}
    row = len(found)
    for start in jumped.tolist():
        if start < row:
            continue
        row = start
        anchor = _last_trusted(row, suspects)
        # Mixed units last as long as the level does; any other suspicion is about one bar.
        while row < len(rows) and not trusted[row] and anchor >= 0:
            suspect = _suspect_of(rows, logs, row, anchor, jumps_are_usual)
            if suspect is None:
                break
            found.append(suspect)
            suspects.add(row)
            row += 1
            if not is_mix_up(suspect.jump):
                break
    return tuple(found)


def _bad_start(rows: Rows, logs: NDArray[np.float64], trusted: BoolArray) -> list[Suspect]:
    # Without this, one wrong first row would make every later row suspect.
    if len(rows) < 3 or trusted[0] or not is_mix_up(float(logs[1] - logs[0])) or abs(float(logs[2] - logs[1])) > JUMP:
        return []
    jump = float(logs[0] - logs[1])
    times = f"{np.exp(jump):.4g} times the close of {rows.sessions[1]}"
    return [Suspect(0, jump, False, f"suspect: {times}, {_MIXED}")]


def _last_trusted(row: int, suspects: set[int]) -> int:
    anchor = row - 1
    while anchor in suspects:
        anchor -= 1
    return anchor


def _suspect_of(rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, jumps_are_usual: bool) -> Suspect | None:
    jump = float(logs[row] - logs[anchor])
    if abs(jump) <= JUMP:
        return None
    times = f"{np.exp(jump):.4g} times the close of {rows.sessions[anchor]}"
    if is_mix_up(jump):
        return Suspect(row, jump, False, f"suspect: {times}, {_MIXED}")
    if jumps_are_usual:
        return None
    if _like_a_split(jump, float(rows.values[row, OPEN]), float(rows.values[row, CLOSE])):
        return Suspect(row, jump, False, f"suspect: {times}, open and close alike: an unannounced split?")
    return Suspect(row, jump, True, f"suspect: {times} without an action; a later pull with the same close clears it")


def _like_a_split(jump: float, open_price: float, close: float) -> bool:
    distance = float(np.min(np.abs(abs(jump) - _SPLITS)))
    if isnan(open_price):
        return distance <= _SPLIT_WIDTH_ALONE
    opening = jump + log(open_price / close)
    return distance <= _SPLIT_WIDTH and float(np.min(np.abs(abs(opening) - _SPLITS))) <= _SPLIT_WIDTH
