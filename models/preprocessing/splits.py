"""Train, validation and test spans of as_of dates, with purged sessions between them.

Spans are purged twice: by date, which leaves `config.PURGE` dates out between them, and by instant, so that no
target of an earlier span is final later than the first as_of of the next one, whatever the calendars.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import MIN_TRAINING_DATES, PURGE, TEST_SESSIONS, VALIDATION_SESSIONS
from models.errors import TooLittleHistory
from models.preprocessing.price_history import DateArray
from models.preprocessing.windows import PooledWindows

BoolArray = NDArray[np.bool_]
DateRange = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Masks of the windows of each span; a window is in one span at most.

    Attributes:
        train: `(windows,)` mask of the windows that weights and scaling are fitted on.
        validation: `(windows,)` mask of the windows for early stopping.
        test: `(windows,)` mask of the windows for the test at the end.
        train_dates: First and last as_of session of the span, both inclusive.
        validation_dates: As `train_dates`.
        test_dates: As `train_dates`.
        train_until: UTC instant by which every input and target of the training span is final: the cut for
            `Pipeline.fit` and `fit_random_walk`. At or before the instant at which the first as_of of the validation
            span is final.
        validation_until: As `train_until`, for the validation span.
        test_until: As `train_until`, for the test span.
    """

    train: BoolArray
    validation: BoolArray
    test: BoolArray
    train_dates: DateRange
    validation_dates: DateRange
    test_dates: DateRange
    train_until: np.datetime64
    validation_until: np.datetime64
    test_until: np.datetime64


def holdout_spans(windows: PooledWindows, cut_at: np.datetime64) -> Spans:
    """Split into train, validation and test spans that end at the newest usable date.

    The last `config.TEST_SESSIONS` dates are the test span, the `config.VALIDATION_SESSIONS` before it the validation
    span, all earlier ones the train span, with `config.PURGE` dates left out between two spans.

    Args:
        windows: Pooled windows; those with a target unknown or not final by the cut are left out.
        cut_at: UTC instant, inclusive.

    Raises:
        TooLittleHistory: Fewer than `config.MIN_TRAINING_DATES` distinct as_of dates remain.
    """
    usable = _last_instants(windows) <= cut_at
    dates = np.unique(windows.as_of[usable])
    if len(dates) < MIN_TRAINING_DATES:
        raise TooLittleHistory(
            f"{len(dates)} distinct as_of dates have their targets by {cut_at}; "
            f"training needs {MIN_TRAINING_DATES}, so pull more history or add symbols with longer histories"
        )
    test_start = len(dates) - TEST_SESSIONS
    validation_start = test_start - PURGE - VALIDATION_SESSIONS
    return _spans(
        windows,
        usable,
        (dates[0], dates[validation_start - PURGE - 1]),
        (dates[validation_start], dates[validation_start + VALIDATION_SESSIONS - 1]),
        (dates[test_start], dates[-1]),
    )


def spans_between(windows: PooledWindows, train: DateRange, validation: DateRange, test: DateRange) -> Spans:
    """Return spans between given sessions, purged by instant where they touch.

    Args:
        windows: Pooled windows; those with an unknown target are left out.
        train: First and last as_of session allowed, both inclusive.
        validation: As `train`, later than it.
        test: As `train`, later than `validation`.

    Raises:
        TooLittleHistory: A span has no window.
        ValueError: The spans overlap or are out of order.
    """
    if not train[1] < validation[0] <= validation[1] < test[0]:
        raise ValueError(
            f"spans must follow each other: train {train}, validation {validation}, test {test}; move their ends apart"
        )
    return _spans(windows, ~np.isnat(_last_instants(windows)), train, validation, test)


def _spans(
    windows: PooledWindows, usable: BoolArray, train: DateRange, validation: DateRange, test: DateRange
) -> Spans:
    """Return the masks of date ranges, purged by instant from the latest span backwards."""
    last = _last_instants(windows)
    test_mask = _between(windows, usable, test, "test")
    validation_mask = _between(windows, usable & (last <= windows.final_at[test_mask].min()), validation, "validation")
    train_mask = _between(windows, usable & (last <= windows.final_at[validation_mask].min()), train, "train")
    return Spans(
        train=train_mask,
        validation=validation_mask,
        test=test_mask,
        train_dates=_first_and_last(windows.as_of[train_mask]),
        validation_dates=_first_and_last(windows.as_of[validation_mask]),
        test_dates=_first_and_last(windows.as_of[test_mask]),
        train_until=last[train_mask].max(),
        validation_until=last[validation_mask].max(),
        test_until=last[test_mask].max(),
    )


def _between(windows: PooledWindows, usable: BoolArray, dates: DateRange, name: str) -> BoolArray:
    """Return the mask of usable windows with as_of in a range of dates, both inclusive."""
    mask: BoolArray = usable & (windows.as_of >= dates[0]) & (windows.as_of <= dates[1])
    if not mask.any():
        raise TooLittleHistory(
            f"the {name} span {dates[0]}..{dates[1]} has no window whose targets are final in time; widen it"
        )
    return mask


def _last_instants(windows: PooledWindows) -> DateArray:
    """Return `(windows,)` instants at which the last target is final; NaT where any target is unknown."""
    # The maximum over an axis propagates NaT, so one unknown target makes the whole window unusable.
    instants: DateArray = windows.target_final_at.max(axis=1)
    return instants


def _first_and_last(dates: DateArray) -> DateRange:
    """Return the first and the last date."""
    return dates.min(), dates.max()
