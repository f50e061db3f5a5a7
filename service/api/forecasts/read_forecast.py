"""Reads the forecasts of symbols, or the reason why a symbol has none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row

from service.api.common import queries as common
from service.api.common.dependencies import Snapshot
from service.api.common.queries import Timing
from service.api.forecasts import queries as forecasts
from service.api.forecasts.build_answer import build
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.schemas import ForecastAnswer, Missing
from service.api.symbols import queries as instruments
from service.api.symbols.queries import unknown_symbol
from service.errors import NotFound, NotYet
from service.settings import Settings


def read_one(snapshot: Snapshot, settings: Settings, symbol: str, wanted: ForecastQuery) -> ForecastAnswer:
    """Return the forecast of one symbol.

    Raises:
        NotFound: the symbol does not exist, or no forecast matches.
        NotYet: it has no forecast yet; the message says why.
    """
    answers, missing = read_many(snapshot, settings, [symbol], wanted)
    if answers:
        return answers[0]
    raise NotYet(missing[0].reason) if missing[0].status == 503 else NotFound(missing[0].reason)


def read_many(
    snapshot: Snapshot, settings: Settings, symbols: Sequence[str], wanted: ForecastQuery
) -> tuple[list[ForecastAnswer], list[Missing]]:
    """Return the forecasts of symbols, in their order, and the symbols without one."""
    known = instruments.named(snapshot.connection, symbols)
    chosen = forecasts.editions_for(snapshot.connection, list(known), wanted)
    materials = _gather(snapshot, settings, known, chosen, wanted) if chosen else {}
    answers = [build(materials[symbol]) for symbol in symbols if symbol in materials]
    return answers, _missing(snapshot, known, [symbol for symbol in symbols if symbol not in materials], wanted)


def _gather(
    snapshot: Snapshot,
    settings: Settings,
    known: dict[str, Row[Any]],
    chosen: dict[str, Row[Any]],
    wanted: ForecastQuery,
) -> dict[str, ForecastRows]:
    connection, symbols = snapshot.connection, list(chosen)
    rows = _by_symbol(forecasts.stored(connection, chosen))
    served: defaultdict[str, dict[str, Row[Any]]] = defaultdict(dict)
    for (symbol, strategy), item in forecasts.served(connection, chosen).items():
        served[symbol][strategy] = item
    versions = forecasts.versions(connection, (row.model_version_id for group in rows.values() for row in group))
    actions = _by_symbol(forecasts.later_actions(connection, symbols, min(row.as_of for row in chosen.values())))
    records = _by_symbol(forecasts.records(connection, symbols), "scope")
    timings: dict[tuple[str, date], Timing] = {}
    joints: dict[tuple[str, date], Mapping[int, Mapping[str, Any]]] = {}

    def timing(calendar: str, session: date) -> Timing:
        if (calendar, session) not in timings:
            timings[calendar, session] = common.timing(connection, settings, calendar, session)
        return timings[calendar, session]

    def joint(calendar: str, session: date) -> Mapping[int, Mapping[str, Any]]:
        if (calendar, session) not in joints:
            joints[calendar, session] = forecasts.joint_states(connection, versions, calendar, session)
        return joints[calendar, session]

    return {
        symbol: ForecastRows(
            instrument=known[symbol],
            edition=edition,
            forecasts=rows[symbol],
            served=served[symbol],
            versions=versions,
            actions=[action for action in actions[symbol] if action.ex_date > edition.as_of],
            records=[row for row in records[symbol] if _was_known(timing(known[symbol].calendar, row.as_of), wanted)],
            joints=joint(known[symbol].calendar, edition.as_of),
            timing=timing(known[symbol].calendar, edition.as_of),
            now=snapshot.now,
            known_at=wanted.known_at,
        )
        for symbol, edition in chosen.items()
    }


def _by_symbol(rows: Sequence[Row[Any]], name: str = "symbol") -> defaultdict[str, list[Row[Any]]]:
    groups: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, name)].append(row)
    return groups


def _was_known(timing: Timing, wanted: ForecastQuery) -> bool:
    """Return whether the track record was known at that instant: only the newest is stored."""
    return timing.final_at is None or timing.final_at <= wanted.known_at


def _missing(
    snapshot: Snapshot, known: dict[str, Row[Any]], symbols: Sequence[str], wanted: ForecastQuery
) -> list[Missing]:
    without = [symbol for symbol in symbols if symbol in known]
    ever = forecasts.editions_for(snapshot.connection, without, ForecastQuery(snapshot.now)) if without else {}
    outcomes = forecasts.newest_outcomes(snapshot.connection, without) if without else {}
    found = []
    for symbol in symbols:
        if symbol not in known:
            found.append(Missing(symbol=symbol, status=404, reason=unknown_symbol(symbol)))
        elif symbol in ever:
            found.append(Missing(symbol=symbol, status=404, reason=_not_then(symbol, ever[symbol], wanted)))
        elif not known[symbol].active:
            reason = (
                f"{symbol} is not on the watchlist, so it is not forecast; add it with `tplus symbols add {symbol}`"
            )
            found.append(Missing(symbol=symbol, status=404, reason=reason))
        elif known[symbol].state == "unknown":
            found.append(Missing(symbol=symbol, status=404, reason=f"{known[symbol].state_reason}"))
        else:
            found.append(Missing(symbol=symbol, status=503, reason=_not_yet(known[symbol], outcomes.get(symbol))))
    return found


def _not_then(symbol: str, newest: Row[Any], wanted: ForecastQuery) -> str:
    which = "" if wanted.as_of is None else f" as of {wanted.as_of}"
    return (
        f"no forecast of {symbol}{which} was known at {wanted.known_at:%Y-%m-%dT%H:%M:%SZ}; "
        f"the newest is as of {newest.as_of}, see /v1/forecasts/{symbol}/history for all"
    )


def _not_yet(instrument: Row[Any], outcome: Row[Any] | None) -> str:
    reason = instrument.state_reason if outcome is None else outcome.reason
    if reason is None:
        reason = "the next forecast run of its calendar makes the first, see /v1/runs"
    return f"there is no forecast of {instrument.symbol} yet: {reason}"
