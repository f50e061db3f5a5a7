"""GET /v1/forecasts/{symbol}/history."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, Limit, ModeQuery, StepQuery, StrategyQuery, SymbolPath
from service.api.common.schemas import problems
from service.api.forecasts.schemas import Quantiles
from service.api.history.queries import HistoryFilter, PastForecastRow, read_history
from service.api.history.schemas import HistoryPage, Outcome, PastForecast
from service.api.symbols.queries import read_instrument
from service.vocabulary import SERVED, ScoreState

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])

_KIND = "history"


def _filter(
    symbol: SymbolPath,
    forecaster: Annotated[
        str, Query(pattern="^[a-z0-9_]{1,40}$", description="`served`, `all`, or a forecaster such as `random_walk`")
    ] = SERVED,
    strategy: StrategyQuery = None,
    step: StepQuery = None,
    mode: ModeQuery = None,
) -> HistoryFilter:
    return HistoryFilter(symbol, forecaster, strategy, step, mode)


@router.get("/{symbol}/history", summary="Past forecasts with their outcomes", responses=problems(404))
def past(
    reader: ReaderDependency,
    filters: Annotated[HistoryFilter, Depends(_filter)],
    cursor: Cursor = None,
    limit: Limit = 100,
) -> HistoryPage:
    """Every stored forecast of a symbol, newest first, with its outcome: pending, scored, or void with the reason."""
    keys = decode(_KIND, cursor, date, int)
    after = None if keys is None else (date.fromisoformat(str(keys[0])), int(str(keys[1])))
    with reader.snapshot() as snapshot:
        read_instrument(snapshot.connection, filters.symbol)
        rows = read_history(snapshot.connection, filters, after, limit + 1)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.as_of, row.id))
    return HistoryPage(
        symbol=filters.symbol, items=[build_past_forecast(row) for row in page_rows], next_cursor=next_cursor
    )


def build_past_forecast(row: PastForecastRow) -> PastForecast:
    """Return a past forecast with its outcome, from a row of the history query."""
    fields = row._asdict()
    score = {**fields, "state": row.score_state, "reason": row.score_reason, "revision": row.score_revision}
    outcome = Outcome(state=ScoreState.PENDING.value) if row.score_state is None else Outcome.model_validate(score)
    return PastForecast.model_validate({**fields, "quantiles": Quantiles.of(row), "outcome": outcome})
