"""Writes and verifies score batches: the scores of one transaction under a number.

Each batch names the hash of the one before it. The hash covers the batch's header and every score with the
forecast that it belongs to, named by edition, symbol, step and model version. Scores are thus as tamper-evident as the
editions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from service.alerts.detection.publish import alert_on_scores
from service.alerts.outbox import Instants
from service.db.change_counters import lock_changes
from service.db.hash_chain import GENESIS, chain_hash
from service.db.tables import forecasts, score_batches, scores
from service.forecasts.scoring.outcomes import PendingForecast

_FIGURES = ("actual", "pinball", "error")
_KEY = ("edition", "symbol", "step", "model_version_id")


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


def verify_scores(connection: Connection) -> Iterator[str]:
    """Check the chain of score batches and yield one sentence per fault."""
    expected, previous = 1, GENESIS
    for batch in connection.execute(select(score_batches).order_by(score_batches.c.number)).mappings().all():
        number = batch["number"]
        if number != expected:
            yield f"score batch {expected} is missing: the next one stored is {number}"
        if batch["previous_hash"] != previous:
            yield f"score batch {number} does not name the hash of the batch before it"
        header = {name: batch[name] for name in batch if name not in ("hash", "run_id")}
        query = (
            select(scores, *(forecasts.c[name] for name in _KEY))
            .join(forecasts, forecasts.c.id == scores.c.forecast_id)
            .where(scores.c.batch == number)
        )
        rows = [
            {name: row[name] for name in row if name not in ("id", "forecast_id")}
            for row in connection.execute(query).mappings()
        ]
        if chain_hash(header, {"scores": rows}) != batch["hash"]:
            yield f"score batch {number} was altered: its scores do not give its hash"
        expected, previous = number + 1, batch["hash"]


def _stored(row: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    # Adding 0.0 turns -0.0 into 0.0: SQLite stores no sign of zero, and the hash is of what is stored.
    figures = {name: None if row[name] is None else row[name] + 0.0 for name in _FIGURES}
    instants = {"scored_at": header["scored_at"], "recorded_at": header["recorded_at"]}
    return {**row, **figures, "batch": header["number"], **instants}


def _hashed(row: Mapping[str, Any], forecast: PendingForecast) -> dict[str, Any]:
    key = {name: getattr(forecast, name) for name in _KEY}
    return {**{name: value for name, value in row.items() if name != "forecast_id"}, **key}
