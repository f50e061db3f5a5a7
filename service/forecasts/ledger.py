"""The ledger: editions without gaps, each naming the hash of the one before it.

The hash covers the edition's header, the figures of every forecast, and which forecasts were served. Scores have a
chain of their own, see `service.forecasts.scoring.score_batches`; `service.hash_chains` verifies both.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from service.alerts.detection.publish import alert_on_edition
from service.alerts.outbox import Instants
from service.alerts.subscriptions import read_subscriptions
from service.db.change_counters import lock_changes, raise_changes
from service.db.hash_chain import GENESIS, chain_hash
from service.db.tables import editions, forecasts, served_forecasts
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.publication import NewForecast, Publication
from service.hash_chains.verify import verify_database
from service.vocabulary import AlertKind, Mode

_LOW, _HIGH = QUANTILE_NAMES.index("q10"), QUANTILE_NAMES.index("q90")


def publish(connection: Connection, publication: Publication, issued_at: datetime, recorded_at: datetime) -> int:
    """Write an edition inside the caller's (fenced) transaction; returns its number.

    Number and previous hash are taken under one lock: every publish raises the one change counter.

    Args:
        connection: An open write transaction.
        publication: What to publish.
        issued_at: Market-time instant of the publish.
        recorded_at: Machine-time instant of the publish.
    """
    lock_changes(connection)
    newest = connection.execute(select(editions.c.number, editions.c.hash).order_by(editions.c.number.desc()).limit(1))
    last = newest.one_or_none()
    number: int = 1 if last is None else last.number + 1
    header: dict[str, Any] = {
        "number": number,
        "mode": publication.mode,
        "calendar": publication.calendar,
        "as_of": publication.as_of,
        "issued_at": issued_at,
        "recorded_at": recorded_at,
        "previous_hash": GENESIS if last is None else last.hash,
    }
    forecast_rows = [_forecast_row(number, item) for item in publication.forecasts]
    item_rows = [
        {
            "edition": number,
            "symbol": item.symbol,
            "strategy": item.strategy,
            "model_version_id": item.model_version_id,
            "reason": item.reason,
        }
        for item in publication.items
    ]
    digest = edition_hash(header, forecast_rows, item_rows)
    connection.execute(insert(editions).values(**header, hash=digest, run_id=publication.run_id))
    connection.execute(insert(forecasts), forecast_rows)
    connection.execute(insert(served_forecasts), item_rows)
    raise_changes(connection, sorted({item.symbol for item in publication.items}))
    if publication.mode != Mode.BACKFILL:
        subscriptions = read_subscriptions(connection, AlertKind.WIDTH_JUMPED)
        if subscriptions:
            widths = _widths(publication)
            alert_on_edition(connection, header, subscriptions, widths, Instants(issued_at, recorded_at))
    return number


def edition_hash(
    header: Mapping[str, Any], forecast_rows: list[dict[str, Any]], item_rows: list[dict[str, Any]]
) -> str:
    """Return the SHA-256 of an edition, in hex.

    Args:
        header: number, mode, calendar, as_of, issued_at, recorded_at, previous_hash.
        forecast_rows: Column name -> value, without the surrogate id.
        item_rows: Rows of the served forecasts, column name -> value.
    """
    return chain_hash(header, {"forecasts": forecast_rows, "items": item_rows})


def verify(connection: Connection) -> list[str]:
    """Check both chains, of editions and of score batches; returns one sentence per fault."""
    return verify_database(connection).sentences()


def _widths(publication: Publication) -> dict[str, tuple[date, float]]:
    """Return the as_of and the width of the served one-step 80 % interval, by symbol."""
    served = {(item.symbol, item.strategy, item.model_version_id) for item in publication.items}
    return {
        item.symbol: (item.as_of, item.calibrated[_HIGH] - item.calibrated[_LOW])
        for item in publication.forecasts
        if (item.symbol, item.strategy, item.model_version_id) in served
        and (item.strategy, item.step) == ("one_step", 1)
    }


def _forecast_row(edition: int, item: NewForecast) -> dict[str, Any]:
    # Adding 0.0 turns -0.0 into 0.0: SQLite stores no sign of zero, and the hash is of what is stored.
    return {
        "edition": edition,
        "symbol": item.symbol,
        "as_of": item.as_of,
        "step": item.step,
        "target_session": item.target_session,
        "strategy": item.strategy,
        "model_version_id": item.model_version_id,
        "revision": item.revision,
        "basis": item.basis,
        "last_close": item.last_close,
        "sigma": item.sigma + 0.0,
        **{f"raw_{name}": value + 0.0 for name, value in zip(QUANTILE_NAMES, item.raw, strict=True)},
        **{name: value + 0.0 for name, value in zip(QUANTILE_NAMES, item.calibrated, strict=True)},
        "degraded": list(item.degraded) or None,
    }
