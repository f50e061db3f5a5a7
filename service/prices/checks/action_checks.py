"""Compares the actions of an answer with prices and with the stored actions: suspect ones, and missing ones.

A dividend is suspect if the close did not fall with it, or if it is far above the usual ones. Figures in the wrong unit
(32.0 for 0.32) are the common case.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import numpy as np

from service.prices.checks.row_checks import DateArray, Rows
from service.prices.sources.base import Action, ActionKind

LARGE = 0.05
"""Share of the close above which a dividend must show in the price."""

VISIBLE = 0.5
"""Share of a large dividend by which the close must fall at least."""

FAR_ABOVE = 50.0
"""A dividend of this many times the median of the earlier ones is suspect unless it is large and shows in the price."""

USUAL = timedelta(days=3 * 365)
"""Time before an ex-date whose dividends make the median: older ones are tiny after decades of splits."""

SAME_SHARE = 1e-3
"""Relative difference up to which two shares of the close are those of one dividend; a split changes neither."""

_MOST = 4
"""Fewest stored actions of which an answer may lack most without being doubtful itself."""

ActionKey = tuple[date, ActionKind]


@dataclass(frozen=True, slots=True)
class SuspectAction:
    """A suspect dividend.

    Attributes:
        action: The dividend as answered.
        share: Its share of the last close before the ex-date; it does not depend on the basis.
        reason: One sentence.
    """

    action: Action
    share: float
    reason: str


@dataclass(frozen=True, slots=True)
class AnsweredSpan:
    """The dates for which an answer states actions.

    The first row is not included: an action there moves a close that the answer does not hold.

    Attributes:
        answered: Checked rows of the answer.
        stored: Stored bars of its span.
    """

    answered: Rows
    stored: Rows

    def covers(self, day: date) -> bool:
        """Return whether the answer would hold an action with this ex-date."""
        sessions = self.answered.sessions
        session = np.datetime64(day, "D")
        if len(sessions) == 0 or not sessions[0] < session <= sessions[-1]:
            return False
        # Vendors drop the events of a bar together with the bar.
        return _has(sessions, session) or not _has(self.stored.sessions, session)


def _has(sessions: DateArray, session: np.datetime64) -> bool:
    """Return whether ascending sessions hold one."""
    place = int(np.searchsorted(sessions, session))
    return place < len(sessions) and bool(sessions[place] == session)


def key_of(action: Action) -> ActionKey:
    """Return what identifies an action of a symbol: ex-date and kind."""
    return action.ex_date, action.kind


def missing_actions(
    stored: Sequence[Action], answered: Collection[ActionKey], span: AnsweredSpan
) -> tuple[Action, ...]:
    """Return the stored actions that an answer over their ex-dates lacks.

    Args:
        stored: Every stored action of the symbol.
        answered: Keys of the actions that the answer holds, invalid and suspect ones included.
        span: What the answer covers.
    """
    return tuple(action for action in stored if key_of(action) not in answered and span.covers(action.ex_date))


def lacks_most(stored: Sequence[Action], missing: Collection[Action], span: AnsweredSpan) -> bool:
    """Return whether an answer lacks most stored actions: more likely a cut answer than so many corrections."""
    covered = sum(span.covers(action.ex_date) for action in stored)
    return covered >= _MOST and 2 * len(missing) > covered


def find_suspect_actions(
    answered: Sequence[Action], stored: Sequence[Action], rows: Rows, accepted: Mapping[date, Sequence[float]]
) -> tuple[SuspectAction, ...]:
    """Return the suspect dividends of an answer, oldest first.

    Args:
        answered: Valid actions of the answer.
        stored: Every stored action of the symbol: earlier dividends count for the median.
        rows: Bars around the ex-dates, oldest first, stored ones before the answer included. A dividend without a bar
            before and one at or after its ex-date has no effect yet and is not checked.
        accepted: By ex-date, shares of the close that a person accepted.
    """
    asked = {key_of(action) for action in answered}
    known = {key_of(action): action for action in (*stored, *answered) if action.kind is ActionKind.DIVIDEND}
    found: list[SuspectAction] = []
    usual: list[Action] = []
    for key, action in sorted(known.items()):
        place = int(np.searchsorted(rows.sessions, np.datetime64(action.ex_date, "D")))
        if key in asked and 0 < place < len(rows):
            recent = [other.value for other in usual if other.ex_date >= action.ex_date - USUAL]
            share = action.value / float(rows.close[place - 1])
            is_accepted = any(abs(share - other) <= SAME_SHARE * other for other in accepted.get(action.ex_date, ()))
            reason = "" if is_accepted else _reason(action, rows, place, recent)
            if reason:
                found.append(SuspectAction(action, share, reason))
                continue
        usual.append(action)
    return tuple(found)


def _reason(action: Action, rows: Rows, place: int, recent: Sequence[float]) -> str:
    """Return why a dividend is suspect; empty if it is not."""
    before, close = float(rows.close[place - 1]), float(rows.close[place])
    name = f"suspect: the dividend of {action.value:.6g} with ex-date {action.ex_date}"
    if action.value > LARGE * before:
        if before - close < VISIBLE * action.value:
            return f"{name} is {action.value / before:.1%} of the close, which went from {before:.6g} to {close:.6g}"
        return ""
    if recent and action.value >= FAR_ABOVE * median(recent):
        return f"{name} is {action.value / median(recent):.4g} times the median of the three years before it"
    return ""
