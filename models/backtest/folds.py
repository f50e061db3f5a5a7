"""Walk-forward folds: fit | purge | stop | purge | test, each refit on what was final before its first as_of.

The service keeps a further span unseen to judge a version before it serves. In a backtest the test dates are
what is judged, so a fold has none; its fit and stop spans are the service's own otherwise.
"""

from dataclasses import dataclass

import numpy as np

from models.config import MIN_TRAINING_DATES, PURGE, VALIDATION_SESSIONS
from models.errors import FrameError, TooLittleHistory
from models.preprocessing.frame import DateArray, Panel
from models.preprocessing.splits import DateRange, Spans
from models.preprocessing.windows import PooledWindows


@dataclass(frozen=True, slots=True)
class Fold:
    """One refit and the sessions it forecasts.

    Attributes:
        number: From 1, in time order.
        fit: First and last as_of session that may be fitted on, both inclusive.
        stop: As `fit`, of the early-stopping span.
        test: As `fit`, of the sessions forecast.
        train_until: datetime64[s] UTC, inclusive: what the fit span uses, targets included, is final by then,
            and no as_of of the stop span is final before.
        cut_at: As `train_until`, between the stop span and the first as_of forecast.
    """

    number: int
    fit: DateRange
    stop: DateRange
    test: DateRange
    train_until: np.datetime64
    cut_at: np.datetime64


@dataclass(frozen=True, slots=True)
class SkippedFold:
    """Sessions that nothing could be fitted for.

    Attributes:
        number: As in `Fold`; numbers count skipped folds too.
        test: First and last as_of session, both inclusive.
        reason: One sentence.
    """

    number: int
    test: DateRange
    reason: str


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Which sessions are forecast and how often everything is fitted anew.

    Attributes:
        first: First as_of session, datetime64[D], inclusive; need not be a session.
        last: Last as_of session, inclusive; need not be a session.
        refit: Sessions that one fit forecasts, 1 or more.
        stop_sessions: Sessions of the early-stopping span, 1 or more.
    """

    first: np.datetime64
    last: np.datetime64
    refit: int
    stop_sessions: int = VALIDATION_SESSIONS

    def __post_init__(self) -> None:
        if self.refit < 1 or self.stop_sessions < 1:
            raise ValueError(
                f"a refit every {self.refit} sessions with {self.stop_sessions} to stop on cannot be; give 1 or more"
            )
        if self.last < self.first:
            raise ValueError(f"the last session {self.last} is before the first, {self.first}; swap them")


def walk_forward(panel: Panel, wanted: WalkForward) -> tuple[tuple[Fold, ...], tuple[SkippedFold, ...]]:
    """Cut the sessions asked for into folds of `refit` sessions on the union of the symbols' grids.

    Args:
        panel: Whole frames.
        wanted: Dates and cadence.

    Returns:
        The folds in time order, and those before which there are too few sessions to fit and stop on.

    Raises:
        TooLittleHistory: No symbol has a session between the dates.
    """
    dates = union_grid(panel)
    inside = np.flatnonzero((dates >= wanted.first) & (dates <= wanted.last))
    if not len(inside):
        held = f"they reach from {dates[0]} to {dates[-1]}" if len(dates) else "they have no sessions"
        raise TooLittleHistory(
            f"the {len(panel.frames)} symbols have no session from {wanted.first} to {wanted.last}; {held}"
        )
    needed = wanted.stop_sessions + 2 * PURGE + 1
    folds: list[Fold] = []
    skipped: list[SkippedFold] = []
    for number, start in enumerate(range(int(inside[0]), int(inside[-1]) + 1, wanted.refit), start=1):
        test = (dates[start], dates[min(start + wanted.refit - 1, int(inside[-1]))])
        if start < needed:
            reason = (
                f"there are {start} sessions before {test[0]}; a fold needs {needed} to fit, to stop on "
                f"{wanted.stop_sessions} and to leave {PURGE} out between; begin later or bring more history"
            )
            skipped.append(SkippedFold(number, test, reason))
            continue
        stop_end = start - PURGE - 1
        validation_start = stop_end - wanted.stop_sessions + 1
        spans = (dates[0], dates[validation_start - PURGE - 1]), (dates[validation_start], dates[stop_end]), test
        folds.append(fold_between(panel, *spans, number=number))
    return tuple(folds), tuple(skipped)


def fold_between(panel: Panel, fit: DateRange, stop: DateRange, test: DateRange, *, number: int = 1) -> Fold:
    """A fold between given sessions.

    Args:
        panel: Whole frames, which give the instants.
        fit: First and last as_of session, both inclusive.
        stop: As `fit`, later than it.
        test: As `fit`, later than `stop`.
        number: The fold's number.

    Raises:
        ValueError: The spans overlap or are out of order.
    """
    if not fit[0] <= fit[1] < stop[0] <= stop[1] < test[0] <= test[1]:
        raise ValueError(f"spans must follow each other: fit {fit}, stop {stop}, test {test}; move their ends apart")
    return Fold(number, fit, stop, test, _instant_before(panel, stop[0]), _instant_before(panel, test[0]))


def fold_spans(windows: PooledWindows, fold: Fold) -> Spans:
    """The windows that a network is fitted and stopped on in a fold, purged by instant as well as by date.

    Args:
        windows: Pooled windows of the network's own lookback and horizon.
        fold: Dates and instants.

    Returns:
        Spans whose judged windows are those of the test dates; they may be none, and fitting never reads them.

    Raises:
        TooLittleHistory: Fit and stop span together have fewer than `specs.MIN_TRAINING_DATES` dates, or one of
            them has no window.
    """
    last = windows.target_final_at.max(axis=1)  # NaT wins: a window with an unknown target is in no span
    fit = _between(windows, fold.fit) & (last <= fold.train_until)
    stop = _between(windows, fold.stop) & (last <= fold.cut_at)
    dates = len(np.unique(windows.as_of[fit | stop]))
    if dates < MIN_TRAINING_DATES or not fit.any() or not stop.any():
        raise TooLittleHistory(
            f"{dates} distinct as_of dates have windows with their targets final before {fold.test[0]}; a network "
            f"needs {MIN_TRAINING_DATES}, so begin later or bring symbols with longer histories"
        )
    return Spans(
        train=fit,
        validation=stop,
        test=_between(windows, fold.test),
        train_dates=fold.fit,
        validation_dates=fold.stop,
        test_dates=fold.test,
        train_until=last[fit].max(),
        validation_until=last[stop].max(),
        test_until=fold.cut_at,
    )


def union_grid(panel: Panel) -> DateArray:
    """`(dates,)` ascending: every session of any symbol of the panel."""
    if not panel.frames:
        raise FrameError("a panel without symbols has no sessions; name at least one symbol")
    dates: DateArray = np.unique(np.concatenate([frame.sessions for frame in panel.frames]))
    return dates


def _between(windows: PooledWindows, dates: DateRange) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Windows with as_of in a range of dates, both inclusive."""
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = (windows.as_of >= dates[0]) & (windows.as_of <= dates[1])
    return mask


def _instant_before(panel: Panel, session: np.datetime64) -> np.datetime64:
    """The last instant at which a bar before a session is final, not later than any bar from that session on."""
    before: list[np.datetime64] = []
    since: list[np.datetime64] = []
    for frame in panel.frames:
        row = int(np.searchsorted(frame.sessions, session))
        before += list(frame.final_at[max(row - 1, 0) : row])
        since += list(frame.final_at[row : row + 1])
    if not before:
        raise TooLittleHistory(f"no symbol has a session before {session}; bring more history")
    return min(max(before), min(since)) if since else max(before)
