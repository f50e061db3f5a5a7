"""Reads the forecasts of symbols, or the reason why a symbol has none."""

from collections.abc import Mapping, Sequence

from service.api.common.dependencies import Snapshot
from service.api.common.next_edition import NextEdition
from service.api.common.rows import EditionRow
from service.api.forecasts import queries as forecasts
from service.api.forecasts.build_answer import build_answer
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.no_forecast import explain_missing
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_stored import Known, read_stored
from service.api.forecasts.schemas import ForecastAnswer, Missing
from service.api.symbols.queries import read_instruments, unknown_symbol_message
from service.clock import instant_text
from service.errors import NotFound, NotYet
from service.market.symbol_names import stored_symbols
from service.settings import Settings


def read_forecast(
    snapshot: Snapshot,
    settings: Settings,
    symbol: str,
    selection: ForecastQuery,
    coming: Mapping[str, NextEdition] | None = None,
) -> ForecastRows:
    """Return the rows of the forecast of one symbol; see `read_stored`.

    Raises:
        NotFound: the symbol does not exist, or no forecast matches.
        NotYet: it has no forecast yet; the message says why.
    """
    stored = stored_symbols(snapshot.connection, [symbol]).get(symbol, symbol)
    rows = read_stored(snapshot, settings, [stored], selection, Known(coming=coming))
    if stored in rows:
        return rows[stored]
    [missing] = explain_others(snapshot, [stored], (), selection)
    raise NotYet(missing.reason) if missing.status == 503 else NotFound(missing.reason)


def read_forecasts(
    snapshot: Snapshot, settings: Settings, symbols: Sequence[str], selection: ForecastQuery
) -> list[ForecastAnswer]:
    """Return the forecasts of symbols in their stored spelling, in their order; those without one are left out."""
    rows = read_stored(snapshot, settings, symbols, selection)
    return [build_answer(rows[symbol]) for symbol in symbols if symbol in rows]


def explain_others(
    snapshot: Snapshot, symbols: Sequence[str], answers: Sequence[ForecastAnswer], selection: ForecastQuery
) -> list[Missing]:
    """Return why each of the symbols without an answer has none, in their order."""
    answered = {answer.symbol for answer in answers}
    left = [symbol for symbol in symbols if symbol not in answered]
    if not left:
        return []
    instruments = read_instruments(snapshot.connection, left)
    known = list(instruments.values())
    selected = ForecastQuery(snapshot.now)
    newest = forecasts.read_editions(snapshot.connection, [row.symbol for row in known], selected)
    explained = explain_missing(snapshot.connection, known)
    missing = []
    for symbol in left:
        if symbol not in instruments:
            missing.append(Missing(symbol=symbol, status=404, reason=unknown_symbol_message(symbol)))
            continue
        why = explained[symbol]
        if symbol in newest:
            sentence = _not_known_message(symbol, newest[symbol], selection)
            reason = sentence if why.is_ordinary else f"{sentence}; now {why.reason}"
            missing.append(Missing(symbol=symbol, status=404, reason=reason))
        elif not instruments[symbol].active:
            reason = (
                f"{symbol} is not on the watchlist, so it is not forecast; add it with `tplus symbols add {symbol}`"
            )
            missing.append(Missing(symbol=symbol, status=404, reason=reason))
        else:
            missing.append(Missing(symbol=symbol, status=why.status, reason=why.reason))
    return missing


def _not_known_message(symbol: str, newest: EditionRow, selection: ForecastQuery) -> str:
    session = "" if selection.as_of is None else f" as of {selection.as_of}"
    return (
        f"no forecast of {symbol}{session} was known at {instant_text(selection.known_at)}; "
        f"the newest is as of {newest.as_of}, see /v1/forecasts/{symbol}/history for all"
    )
