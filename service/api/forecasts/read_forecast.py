"""Reads the forecasts of symbols, or the reason why a symbol has none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from service.api.common import queries as common
from service.api.common.dependencies import Snapshot
from service.api.common.next_edition import NextEditions
from service.api.common.queries import Timing
from service.api.common.rows import EditionRow, InstrumentRow, RowType
from service.api.common.schemas import Strategy
from service.api.forecasts import queries as forecasts
from service.api.forecasts.build_answer import build_answer
from service.api.forecasts.forecast_prices import ForecastPrices
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.no_forecast import explain_missing
from service.api.forecasts.queries import ForecastQuery, ServedRow
from service.api.forecasts.schemas import ForecastAnswer, Missing
from service.api.symbols.queries import read_instruments, unknown_symbol_message
from service.clock import instant_text
from service.errors import NotFound, NotYet
from service.market.symbol_names import stored_symbols
from service.settings import Settings


def read_forecast(snapshot: Snapshot, settings: Settings, symbol: str, selection: ForecastQuery) -> ForecastAnswer:
    """Return the forecast of one symbol.

    Raises:
        NotFound: the symbol does not exist, or no forecast matches.
        NotYet: it has no forecast yet; the message says why.
    """
    stored = stored_symbols(snapshot.connection, [symbol]).get(symbol, symbol)
    answers = read_forecasts(snapshot, settings, [stored], selection)
    if answers:
        return answers[0]
    [missing] = explain_others(snapshot, [stored], answers, selection)
    raise NotYet(missing.reason) if missing.status == 503 else NotFound(missing.reason)


def read_forecasts(
    snapshot: Snapshot, settings: Settings, symbols: Sequence[str], selection: ForecastQuery
) -> list[ForecastAnswer]:
    """Return the forecasts of symbols in their stored spelling, in their order; those without one are left out."""
    instruments = read_instruments(snapshot.connection, symbols)
    editions = forecasts.read_editions(snapshot.connection, list(instruments), selection)
    rows = _read_rows(snapshot, settings, instruments, editions, selection) if editions else {}
    return [build_answer(rows[symbol]) for symbol in symbols if symbol in rows]


def _read_rows(
    snapshot: Snapshot,
    settings: Settings,
    instruments: dict[str, InstrumentRow],
    editions: dict[str, EditionRow],
    selection: ForecastQuery,
) -> dict[str, ForecastRows]:
    connection, symbols = snapshot.connection, list(editions)
    rows = _by_symbol(forecasts.read_forecasts(connection, editions))
    served: defaultdict[str, dict[Strategy, ServedRow]] = defaultdict(dict)
    for item in forecasts.read_served(connection, editions):
        served[item.symbol][item.strategy] = item
    versions = forecasts.read_versions(connection, (row.model_version_id for group in rows.values() for row in group))
    actions = _by_symbol(forecasts.read_later_actions(connection, symbols, min(row.as_of for row in editions.values())))
    records = _by_symbol(forecasts.read_track_records(connection, symbols), "scope")
    timings: dict[tuple[str, date], Timing] = {}
    joints: dict[tuple[str, date], Mapping[int, Mapping[str, Any]]] = {}

    def timing(calendar: str, session: date) -> Timing:
        if (calendar, session) not in timings:
            timings[calendar, session] = common.read_timing(connection, settings, calendar, session)
        return timings[calendar, session]

    def joint_states(calendar: str, session: date) -> Mapping[int, Mapping[str, Any]]:
        if (calendar, session) not in joints:
            joints[calendar, session] = forecasts.read_joint_states(connection, versions, calendar, session)
        return joints[calendar, session]

    coming = NextEditions(connection, settings, snapshot.now)
    next_of = {name: coming.first([name]) for name in {instruments[symbol].calendar for symbol in editions}}
    return {
        symbol: ForecastRows(
            instrument=instruments[symbol],
            edition=edition,
            forecasts=rows[symbol],
            served=served[symbol],
            versions=versions,
            prices=ForecastPrices(
                rows[symbol][0].basis,
                instruments[symbol].basis,
                [action for action in actions[symbol] if action.ex_date > edition.as_of],
                selection.known_at,
            ),
            records=[
                row for row in records[symbol] if _was_known(timing(instruments[symbol].calendar, row.as_of), selection)
            ],
            joint_states=joint_states(instruments[symbol].calendar, edition.as_of),
            timing=timing(instruments[symbol].calendar, edition.as_of),
            next_edition=next_of[instruments[symbol].calendar],
            known_at=selection.known_at,
        )
        for symbol, edition in editions.items()
    }


def _by_symbol(rows: Sequence[RowType], name: str = "symbol") -> defaultdict[str, list[RowType]]:
    groups: defaultdict[str, list[RowType]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, name)].append(row)
    return groups


def _was_known(timing: Timing, selection: ForecastQuery) -> bool:
    """Return whether the track record was known at that instant: only the newest is stored."""
    return timing.final_at is None or timing.final_at <= selection.known_at


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
