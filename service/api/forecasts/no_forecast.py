"""Why a symbol has no forecast: what the newest pull and the newest forecast run know.

"Yet" is said only of what waiting brings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import Connection

from service.api.common.rows import InstrumentRow
from service.api.forecasts import queries as forecasts
from service.api.forecasts.queries import NewestOutcome
from service.vocabulary import Job, SymbolState

HALTED_AFTER = 5
"""Sessions without a bar after which waiting is not expected to bring one."""

_RETRIED = ("transient", "deferred")
"""Outcomes of a pull that the next one may not have: the source did not answer."""

_LASTING = ("malformed", "no_data", "unknown")
"""Outcomes of a pull that every later one has too, unless a person or the vendor changes the prices."""


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Why a symbol has no forecast.

    Attributes:
        status: Status of a request for it: 503 if waiting may bring one, else 404.
        reason: One sentence.
        is_ordinary: Whether its prices arrive as usual.
    """

    status: Literal[404, 503]
    reason: str
    is_ordinary: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about one symbol without a forecast.

    Attributes:
        instrument: Its row.
        pulled: Its outcome in the newest pull; None before the first.
        processed: Its outcome in the newest forecast run; None before the first.
        missing_sessions: Sessions after its last bar up to that of the newest pull.
    """

    instrument: InstrumentRow
    pulled: NewestOutcome | None
    processed: NewestOutcome | None
    missing_sessions: int


def explain_missing(connection: Connection, rows: Sequence[InstrumentRow]) -> dict[str, NoForecast]:
    """Return why instruments have no forecast, by symbol."""
    if not rows:
        return {}
    symbols = [row.symbol for row in rows]
    pulled = forecasts.read_newest_outcomes(connection, symbols, Job.PULL)
    processed = forecasts.read_newest_outcomes(connection, symbols, Job.FORECAST)
    missing = _missing_sessions(connection, rows, pulled)
    return {
        row.symbol: _explain(_Known(row, pulled.get(row.symbol), processed.get(row.symbol), missing[row.symbol]))
        for row in rows
    }


def _missing_sessions(
    connection: Connection, rows: Sequence[InstrumentRow], pulled: Mapping[str, NewestOutcome]
) -> Mapping[str, int]:
    """Return the missing sessions by symbol; those after its newest pull say nothing about it."""
    counts: dict[tuple[str, date, date], int] = {}  # most symbols share theirs
    missing = {}
    for row in rows:
        last, until = row.last_session, pulled[row.symbol].session if row.symbol in pulled else None
        if last is None or until is None:
            missing[row.symbol] = 0
            continue
        key = (row.calendar, last, until)
        if key not in counts:
            counts[key] = forecasts.read_session_count(connection, *key)
        missing[row.symbol] = counts[key]
    return missing


def _explain(known: _Known) -> NoForecast:
    instrument, symbol = known.instrument, known.instrument.symbol
    outcome = None if known.pulled is None else known.pulled.state
    reason = instrument.state_reason or (None if known.pulled is None else known.pulled.reason)
    if instrument.state == SymbolState.UNKNOWN:
        return NoForecast(404, reason or f"the source does not know {symbol}")
    if instrument.state == SymbolState.SUSPECT:
        sentence = f"there is no forecast of {symbol}: its prices are on hold until they are confirmed: {reason}"
        return NoForecast(503, f"{sentence}; see `tplus quarantine`")
    if outcome in _RETRIED:
        return NoForecast(503, f"there is no forecast of {symbol} yet: {reason}; the next pull tries again")
    stopped = _stopped_sentence(known)
    if instrument.state == SymbolState.FAILING:
        since = "" if stopped is None else f"; {stopped}"
        status: Literal[404, 503] = 404 if outcome in _LASTING or known.missing_sessions > HALTED_AFTER else 503
        return NoForecast(status, f"there is no forecast of {symbol}: {reason or 'its last pull failed'}{since}")
    if stopped is not None:
        said = f" (the newest pull: {reason})" if outcome in _LASTING and reason is not None else ""
        status = 404 if known.missing_sessions > HALTED_AFTER else 503
        return NoForecast(status, f"there is no forecast of {symbol}: {stopped}{said}")
    return _ordinary(known)


def _stopped_sentence(known: _Known) -> str | None:
    """Return since when there is no bar; None if the newest pull lacks one session at most."""
    if known.missing_sessions < 2:
        return None
    last, count = known.instrument.last_session, known.missing_sessions
    cause = "trading is halted, or it is delisted"
    if count <= HALTED_AFTER:
        cause = "trading may be halted"
    return f"there is no bar since {last} ({count} sessions of {known.instrument.calendar}); {cause}"


def _ordinary(known: _Known) -> NoForecast:
    reason = known.instrument.state_reason if known.processed is None else known.processed.reason
    if reason is None:
        reason = "the next forecast run of its calendar makes the first, see /v1/runs"
    return NoForecast(503, f"there is no forecast of {known.instrument.symbol} yet: {reason}", is_ordinary=True)
