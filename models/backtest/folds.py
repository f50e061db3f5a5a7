"""Walk-forward folds: train | purge | validation | purge | test, refitted on what was final before the first as_of.

The service holds out another span to test a version before it serves. In a backtest the test dates are that
evaluation, so a fold has no such span; its training and validation spans are otherwise those of the service.
"""

from dataclasses import dataclass

import numpy as np

from models.config import MIN_TRAINING_DATES, PURGE, VALIDATION_SESSIONS
from models.errors import PriceHistoryError, TooLittleHistory
from models.preprocessing.price_history import DateArray, Panel
from models.preprocessing.splits import DateRange, Spans
from models.preprocessing.windows import PooledWindows


@dataclass(frozen=True, slots=True)
class Fold:
    """One refit and the sessions that it forecasts.

    Attributes:
        number: From 1, in time order.
        train: First and last as_of session to train on, both inclusive.
        validation: As `train`, of the sessions for early stopping.
        test: As `train`, of the sessions to forecast.
        train_until: datetime64[s] UTC, inclusive: what the training span uses, targets included, is final by then,
            and no as_of of the validation span is final before.
        cut_at: As `train_until`, between the validation span and the first as_of of the test span.
    """

    number: int
    train: DateRange
    validation: DateRange
    test: DateRange
    train_until: np.datetime64
    cut_at: np.datetime64


@dataclass(frozen=True, slots=True)
class SkippedFold:
    """Sessions that are not forecast because nothing can be fitted before them.

    Attributes:
        number: As in `Fold`; skipped folds are numbered too.
        test: First and last as_of session, both inclusive.
        reason: One sentence.
    """

    number: int
    test: DateRange
    reason: str


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The sessions to forecast and the interval of refits.

    Attributes:
        first: First as_of session, datetime64[D], inclusive; may be any date.
        last: Last as_of session, inclusive; may be any date.
        refit: Sessions that one fit forecasts, 1 or more.
        validation_sessions: Sessions of the validation span, 1 or more.
    """

    first: np.datetime64
    last: np.datetime64
    refit: int
    validation_sessions: int = VALIDATION_SESSIONS

    def __post_init__(self) -> None:
        if self.refit < 1 or self.validation_sessions < 1:
            raise ValueError(
                f"refit is {self.refit} sessions and validation {self.validation_sessions}; use 1 or more for both"
            )
        if self.last < self.first:
            raise ValueError(f"the last session {self.last} is before the first, {self.first}; swap them")


def walk_forward(panel: Panel, plan: WalkForward) -> tuple[tuple[Fold, ...], tuple[SkippedFold, ...]]:
    """Cut the planned sessions into folds of `refit` sessions on the union of the symbols' grids.

    Args:
        panel: Whole price histories.
        plan: Dates and interval of refits.

    Returns:
        The folds in time order, and the skipped folds, which have too few sessions before them.

    Raises:
        TooLittleHistory: No symbol has a session between the dates.
    """
    dates = union_grid(panel)
    inside = np.flatnonzero((dates >= plan.first) & (dates <= plan.last))
    if not len(inside):
        available = f"they have sessions from {dates[0]} to {dates[-1]}" if len(dates) else "they have no sessions"
        raise TooLittleHistory(
            f"the {len(panel.histories)} symbols have no session from {plan.first} to {plan.last}; {available}"
        )
    needed = plan.validation_sessions + 2 * PURGE + 1
    folds: list[Fold] = []
    skipped: list[SkippedFold] = []
    for number, start in enumerate(range(int(inside[0]), int(inside[-1]) + 1, plan.refit), start=1):
        test = (dates[start], dates[min(start + plan.refit - 1, int(inside[-1]))])
        if start < needed:
            reason = (
                f"there are {start} sessions before {test[0]}; a fold needs {needed}, of them "
                f"{plan.validation_sessions} for validation and {PURGE} purged on each side; begin later or add history"
            )
            skipped.append(SkippedFold(number, test, reason))
            continue
        validation_end = start - PURGE - 1
        validation_start = validation_end - plan.validation_sessions + 1
        train = (dates[0], dates[validation_start - PURGE - 1])
        validation = (dates[validation_start], dates[validation_end])
        folds.append(fold_between(panel, train, validation, test, number=number))
    return tuple(folds), tuple(skipped)


def fold_between(panel: Panel, train: DateRange, validation: DateRange, test: DateRange, *, number: int = 1) -> Fold:
    """Return a fold with given spans.

    Args:
        panel: Whole price histories, which give the instants.
        train: First and last as_of session, both inclusive.
        validation: As `train`, later than it.
        test: As `train`, later than `validation`.
        number: The fold's number.

    Raises:
        ValueError: The spans overlap or are out of order.
    """
    if not train[0] <= train[1] < validation[0] <= validation[1] < test[0] <= test[1]:
        raise ValueError(
            f"spans must follow each other: train {train}, validation {validation}, test {test}; move their ends apart"
        )
    train_until, cut_at = _instant_before(panel, validation[0]), _instant_before(panel, test[0])
    return Fold(number, train, validation, test, train_until, cut_at)


def fold_spans(windows: PooledWindows, fold: Fold) -> Spans:
    """Return the training and validation windows of a network in a fold, purged by instant as well as by date.

    Args:
        windows: Pooled windows of the network's own lookback and horizon.
        fold: Dates and instants.

    Returns:
        Spans whose test windows are those of the test dates; there may be none, and fitting never reads them.

    Raises:
        TooLittleHistory: Training and validation span together have fewer than `config.MIN_TRAINING_DATES` dates, or
            one of them has no window.
    """
    last = windows.target_final_at.max(axis=1)  # the maximum with a NaT is NaT: such a window is in no span
    train = _between(windows, fold.train) & (last <= fold.train_until)
    validation = _between(windows, fold.validation) & (last <= fold.cut_at)
    dates = len(np.unique(windows.as_of[train | validation]))
    if dates < MIN_TRAINING_DATES or not train.any() or not validation.any():
        raise TooLittleHistory(
            f"{dates} distinct as_of dates have windows with their targets final before {fold.test[0]}; a network "
            f"needs {MIN_TRAINING_DATES}; begin later or add symbols with longer histories"
        )
    return Spans(
        train=train,
        validation=validation,
        test=_between(windows, fold.test),
        train_dates=fold.train,
        validation_dates=fold.validation,
        test_dates=fold.test,
        train_until=last[train].max(),
        validation_until=last[validation].max(),
        test_until=fold.cut_at,
    )


def union_grid(panel: Panel) -> DateArray:
    """Return the sessions of all symbols of the panel, `(dates,)` ascending."""
    if not panel.histories:
        raise PriceHistoryError("a panel without symbols has no sessions; add at least one symbol")
    dates: DateArray = np.unique(np.concatenate([history.sessions for history in panel.histories]))
    return dates


def _between(windows: PooledWindows, dates: DateRange) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the mask of windows with as_of in a range of dates, both inclusive."""
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = (windows.as_of >= dates[0]) & (windows.as_of <= dates[1])
    return mask


def _instant_before(panel: Panel, session: np.datetime64) -> np.datetime64:
    """Return the last instant at which a bar before a session is final, capped at the first one from it on."""
    before: list[np.datetime64] = []
    since: list[np.datetime64] = []
    for history in panel.histories:
        row = int(np.searchsorted(history.sessions, session))
        before += list(history.final_at[max(row - 1, 0) : row])
        since += list(history.final_at[row : row + 1])
    if not before:
        raise TooLittleHistory(f"no symbol has a session before {session}; add more history")
    return min(max(before), min(since)) if since else max(before)
