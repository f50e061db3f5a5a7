"""Output of `tplus forecast`: the API's answer for each symbol, or why there is none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from service.api.common.dependencies import Snapshot
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_forecast import read_forecasts
from service.db.tables import runs
from service.market.instruments import Instrument, list_instruments
from service.runs import Outcome, read_outcomes
from service.runtime.context import ServiceContext
from service.vocabulary import SymbolState

HORIZON = 3


def forecast_document(context: ServiceContext, run_ids: Sequence[int], only: Sequence[str]) -> dict[str, Any]:
    """Return a JSON-able document on the newest forecast runs.

    Each symbol has `symbol, calendar, as_of, state, reason, target_sessions` and, if there is a forecast as of that
    session, the API's answer.

    Args:
        context: The service's parts.
        run_ids: The newest forecast run(s) of each calendar.
        only: Symbols to show; none = all of the watchlist.
    """
    with context.database.reading() as connection:
        now = context.market.now(connection)
        entries: dict[str, dict[str, Any]] = {}
        for run in connection.execute(select(runs).where(runs.c.id.in_(list(run_ids))).order_by(runs.c.id)).all():
            members = {i.symbol: i for i in list_instruments(connection, calendar=run.scope, active=True)}
            shown = [symbol for symbol in members if not only or symbol in only]
            outcomes = {outcome.symbol: outcome for outcome in read_outcomes(connection, run.id)}
            targets = [str(day) for day in context.calendars.targets(run.scope, run.session, HORIZON)]
            stored = ForecastQuery(as_of=run.session, known_at=now)
            answers = read_forecasts(Snapshot(connection, now), context.settings, shown, stored)
            on_time = [answer for answer in answers if answer.mode != "backfill"]
            documents = {answer.symbol: answer.model_dump(mode="json") for answer in on_time}
            for symbol in shown:
                outcome = outcomes.get(symbol)
                entry = {"symbol": symbol, "calendar": run.scope, "as_of": str(run.session), "target_sessions": targets}
                entry |= _state(members[symbol], outcome, symbol in documents)
                if symbol in documents:
                    entry = {**documents[symbol], **entry}
                if symbol not in entries or symbol in documents or outcome is not None:
                    entries[symbol] = entry
    return {"market_time": now, "forecasts": [entries[symbol] for symbol in sorted(entries)]}


def _state(instrument: Instrument, outcome: Outcome | None, has_forecast: bool) -> dict[str, Any]:
    if has_forecast:
        return {"state": "issued", "reason": None}
    if instrument.state in (
        SymbolState.UNKNOWN,
        SymbolState.FAILING,
    ):  # the reason of the failed pull says more than the missing bar
        return {"state": instrument.state, "reason": instrument.state_reason}
    if outcome is None:
        return {"state": "none", "reason": "no forecast run has processed it yet"}
    return {"state": outcome.state, "reason": outcome.reason}


def forecast_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the document as text, a few lines per symbol."""
    if not document["forecasts"]:
        yield "nothing to show: no session is final yet"
    for entry in document["forecasts"]:
        yield f"{entry['symbol']}  as of {entry['as_of']} ({entry['calendar']})"
        if entry["state"] != "issued":
            yield f"  no forecast: {entry['state']}; {entry['reason']}"
            continue
        for name in ("multi_step", "one_step"):
            part = entry.get(name)
            if part is None:
                continue
            for step in part["steps"]:
                interval = next(each for each in step["intervals"] if each["level"] == 80)
                yield (
                    f"  {name:<10} {step['label']:<3} {step['target_session']}  {step['point']:.2f}  "
                    f"80 %: {interval['lower']:.2f} .. {interval['upper']:.2f}"
                )
            served = part["served_by"]
            yield f"  {name:<10} served by {served['forecaster']}: {served['reason']}"
