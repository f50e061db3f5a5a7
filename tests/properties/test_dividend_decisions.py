"""Rows that are appended to a file change no decision about its earlier dividends and splits."""

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prices.sources.base import Action, ActionKind
from service.prices.sources.files.adjustment import AdjustedRows, settle_actions
from service.prices.sources.files.header import Adjustment
from service.prices.sources.files.reader import FileTable

ROWS = 300
DAYS = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-01") + ROWS)


def written(seed: int, every: int, size: float, share: float, splits: dict[int, float], late: int | None) -> FileTable:
    """Return prices as traded with small dividends of which a share drops, a wild half and a calm one, and gaps."""
    random = np.random.default_rng(seed)
    calm_half = np.arange(ROWS) < ROWS // 2 if seed % 2 else np.arange(ROWS) >= ROWS // 2
    changes = random.normal(0, np.where(calm_half, 0.002, 0.03))
    paid = np.zeros(ROWS)
    paid[every::every] = size * 50
    drops = np.flatnonzero((paid > 0) & (random.random(ROWS) < share))
    changes[drops] -= size
    ratios = np.ones(ROWS)
    for row, ratio in splits.items():
        ratios[row] = ratio
    close = 50 * np.exp(np.cumsum(changes)) / np.cumprod(ratios)
    close[random.random(ROWS) < 0.02] = np.nan
    adjusted = None if late is None else np.where(np.arange(ROWS) < late, np.nan, close)
    bars = np.column_stack([close, close, close, close, np.full(ROWS, 1000.0)])
    return FileTable(DAYS, bars, adjusted, paid, ratios)


def first_rows(table: FileTable, count: int) -> FileTable:
    """Return a table as it was before the later rows were appended."""
    adjusted = table.adj_close
    if adjusted is not None and bool(np.isnan(adjusted[:count]).all()):
        adjusted = None  # as the reader returns an empty column
    columns = (adjusted, table.dividends, table.splits)
    return FileTable(
        table.sessions[:count], table.bars[:count], *(None if each is None else each[:count] for each in columns)
    )


def decided(found: AdjustedRows, last: date) -> list[tuple[date, ActionKind]]:
    return [(action.ex_date, action.kind) for action in found.actions if action.ex_date <= last]


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    every=st.integers(4, 40),
    size=st.sampled_from([0.001, 0.005, 0.02, 0.08]),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    splits=st.dictionaries(st.integers(1, ROWS - 1), st.sampled_from([0.1, 2.0, 3.0]), max_size=3),
    late=st.none() | st.integers(1, ROWS - 1),
    count=st.integers(1, ROWS - 1),
    stated=st.sampled_from(list(Adjustment)),
)
def test_appended_rows_change_no_earlier_decision(
    seed: int, every: int, size: float, share: float, splits: dict[int, float], late: int | None, count: int,
    stated: Adjustment,
) -> None:  # fmt: skip
    table = written(seed, every, size, share, splits, late)
    last = DAYS[count - 1].astype(object)
    whole, part = settle_actions(table, stated, None), settle_actions(first_rows(table, count), stated, None)
    assert decided(whole, last) == decided(part, last)
    # The splits that are undone divide all earlier rows alike.
    ratio = whole.bars[:count, 3] / part.bars[:, 3]
    known = ratio[np.isfinite(ratio)]
    np.testing.assert_allclose(known, known[:1].repeat(len(known)), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    every=st.integers(4, 40),
    size=st.sampled_from([0.001, 0.005, 0.02, 0.08]),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    count=st.integers(1, ROWS - 1),
)
def test_appended_rows_and_listed_dividends_change_no_earlier_decision(
    seed: int, every: int, size: float, share: float, count: int
) -> None:
    table = written(seed, every, size, share, {}, None)
    assert table.dividends is not None
    listed = tuple(
        Action(DAYS[row].astype(object), ActionKind.DIVIDEND, float(table.dividends[row]))
        for row in np.flatnonzero(table.dividends).tolist()
    )
    last = DAYS[count - 1].astype(object)
    so_far = tuple(action for action in listed if action.ex_date <= last)
    whole = settle_actions(table, Adjustment.TOTAL, listed)
    part = settle_actions(first_rows(table, count), Adjustment.TOTAL, so_far)
    assert decided(whole, last) == decided(part, last)
