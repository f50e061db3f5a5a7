"""Builds past forecasts with their outcomes and prices, as items of a page and as rows of a table."""

from collections.abc import Iterator, Sequence
from typing import Any

from service.api.common.dependencies import Snapshot
from service.api.common.rows import InstrumentRow
from service.api.forecasts.build_answer import INTERVALS
from service.api.forecasts.schemas import Interval, Quantiles
from service.api.formats.table import Column
from service.api.history.past_prices import PastPrices, PriceScale, read_price_scale
from service.api.history.queries import HistoryFilter, HistoryKey, PastForecastRow, read_history
from service.api.history.schemas import Outcome, PastForecast
from service.vocabulary import ScoreState

COLUMNS = (
    Column("symbol", "text"),
    Column("as_of", "date"),
    Column("step", "integer"),
    Column("target_session", "date"),
    Column("strategy", "text"),
    Column("forecaster", "text"),
    Column("model_version_id", "integer"),
    Column("served", "truth"),
    Column("superseded", "truth"),
    Column("edition", "integer"),
    Column("revision", "integer"),
    Column("mode", "text"),
    Column("issued_at", "instant"),
    Column("basis", "integer"),
    Column("last_close", "float"),
    Column("point", "float"),
    *(Column(f"{side}_{level}", "float") for level, _, _ in INTERVALS for side in ("lower", "upper")),
    Column("actual_price", "float"),
    *(Column(name, "float") for name in Quantiles.model_fields),
    Column("actual", "float"),
    Column("state", "text"),
    Column("reason", "text"),
    Column("pinball", "float"),
    Column("error", "float"),
    Column("inside_50", "truth"),
    Column("inside_80", "truth"),
    Column("inside_95", "truth"),
    Column("scored_at", "instant"),
)
"""Columns of the table: the names are those of the JSON answer."""


def read_past_forecasts(
    snapshot: Snapshot, instrument: InstrumentRow, filters: HistoryFilter, after: HistoryKey | None, limit: int
) -> list[PastForecast]:
    """Return past forecasts with outcomes and prices, newest first."""
    rows = read_history(snapshot.connection, filters, after, limit)
    return build_past_forecasts(snapshot, instrument, rows)


def build_past_forecasts(
    snapshot: Snapshot, instrument: InstrumentRow, rows: Sequence[PastForecastRow]
) -> list[PastForecast]:
    """Return past forecasts from rows of the history query."""
    scale = read_price_scale(snapshot.connection, instrument.symbol, instrument.basis, rows, snapshot.now)
    return [_past_forecast(row, scale.of(row)) for row in rows]


def build_rows(symbol: str, rows: Sequence[PastForecastRow], scale: PriceScale) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table, in the order of `COLUMNS`."""
    for row in rows:
        prices = scale.of(row)
        bounds = [prices.price(getattr(row, name)) for _, *names in INTERVALS for name in names]
        more = {
            **row._asdict(),
            "symbol": symbol,
            "point": prices.price(row.q50),
            **dict(zip(_BOUNDS, bounds, strict=True)),
            "actual_price": prices.actual,
            "state": row.score_state or ScoreState.PENDING.value,
            "reason": row.score_reason,
        }
        yield tuple(more[column.name] for column in COLUMNS)


_BOUNDS = [f"{side}_{level}" for level, _, _ in INTERVALS for side in ("lower", "upper")]


def _past_forecast(row: PastForecastRow, prices: PastPrices) -> PastForecast:
    fields = row._asdict()
    score = {
        **fields,
        "state": row.score_state,
        "reason": row.score_reason,
        "revision": row.score_revision,
        "actual_price": prices.actual,
    }
    outcome = Outcome(state=ScoreState.PENDING.value) if row.score_state is None else Outcome.model_validate(score)
    intervals = [
        Interval(
            level=level,
            lower=prices.price(getattr(row, low)),
            upper=prices.price(getattr(row, high)),
            lower_return=getattr(row, low),
            upper_return=getattr(row, high),
        )
        for level, low, high in INTERVALS
    ]
    return PastForecast.model_validate(
        {
            **fields,
            "point": prices.price(row.q50),
            "intervals": intervals,
            "quantiles": Quantiles.of(row),
            "outcome": outcome,
        }
    )
