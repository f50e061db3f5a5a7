"""Reads the scored forecasts of the last year as columns, by forecaster.

A year of a group is more than a hundred thousand rows, read with every score run. The rows are therefore read as
driver values, a few editions at a time, and sorted in arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, func, select

from models.config import Strategy
from service.db.bulk.row_loader import days_array, floats_array, read_columns
from service.db.tables import editions, forecasts, instruments, model_versions, scores, served_forecasts
from service.vocabulary import RANDOM_WALK, SERVED

STRATEGY_STEPS: tuple[tuple[str, int], ...] = tuple(
    (s.value, step) for s in Strategy for step in range(1, s.horizon + 1)
)
"""(strategy, step) of every forecast."""

_AT_ONCE = 16
"""Editions in one query: values of the driver take ten times the memory of the arrays that are made of them."""

REACH = timedelta(days=420)
"""Calendar days that include 252 sessions of any calendar."""

_STRATEGY_STEP = {strategy_step: place for place, strategy_step in enumerate(STRATEGY_STEPS)}
_STRATEGY = {strategy.value: place for place, strategy in enumerate(Strategy)}

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoreHistory:
    """Scored forecasts, `(n,)` each.

    Attributes:
        symbol: Position of the symbol among the requested ones.
        strategy_step: Position in `STRATEGY_STEPS`.
        as_of: datetime64[D].
        target: datetime64[D].
        version: Id of the model version.
        served: Whether it was served.
        pinball: Mean over the quantiles, log return.
        walk: The random walk's pinball for the same symbol, strategy_step and as_of; NaN where it has none.
        inside: `(n, 3)` whether actual is in the central 50, 80, 95 %.
        error: Actual less median, log return.
    """

    symbol: IntArray
    strategy_step: IntArray
    as_of: NDArray[np.datetime64]
    target: NDArray[np.datetime64]
    version: IntArray
    served: BoolArray
    pinball: FloatArray
    walk: FloatArray
    inside: FloatArray
    error: FloatArray

    def take(self, rows: IntArray | BoolArray) -> "ScoreHistory":
        """Return some of the rows, by position or mask."""
        return ScoreHistory(
            self.symbol[rows], self.strategy_step[rows], self.as_of[rows], self.target[rows], self.version[rows],
            self.served[rows], self.pinball[rows], self.walk[rows], self.inside[rows], self.error[rows],
        )  # fmt: skip

    @staticmethod
    def joined(parts: Sequence["ScoreHistory"]) -> "ScoreHistory":
        """Return the rows of several histories, one after the other."""
        columns = (np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(ScoreHistory))
        return ScoreHistory(*columns)

    def keys(self) -> IntArray:
        """Return `(n,)` keys: one number per (symbol, strategy_step, as_of)."""
        return (self.symbol * len(STRATEGY_STEPS) + self.strategy_step) * _DAYS + self.as_of.astype(
            "datetime64[D]"
        ).astype(np.int64)


_DAYS = 1 << 20
"""More days than any as_of is from 1970."""


def read_score_histories(connection: Connection, symbols: Sequence[str], mode: str) -> dict[str, ScoreHistory]:
    """Return one row per (symbol, step, as_of) for each forecaster.

    A forecaster is a network, a baseline, or `served`. The newest score of the last revision counts. Every forecaster
    forecasts in each revision, so a forecast that a later revision lacks (of a version retired since) does not count.
    Of several versions of a forecaster the served one counts, else the newest.

    Args:
        connection: Any connection.
        symbols: Symbols of the forecasts.
        mode: `live`, `replay` or `backfill`.

    Returns:
        Forecaster -> history, sorted by symbol, strategy_step and as_of; empty without scores.
    """
    read = _read(connection, symbols, mode)
    if read is None:
        return {}
    ids: dict[str, list[int]] = {}
    for row in connection.execute(_VERSIONS):
        ids.setdefault(row.forecaster, []).append(row.id)
    histories = {name: _deduplicate(read.take(np.isin(read.version, versions))) for name, versions in ids.items()}
    walk = histories.get(RANDOM_WALK)
    histories[SERVED] = _deduplicate(read.take(read.served))
    return {name: _with_random_walk(history, walk) for name, history in histories.items() if len(history.symbol)}


def first_as_of(connection: Connection, symbols: Sequence[str], mode: str) -> date | None:
    """Return the oldest as_of that `read_score_histories` reads (inclusive); None without editions."""
    newest: date | None = connection.execute(
        select(func.max(editions.c.as_of)).where(_published(symbols, mode))
    ).scalar_one_or_none()
    return None if newest is None else newest - REACH


def _published(symbols: Sequence[str], mode: str) -> ColumnElement[bool]:
    """Which editions forecast the calendars of symbols."""
    calendars = select(instruments.c.calendar).where(instruments.c.symbol.in_(symbols))
    return and_(editions.c.calendar.in_(calendars), editions.c.mode == mode)


_VERSIONS = select(model_versions.c.id, model_versions.c.forecaster)


def _read(connection: Connection, symbols: Sequence[str], mode: str) -> ScoreHistory | None:
    """Return every forecaster's forecasts in the last revision, each with its newest score."""
    first = first_as_of(connection, symbols, mode)
    if first is None:
        return None
    published = select(editions.c.number).where(_published(symbols, mode), editions.c.as_of >= first)
    numbers = connection.execute(published.order_by(editions.c.number)).scalars().all()
    places = {symbol: place for place, symbol in enumerate(symbols)}
    blocks = (_read_block(connection, places, numbers[at : at + _AT_ONCE]) for at in range(0, len(numbers), _AT_ONCE))
    read = [block for block in blocks if block is not None]
    if not read:
        return None
    last = _newest(
        ScoreHistory.joined([block.history for block in read]),
        *(np.concatenate([getattr(block, name) for block in read]) for name in ("strategy", "revision", "scored")),
    )
    # A newest score that is void or pending has no error: an earlier one does not count any more.
    return last.take(~np.isnan(last.error))


@dataclass(frozen=True, slots=True)
class _Block:
    """Scores of a few editions, with what decides which of them count: `(n,)` each.

    Attributes:
        history: The scores.
        strategy: Position of the strategy.
        revision: The forecast's revision.
        scored: The score's revision.
    """

    history: ScoreHistory
    strategy: IntArray
    revision: IntArray
    scored: IntArray


def _read_block(connection: Connection, places: Mapping[str, int], numbers: Sequence[int]) -> _Block | None:
    """Return the scores of a few editions, of the requested symbols; None without any."""
    # By edition, whose forecasts and scores are adjacent on disk; by symbol it would take twice as long.
    query = (
        select(
            forecasts.c.symbol,
            forecasts.c.strategy,
            forecasts.c.step,
            forecasts.c.as_of,
            forecasts.c.target_session,
            forecasts.c.edition,
            forecasts.c.model_version_id,
            forecasts.c.revision,
            scores.c.revision,
            scores.c.pinball,
            scores.c.inside_50,
            scores.c.inside_80,
            scores.c.inside_95,
            scores.c.error,
        )
        .select_from(editions)
        .join(forecasts, forecasts.c.edition == editions.c.number)
        .join(scores, scores.c.forecast_id == forecasts.c.id)
        .where(editions.c.number.in_(numbers))
    )
    names, strategies, steps, as_ofs, targets, *figures = read_columns(connection, query)
    if not names:
        return None
    symbol = np.array([places.get(str(name), -1) for name in names], np.int64)
    strategy_step = np.array([_STRATEGY_STEP[pair] for pair in zip(strategies, steps, strict=True)], np.int64)  # type: ignore[index]
    strategy = np.array([_STRATEGY[str(name)] for name in strategies], np.int64)
    edition, version, revision, scored = (np.array(column, np.int64) for column in figures[:4])
    pinball, *inside, error = (floats_array(column) for column in figures[4:])
    served = np.isin(_served_key(edition, symbol, strategy, version), _served_keys(connection, places, numbers))
    history = ScoreHistory(
        symbol, strategy_step, days_array(as_ofs), days_array(targets), version, served, pinball,
        np.full(len(symbol), np.nan), np.column_stack(inside), error,
    )  # fmt: skip
    requested = symbol >= 0  # an edition of an exchange may have other groups too
    return _Block(history.take(requested), strategy[requested], revision[requested], scored[requested])


def _newest(history: ScoreHistory, strategy: IntArray, revision: IntArray, score_revision: IntArray) -> ScoreHistory:
    """Return the newest score of each forecast of the last revision.

    The last revision is that of each (symbol, strategy, as_of).
    """
    day = history.as_of.astype(np.int64)
    if not len(history.symbol):
        return history
    forecast_keys = (history.symbol * len(_STRATEGY) + strategy) * _DAYS + day
    _, position = np.unique(forecast_keys, return_inverse=True)
    last = np.zeros(position.max() + 1, np.int64)
    np.maximum.at(last, position, revision)
    rows = np.flatnonzero(revision == last[position])
    rows = rows[np.lexsort((score_revision[rows], history.version[rows], history.keys()[rows]))]
    keys, version = history.keys()[rows], history.version[rows]
    return history.take(rows[_is_last(keys) | np.append(version[1:] != version[:-1], True)])


def _deduplicate(history: ScoreHistory) -> ScoreHistory:
    """Return one row of each (symbol, strategy_step, as_of), sorted.

    It is the served one, else that of the newest version.
    """
    keys = history.keys()
    order = np.lexsort((history.version, history.served, keys))
    return history.take(order[_is_last(keys[order])])


def _is_last(keys: IntArray) -> BoolArray:
    """Return whether each of the sorted keys is the last of its equals."""
    return np.append(keys[1:] != keys[:-1], True)[: len(keys)]


def _with_random_walk(history: ScoreHistory, walk: ScoreHistory | None) -> ScoreHistory:
    """Return the history with the random walk's pinball."""
    if walk is None or not len(walk.symbol):
        return history
    keys, own = walk.keys(), history.keys()
    places = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
    history.walk[:] = np.where(keys[places] == own, walk.pinball[places], np.nan)
    return history


def _served_key(edition: IntArray, symbol: IntArray, strategy: IntArray, version: IntArray) -> IntArray:
    return ((edition * (1 << 16) + symbol) * len(_STRATEGY) + strategy) * (1 << 24) + version


def _served_keys(connection: Connection, places: Mapping[str, int], numbers: Sequence[int]) -> IntArray:
    columns = (served_forecasts.c.edition, served_forecasts.c.symbol, served_forecasts.c.strategy)
    query = select(*columns, served_forecasts.c.model_version_id).where(served_forecasts.c.edition.in_(numbers))
    number, names, strategies, version = read_columns(connection, query)
    symbol = np.array([places.get(str(name), -1) for name in names], np.int64)
    strategy = np.array([_STRATEGY[str(name)] for name in strategies], np.int64)
    keys = _served_key(np.array(number, np.int64), symbol, strategy, np.array(version, np.int64))
    return keys[symbol >= 0]
