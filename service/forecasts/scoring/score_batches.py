"""Writes score batches: the scores of one transaction under a number.

Each batch names the hash of the one before it. The hash covers the batch's header and every score with the
forecast that it belongs to, named by edition, symbol, step and model version. Scores are thus as tamper-evident as the
editions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from service.alerts.detection.publish import alert_on_scores
from service.alerts.outbox import Instants
from service.db.change_counters import lock_changes
from service.db.hash_chain import GENESIS, chain_hash
from service.db.tables import score_batches, scores
from service.forecasts.scoring.outcomes import PendingForecast
from service.hash_chains.links import SCORE_KEY

_FIGURES = ("actual", "pinball", "error")


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """Data that the scores of one transaction share.

    Attributes:
        calendar: Calendar of the forecasts.
        scored_at: Market time.
        recorded_at: Machine time.
        run_id: The score run; None for the scores of a backfill.
    """

    calendar: str
    scored_at: datetime
    recorded_at: datetime
    run_id: int | None


def publish_scores(
    connection: Connection,
    batch: ScoreBatch,
    rows: Sequence[Mapping[str, Any]],
    by_id: Mapping[int, PendingForecast],
) -> int:
    """Write scores as a new batch and return its number.

    Number and previous hash are taken under the lock that every publish takes.

    Args:
        connection: An open write transaction.
        batch: Data that they share.
        rows: Values of the scores table without batch and instants; at least one.
        by_id: The forecast of each row, by its id.
    """
    lock_changes(connection)
    newest = select(score_batches.c.number, score_batches.c.hash).order_by(score_batches.c.number.desc()).limit(1)
    last = connection.execute(newest).one_or_none()
    header: dict[str, Any] = {
        "number": 1 if last is None else last.number + 1,
        "calendar": batch.calendar,
        "scored_at": batch.scored_at,
        "recorded_at": batch.recorded_at,
        "previous_hash": GENESIS if last is None else last.hash,
    }
    stored = [_stored(row, header) for row in rows]
    hashed = [_hashed(row, by_id[row["forecast_id"]]) for row in stored]
    digest = chain_hash(header, {"scores": hashed})
    connection.execute(insert(score_batches).values(**header, hash=digest, run_id=batch.run_id))
    connection.execute(insert(scores), stored)
    alert_on_scores(connection, stored, Instants(batch.scored_at, batch.recorded_at))
    return int(header["number"])


def _stored(row: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    # Adding 0.0 turns -0.0 into 0.0: SQLite stores no sign of zero, and the hash is of what is stored.
    figures = {name: None if row[name] is None else row[name] + 0.0 for name in _FIGURES}
    instants = {"scored_at": header["scored_at"], "recorded_at": header["recorded_at"]}
    return {**row, **figures, "batch": header["number"], **instants}


def _hashed(row: Mapping[str, Any], forecast: PendingForecast) -> dict[str, Any]:
    key = {name: getattr(forecast, name) for name in SCORE_KEY}
    return {**{name: value for name, value in row.items() if name != "forecast_id"}, **key}
