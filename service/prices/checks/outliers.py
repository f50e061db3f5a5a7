"""Finds suspect closes: closes too far from the previous one.

A bar is suspect when it jumps from the bar before it and from the last trusted one. So a spike costs one bar, and a
real crash costs one bar until a later pull gives the same close. Repetition alone proves nothing: a file repeats
itself, and so does a vendor. The answer itself must show that the market moved: the session traded at least as usual,
the close itself jumped (not only an action), and the next session that traded did not return to the old level. An index
or a currency has no volume: three later closes must move at the new level. Repetition never clears a ratio near 100 or
0.01 (mixed currency units) or an unannounced split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isnan, log

import numpy as np
from numpy.typing import NDArray

from service.prices.adjustment.adjust import growth_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.checks.row_checks import CLOSE, OPEN, VOLUME, BoolArray, Rows


class SeriesKind(StrEnum):
    """How a series shows that a jump is real.

    `traded`: by volume. `untraded`: it has no volume (an index, a currency, a fund), so by later closes that move at
    the new level. `volatility`: its jumps are usual.
    """

    TRADED = "traded"
    UNTRADED = "untraded"
    VOLATILITY = "volatility"


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

_LONGEST_SPIKE = 5
"""Rows within which the old level must be back for the rows between to be suspect."""

_LONG_HISTORY = 60
"""Rows of a history of which the first may be suspect for any jump: one bar of many."""

_LASTING_SESSIONS = 3
"""Sessions for which a series without volume must stay away from the old level."""

_MIXED_UNITS = "near 100 or 0.01: mixed currency units?"
_UNTRADED_TYPES = frozenset({"INDEX", "CURRENCY", "MUTUALFUND"})
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
        lasts: Whether the next session that traded is at the new level (without volume: the next three, and their
            closes move); False while there is none.
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


def series_kind(instrument_type: str, is_volatility: bool) -> SeriesKind:
    """Return the kind of a symbol's series.

    Args:
        instrument_type: Yahoo's type.
        is_volatility: Whether the settings name it as a volatility reference.
    """
    if is_volatility and instrument_type == "INDEX":
        return SeriesKind.VOLATILITY
    return SeriesKind.UNTRADED if instrument_type in _UNTRADED_TYPES else SeriesKind.TRADED


def find_suspects(
    rows: Rows,
    actions: Sequence[Action],
    trusted: BoolArray,
    kind: SeriesKind = SeriesKind.TRADED,
    *,
    hindsight: bool = True,
) -> tuple[Suspect, ...]:
    """Return the suspect closes, compared with earlier closes and adjusted for actions.

    Args:
        rows: Bars, oldest first, the stored ones included.
        actions: Actions with ex-dates in the span.
        trusted: `(n,)` mask of the bars that are stored or were cleared: never suspect.
        kind: Kind of the series; of a volatility index only unit jumps are suspect.
        hindsight: Whether later rows may make a row suspect: those of a spike are, once the old level is back.

    Returns:
        The suspects, oldest first.
    """
    logs = np.log(rows.close * growth_factors(rows.sessions, rows.close, actions))
    jumped = np.flatnonzero(np.abs(np.diff(logs)) > JUMP) + 1
    found = _wrong_first_rows(rows, logs, trusted, kind)
    suspects = {suspect.row for suspect in found}
    row = max(suspects, default=-1) + 1
    for start in jumped.tolist():
        if start < row:
            continue
        row = start
        anchor = _last_trusted(row, suspects)
        # Mixed units last while the level does; any other jump makes one bar suspect.
        while row < len(rows) and not trusted[row] and anchor >= 0:
            suspect = _suspect_of(rows, logs, row, anchor, kind)
            if suspect is None:
                break
            found.append(suspect)
            suspects.add(row)
            row += 1
            if not is_unit_jump(suspect.jump):
                spike = _spike_after(rows, logs, row, anchor, trusted, kind) if hindsight else []
                found += spike
                suspects.update(each.row for each in spike)
                row = spike[-1].row + 1 if spike else row
                break
    return tuple(found)


def _wrong_first_rows(rows: Rows, logs: NDArray[np.float64], trusted: BoolArray, kind: SeriesKind) -> list[Suspect]:
    """Return the first rows that are at another level than all that follow.

    Without this check they would be stored, and the first right row would be suspect.
    """
    if len(rows) < 3 or trusted[0]:
        return []
    jump = float(logs[0] - logs[1])
    if is_unit_jump(jump) and abs(float(logs[2] - logs[1])) <= JUMP:
        ratio = f"{np.exp(jump):.4g} times the close of {rows.sessions[1]}"
        return [Suspect(0, jump, False, False, False, f"suspect: {ratio}, {_MIXED_UNITS}")]
    if kind is SeriesKind.VOLATILITY or len(rows) < _LONG_HISTORY:
        return []
    steps = np.abs(np.diff(logs[: _LONGEST_SPIKE + 3])) > JUMP
    jumps = np.flatnonzero(steps[: _LONGEST_SPIKE + 1])
    if len(jumps) == 0 or steps[int(jumps[-1]) + 1]:
        return []
    level = int(jumps[-1]) + 1
    found = []
    for row in range(level):
        jump = float(logs[row] - logs[level])
        if abs(jump) > JUMP and not trusted[row]:
            ratio = f"{np.exp(jump):.4g} times the close of {rows.sessions[level]}"
            reason = f"suspect: {ratio}, and all that follow are like that one"
            found.append(Suspect(row, jump, False, False, False, reason))
    return found


def _spike_after(
    rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, trusted: BoolArray, kind: SeriesKind
) -> list[Suspect]:
    """Return the rows from one on that are at a suspect level, if the old level is back within a few rows.

    A spike of several rows is otherwise found at its first and its end alone, and the rows between would be stored.
    """
    later = np.arange(row, min(row + _LONGEST_SPIKE, len(rows)))
    back = later[np.abs(logs[later] - logs[anchor]) <= RETURNED]
    if len(back) == 0:
        return []
    between = (_suspect_of(rows, logs, each, anchor, kind) for each in range(row, int(back[0])) if not trusted[each])
    return [replace(suspect, lasts=False) for suspect in between if suspect is not None]


def _last_trusted(row: int, suspects: set[int]) -> int:
    anchor = row - 1
    while anchor in suspects:
        anchor -= 1
    return anchor


def _suspect_of(rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, kind: SeriesKind) -> Suspect | None:
    jump = float(logs[row] - logs[anchor])
    if abs(jump) <= JUMP:
        return None
    ratio = f"{np.exp(jump):.4g} times the close of {rows.sessions[anchor]}"
    if is_unit_jump(jump):
        return Suspect(row, jump, False, False, False, f"suspect: {ratio}, {_MIXED_UNITS}")
    if kind is SeriesKind.VOLATILITY:
        return None
    if _looks_like_split(jump, float(rows.values[row, OPEN]), float(rows.values[row, CLOSE])):
        reason = f"suspect: {ratio}, open and close alike: an unannounced split?"
        return Suspect(row, jump, False, False, False, reason)
    objection = _objection_of_close(rows, row, anchor, jump) or (
        "" if kind is SeriesKind.UNTRADED else _objection_of_volume(rows, row)
    )
    traded, lasts = not objection, False
    if traded:
        returned, lasts = _afterwards(rows, logs, row, anchor, kind)
        objection = "" if returned is None else f"{rows.sessions[returned]} is back at the old level"
    explained = (
        f"{objection}; repetition does not confirm it" if objection else "a later pull with the same close clears it"
    )
    reason = f"suspect: {ratio} without an action that explains it; {explained}"
    return Suspect(row, jump, True, traded, lasts, reason)


def _objection_of_close(rows: Rows, row: int, anchor: int, jump: float) -> str:
    """Return why a bar does not show that the price moved, empty if it does."""
    raw = log(float(rows.close[row]) / float(rows.close[anchor]))
    return "an action moves it, not the close" if raw * np.sign(jump) < abs(jump) / 2 else ""


def _objection_of_volume(rows: Rows, row: int) -> str:
    """Return why the volume of a bar does not show that the market moved, empty if it does."""
    volumes = np.nan_to_num(rows.values[max(0, row - USUAL_SESSIONS) : row + 1, VOLUME])
    usual = float(np.median(volumes[:-1]))
    if volumes[-1] == 0:
        return "nothing was traded"
    if usual == 0:
        return "the symbol rarely trades"
    return f"its volume is {volumes[-1] / usual:.2g} times the usual one" if volumes[-1] < usual else ""


def _afterwards(
    rows: Rows, logs: NDArray[np.float64], row: int, anchor: int, kind: SeriesKind
) -> tuple[int | None, bool]:
    """Return the first later row that is back at the old level, and whether the jump lasts."""
    later = np.arange(row + 1, len(rows))
    if kind is SeriesKind.TRADED:
        later = later[np.nan_to_num(rows.values[row + 1 :, VOLUME]) > 0]
    needed = 1 if kind is SeriesKind.TRADED else _LASTING_SESSIONS
    later = later[:needed]
    returned = later[np.abs(logs[later] - logs[anchor]) <= RETURNED]
    if len(returned):
        return int(returned[0]), False
    moves = kind is SeriesKind.TRADED or bool((rows.close[later] != rows.close[row]).any())
    return None, len(later) == needed and moves


def _looks_like_split(jump: float, open_price: float, close: float) -> bool:
    distance = float(np.min(np.abs(abs(jump) - _SPLITS)))
    if isnan(open_price):
        return distance <= _SPLIT_WIDTH_ALONE
    opening = jump + log(open_price / close)
    return distance <= _SPLIT_WIDTH and float(np.min(np.abs(abs(opening) - _SPLITS))) <= _SPLIT_WIDTH
