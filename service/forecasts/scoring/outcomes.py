"""Computes the outcomes of forecasts from stored closes; it uses no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics.scoring_rules import score
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.quarantine.breaks import find_breaks
from service.vocabulary import ScoreState

VOID_AFTER = 5
"""Sessions after the target in which its bar may still arrive before the forecast is void."""

UNRESOLVED_BREAK = "unresolved break"
"""Start of the reason of a forecast that spans a held-back bar."""

ROUNDING = 1e-9
"""Largest difference of two computations of one actual, log return: a corrected close or a late dividend exceeds it, a
corrected volume or a new basis does not."""


@dataclass(frozen=True, slots=True)
class PendingForecast:
    """A stored forecast without a final outcome, with its newest score (revision 0 = none)."""

    id: int
    symbol: str
    as_of: date
    target_session: date
    edition: int
    step: int
    model_version_id: int
    quantiles: tuple[float, ...]
    score_revision: int
    score_state: str | None
    actual: float | None
    served: bool


@dataclass(frozen=True, slots=True)
class Closes:
    """One symbol's stored closes and actions around the forecasts to be scored.

    Attributes:
        sessions: `(n,)` datetime64[D], ascending.
        closes: `(n,)` split-adjusted closes as stored now.
        revisions: `(n,)` revision of each bar.
        actions: Actions from the first session on.
        action_revisions: Revision of each action.
        held: Sessions whose bars are held back until something settles them, ascending.
        rejected: Sessions whose bars a person rejected, ascending.
    """

    sessions: NDArray[np.datetime64]
    closes: NDArray[np.float64]
    revisions: NDArray[np.int64]
    actions: tuple[Action, ...]
    action_revisions: tuple[int, ...]
    held: tuple[date, ...] = ()
    rejected: tuple[date, ...] = ()

    def indexed(self) -> dict[date, int]:
        """Return the position of each session."""
        return {day: position for position, day in enumerate(self.sessions.astype("datetime64[D]").tolist())}


@dataclass(frozen=True, slots=True)
class CalendarView:
    """Sessions of a calendar, as scoring needs them.

    Attributes:
        later_sessions: For each target session, the number of later sessions that are final.
        closed: Unscheduled closures.
    """

    later_sessions: Mapping[date, int]
    closed: frozenset[date]


def decide_outcomes(
    pending: Sequence[PendingForecast], closes: Mapping[str, Closes], view: CalendarView
) -> list[dict[str, Any]]:
    """Return rows of the scores table: new outcomes, and revisions of outcomes whose bars changed.

    The actual return uses both adjusted closes as stored now: a split between issue and target changes nothing, a
    dividend counts as return. A forecast from before a held-back bar to it, or to a close on another level after it, is
    pending; it is void if a person rejected the bar.

    Args:
        pending: Forecasts whose target session is final.
        closes: Closes by symbol; a symbol without stored bars may be absent.
        view: The calendar at this instant.
    """
    rows: list[dict[str, Any]] = []
    prepared = {symbol: _prepare(stored) for symbol, stored in closes.items()}
    for forecast in pending:
        values = _outcome(forecast, prepared.get(forecast.symbol), view)
        if values is not None:
            rows.append({"forecast_id": forecast.id, "revision": forecast.score_revision + 1, **values})
    return rows


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One symbol's closes, adjusted.

    Attributes:
        index: Position of each session.
        log_adjusted: `(n,)` natural logarithm of the adjusted closes.
        revisions: `(n,)` revision of each bar.
        ex_dates: Ex-date of each action.
        action_revisions: Revision of each action.
        held: Sessions of held-back bars, ascending.
        rejected: The same for rejected bars.
        breaks: Those of both that the level of the closes changes over.
    """

    index: dict[date, int]
    log_adjusted: NDArray[np.float64]
    revisions: NDArray[np.int64]
    ex_dates: tuple[date, ...]
    action_revisions: tuple[int, ...]
    held: tuple[date, ...]
    rejected: tuple[date, ...]
    breaks: frozenset[date]

    def spanned(self, forecast: PendingForecast, days: Sequence[date]) -> date | None:
        """Return the first of some held sessions on which a forecast's outcome depends, None without one.

        That is a break after as_of and up to the target, and the target's own bar.
        """
        for day in days:
            if day in self.breaks and forecast.as_of < day <= forecast.target_session:
                return day
            if day == forecast.target_session and day not in self.index:
                return day
        return None

    def actions_revision(self, forecast: PendingForecast) -> int:
        """Return the sum of the revisions of a forecast's actions.

        These are the actions after as_of, up to the target (inclusive).
        """
        actions = zip(self.ex_dates, self.action_revisions, strict=True)
        return sum(revision for day, revision in actions if forecast.as_of < day <= forecast.target_session)


def _prepare(stored: Closes) -> _Prepared:
    factors = adjustment_factors(stored.sessions, stored.closes, stored.actions)
    adjusted = stored.closes * factors
    ex_dates = tuple(action.ex_date for action in stored.actions)
    breaks = frozenset(find_breaks(stored.sessions, adjusted, sorted({*stored.held, *stored.rejected})).tolist())
    return _Prepared(
        stored.indexed(),
        np.log(adjusted),
        stored.revisions,
        ex_dates,
        stored.action_revisions,
        stored.held,
        stored.rejected,
        breaks,
    )


def _outcome(forecast: PendingForecast, stored: _Prepared | None, view: CalendarView) -> dict[str, Any] | None:
    if stored is not None:
        rejected = stored.spanned(forecast, stored.rejected)
        if rejected is not None:
            return _without_figures(forecast, ScoreState.VOID, f"the close of {rejected} was rejected by a person")
        held = stored.spanned(forecast, stored.held)
        if held is not None:
            reason = f"{UNRESOLVED_BREAK}: the close of {held} is held back, see `tplus quarantine list`"
            return _without_figures(forecast, ScoreState.PENDING, reason)
    start = None if stored is None else stored.index.get(forecast.as_of)
    end = None if stored is None else stored.index.get(forecast.target_session)
    if stored is None or start is None or end is None:
        return None if forecast.score_state == ScoreState.VOID else _void(forecast, view)
    revision = int(stored.revisions[start] + stored.revisions[end])
    actual = float(stored.log_adjusted[end] - stored.log_adjusted[start])
    if forecast.actual is not None and abs(actual - forecast.actual) <= ROUNDING:
        return None
    figures = score(np.asarray(actual), np.asarray(forecast.quantiles))
    return {
        "state": ScoreState.SCORED,
        "reason": None,
        "bars_revision": revision,
        "actions_revision": stored.actions_revision(forecast),
        "actual": actual,
        "pinball": float(figures.pinball),
        "error": float(figures.error),
        "inside_50": bool(figures.inside50),
        "inside_80": bool(figures.inside80),
        "inside_95": bool(figures.inside95),
    }


def _void(forecast: PendingForecast, view: CalendarView) -> dict[str, Any] | None:
    """Return a void outcome, None if there is none.

    There is none while the bar may still arrive, and for a forecast that is scored already.
    """
    if forecast.score_state == ScoreState.SCORED:
        return None
    if forecast.target_session in view.closed:
        reason = f"session {forecast.target_session} was closed"
    elif view.later_sessions.get(forecast.target_session, 0) >= VOID_AFTER:
        reason = f"no bar of {forecast.target_session} (or of {forecast.as_of}) arrived within {VOID_AFTER} sessions"
    else:
        return None
    return _without_figures(forecast, ScoreState.VOID, reason)


def _without_figures(forecast: PendingForecast, state: ScoreState, reason: str) -> dict[str, Any] | None:
    """Return an outcome that has no figures; None if the newest score says so already."""
    if forecast.score_state == state:
        return None
    no_figures = dict.fromkeys(
        ("bars_revision", "actions_revision", "actual", "pinball", "error", "inside_50", "inside_80", "inside_95"), None
    )
    return {"state": state, "reason": reason, **no_figures}
