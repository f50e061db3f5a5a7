"""Finds suspect closes: closes too far from the previous one.

A bar is suspect when it jumps from the bar before it and from the last trusted one. So a spike costs one bar, and a
real crash costs one bar until a later pull gives the same close. Repetition alone proves nothing: a file repeats
itself, and so does a vendor. The answer itself must show that the market moved: the session traded at least as usual,
the close itself jumped (not only an action), and the next session that traded did not return to the old level.
Repetition never clears a ratio near 100 or 0.01 (mixed currency units) or an unannounced split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, log

import numpy as np
from numpy.typing import NDArray

from service.prices.adjustment.adjust import growth_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.checks.row_checks import CLOSE, OPEN, VOLUME, BoolArray, Rows

JUMP = 0.40
"""Absolute log return of the adjusted close above which a bar is suspect: below -33 % or above +49 %.

The log scale detects an unannounced 3-for-2 split (-33.3 %) as well as a 2-for-3 one.
"""

UNIT_JUMP = log(100.0)
"""Absolute log ratio of two closes in mixed currency units, such as pounds and pence."""
_UNIT_JUMP_WIDTH = 0.25
RETURNED = JUMP / 4
"""Largest absolute log distance from the old level at which a jump counts as reversed."""

USUAL_SESSIONS = 20
"""Sessions before a jump whose median volume is the usual one; a symbol that rarely trades has a median of 0."""

_MIXED_UNITS = "near 100 or 0.01: mixed currency units?"
_SPLITS = np.log(np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50]))
_SPLIT_WIDTH = 0.025
"""Largest log distance of open and close from a usual split ratio."""
_SPLIT_WIDTH_ALONE = 0.01
"""The same for a bar without an open that could confirm the split."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspect bar.

    Attributes:
        row: Its row among the checked ones.
        jump: Log return of its adjusted close against the last trusted bar; it does not depend on the basis.
        clears: Whether a later pull with the same close may clear it: no mixed units, no unannounced split.
        traded: Whether the bar shows that the market moved: it traded as usual, and the close itself jumped. Nothing
            after the bar counts.
        lasts: Whether the next session that traded is at the new level; False while there is none.
        reason: One sentence.
    """

    row: int
    jump: float
    clears: bool
    traded: bool
    lasts: bool
    reason: str

    @property
    def is_confirmable(self) -> bool:
        """Whether a later pull with the same close clears it now."""
        return self.clears and self.traded and self.lasts


def is_unit_jump(jump: float) -> bool:
    """Return whether a log ratio is near log 100 or log 0.01."""
    return abs(abs(jump) - UNIT_JUMP) <= _UNIT_JUMP_WIDTH


def find_suspects(
    rows: Rows, actions: Sequence[Action], trusted: BoolArray, jumps_are_usual: bool
) -> tuple[Suspect, ...]:
    """Return the suspect closes, compared with earlier closes and adjusted for actions.

    Args:
        rows: Bars, oldest first, the stored ones included.
        actions: Actions with ex-dates in the span.
        trusted: `(n,)` mask of the bars that are stored or were cleared: never suspect.
        jumps_are_usual: Whether jumps are real, as those of a volatility index are: only unit jumps are suspect.

    Returns:
        The suspects, oldest first.
    """
    logs = np.log(rows.close * growth_factors(rows.sessions, rows.close, actions))
    jumped = np.flatnonzero(np.abs(np.diff(logs)) > JUMP) + 1
    found = _wrong_first_row(rows, logs, trusted)
    suspects = {suspect.row for suspect in found}
    row = len(found)
    for start in jumped.tolist():
        if start < row:
            continue
        row = start
        anchor = _last_trusted(row, suspects)
        # Mixed units last while the level does; any other jump makes one bar suspect.
        while row < len(rows) and not trusted[row] and anchor >= 0:
            suspect = _suspect_of(rows, logs, row, anchor, jumps_are_usual)
            if suspect is None:
                break
            found.append(suspect)
            suspects.add(row)
            row += 1
            if not is_unit_jump(suspect.jump):
                break
    return tuple(found)


def _wrong_first_row(rows: Rows, logs: NDArray[np.float64], trusted: BoolArray) -> list[Suspect]:
    # Without this check, a wrong first row would make every later row suspect.
    if (
        len(rows) < 3
        or trusted[0]
        or not is_unit_jump(float(logs[1] - logs[0]))
        or abs(float(logs[2] - logs[1])) > JUMP
    ):
        return []
    jump = float(logs[0] - logs[1])
    ratio = f"{np.exp(jump):.4g} times the close of {rows.sessions[1]}"
    return [Suspect(0, jump, False, False, False, f"suspect: {ratio}, {_MIXED_UNITS}")]


def _last_trusted(row: int, suspects: set[int]) -> int:
    anchor = row - 1
    while anchor in suspects:
        anchor -= 1
    return anchor


def _suspect_of(rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, jumps_are_usual: bool) -> Suspect | None:
    jump = float(logs[row] - logs[anchor])
    if abs(jump) <= JUMP:
        return None
    ratio = f"{np.exp(jump):.4g} times the close of {rows.sessions[anchor]}"
    if is_unit_jump(jump):
        return Suspect(row, jump, False, False, False, f"suspect: {ratio}, {_MIXED_UNITS}")
    if jumps_are_usual:
        return None
    if _looks_like_split(jump, float(rows.values[row, OPEN]), float(rows.values[row, CLOSE])):
        reason = f"suspect: {ratio}, open and close alike: an unannounced split?"
        return Suspect(row, jump, False, False, False, reason)
    doubt = _doubt_of_bar(rows, row, anchor, jump)
    traded = not doubt
    later = _next_traded(rows, row)
    returned = later is not None and abs(float(logs[later] - logs[anchor])) <= RETURNED
    if returned and traded:
        doubt = f"{rows.sessions[later]} is back at the old level"
    explained = f"{doubt}; repetition does not confirm it" if doubt else "a later pull with the same close clears it"
    reason = f"suspect: {ratio} without an action that explains it; {explained}"
    return Suspect(row, jump, True, traded, later is not None and not returned, reason)


def _doubt_of_bar(rows: Rows, row: int, anchor: int, jump: float) -> str:
    """Return why a bar does not show that the market moved, empty if it does; later bars do not count."""
    volumes = np.nan_to_num(rows.values[max(0, row - USUAL_SESSIONS) : row + 1, VOLUME])
    usual = float(np.median(volumes[:-1]))
    if volumes[-1] == 0:
        return "nothing was traded"
    if usual == 0:
        return "the symbol rarely trades"
    if volumes[-1] < usual:
        return f"its volume is {volumes[-1] / usual:.2g} times the usual one"
    raw = log(float(rows.close[row]) / float(rows.close[anchor]))
    if raw * np.sign(jump) < abs(jump) / 2:
        return "an action moves it, not the close"
    return ""


def _next_traded(rows: Rows, row: int) -> int | None:
    later = np.flatnonzero(np.nan_to_num(rows.values[row + 1 :, VOLUME]) > 0)
    return row + 1 + int(later[0]) if len(later) else None


def _looks_like_split(jump: float, open_price: float, close: float) -> bool:
    distance = float(np.min(np.abs(abs(jump) - _SPLITS)))
    if isnan(open_price):
        return distance <= _SPLIT_WIDTH_ALONE
    opening = jump + log(open_price / close)
    return distance <= _SPLIT_WIDTH and float(np.min(np.abs(abs(opening) - _SPLITS))) <= _SPLIT_WIDTH
