"""Spans of as_of dates to fit, to stop early and to judge, with purged sessions between them.

Spans are cut twice: by date, leaving `specs.PURGE` dates out between them, and by instant, so that no
target of an earlier span is final later than the first as_of of the next one, whatever the calendars.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import JUDGE_SESSIONS, MIN_TRAINING_DATES, PURGE, STOP_SESSIONS
from models.errors import TooLittleHistory
from models.preprocessing.frame import DateArray
from models.preprocessing.windows import PooledWindows

BoolArray = NDArray[np.bool_]
DateRange = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Which windows serve what; a window is in one span at most.

    Attributes:
        fit: `(windows,)` weights and scaling are fitted on these.
        stop: `(windows,)` early stopping looks at these.
        judge: `(windows,)` the gate looks at these, last.
        fit_dates: First and last as_of session of the span, both inclusive.
        stop_dates: As `fit_dates`.
        judge_dates: As `fit_dates`.
        fit_until: UTC instant by which every input and target of the fit span is final: the cut for
            `Pipeline.fit` and `fit_random_walk`. Before the first as_of of the stop span is final, or at it.
        stop_until: As `fit_until`, for the stop span.
        judge_until: As `fit_until`, for the judge span.
    """

    fit: BoolArray
    stop: BoolArray
    judge: BoolArray
    fit_dates: DateRange
    stop_dates: DateRange
    judge_dates: DateRange
    fit_until: np.datetime64
    stop_until: np.datetime64
    judge_until: np.datetime64


def judged_spans(windows: PooledWindows, cut_at: np.datetime64) -> Spans:
    """Fit, 3 dates purged, `specs.STOP_SESSIONS` to stop, 3 purged, the last `specs.JUDGE_SESSIONS` to judge.

    Args:
        windows: Pooled windows; those with a target unknown or not final by the cut are left out.
        cut_at: UTC instant, inclusive.

    Raises:
        TooLittleHistory: Fewer than `specs.MIN_TRAINING_DATES` distinct as_of dates remain.
    """
    usable = _last_instants(windows) <= cut_at
    dates = np.unique(windows.as_of[usable])
    if len(dates) < MIN_TRAINING_DATES:
        raise TooLittleHistory(
            f"{len(dates)} distinct as_of dates have their targets by {cut_at}; "
            f"training needs {MIN_TRAINING_DATES}, so pull more history or add symbols with longer ones"
        )
    judge_start = len(dates) - JUDGE_SESSIONS
    stop_start = judge_start - PURGE - STOP_SESSIONS
    return _spans(
        windows,
        usable,
        (dates[0], dates[stop_start - PURGE - 1]),
        (dates[stop_start], dates[stop_start + STOP_SESSIONS - 1]),
        (dates[judge_start], dates[-1]),
    )


def spans_between(windows: PooledWindows, fit: DateRange, stop: DateRange, judge: DateRange) -> Spans:
    """Spans between given sessions, purged by instant where they touch.

    Args:
        windows: Pooled windows; those with an unknown target are left out.
        fit: First and last as_of session allowed, both inclusive.
        stop: As `fit`, later than it.
        judge: As `fit`, later than `stop`.

    Raises:
        TooLittleHistory: A span has no window.
        ValueError: The spans overlap or are out of order.
    """
    if not fit[1] < stop[0] <= stop[1] < judge[0]:
        raise ValueError(f"spans must follow each other: fit {fit}, stop {stop}, judge {judge}; move their ends apart")
    return _spans(windows, ~np.isnat(_last_instants(windows)), fit, stop, judge)


def _spans(windows: PooledWindows, usable: BoolArray, fit: DateRange, stop: DateRange, judge: DateRange) -> Spans:
    """Masks from dates, purged by instant from the latest span back."""
    last = _last_instants(windows)
    judge_mask = _between(windows, usable, judge, "judge")
    stop_mask = _between(windows, usable & (last <= windows.final_at[judge_mask].min()), stop, "stop")
    fit_mask = _between(windows, usable & (last <= windows.final_at[stop_mask].min()), fit, "fit")
    return Spans(
        fit=fit_mask,
        stop=stop_mask,
        judge=judge_mask,
        fit_dates=_first_and_last(windows.as_of[fit_mask]),
        stop_dates=_first_and_last(windows.as_of[stop_mask]),
        judge_dates=_first_and_last(windows.as_of[judge_mask]),
        fit_until=last[fit_mask].max(),
        stop_until=last[stop_mask].max(),
        judge_until=last[judge_mask].max(),
    )


def _between(windows: PooledWindows, usable: BoolArray, dates: DateRange, name: str) -> BoolArray:
    """Usable windows with as_of in a range of dates, both inclusive."""
    mask: BoolArray = usable & (windows.as_of >= dates[0]) & (windows.as_of <= dates[1])
    if not mask.any():
        raise TooLittleHistory(
            f"the {name} span {dates[0]}..{dates[1]} has no window whose targets are final in time; widen it"
        )
    return mask


def _last_instants(windows: PooledWindows) -> DateArray:
    """`(windows,)` when the last target of each is final; NaT where any is unknown."""
    # np.max over an axis lets NaT win, so one unknown target makes the whole window unusable.
    instants: DateArray = windows.target_final_at.max(axis=1)
    return instants


def _first_and_last(dates: DateArray) -> DateRange:
    """First and last date."""
    return dates.min(), dates.max()
