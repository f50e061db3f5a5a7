"""Lays a ledger of a year: a night reads the scores of the last 252 sessions, so an empty ledger would flatter it."""

from datetime import date

from sqlalchemy import func, select

from service.db.change_counters import lock_changes
from service.db.tables import editions, forecasts, served_forecasts
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.ledger import publish
from service.forecasts.publication import NewForecast, Publication, ServedForecast
from service.forecasts.scoring.score_job import score_edition
from service.runtime.context import ServiceContext


def lay_ledger(context: ServiceContext, sessions: int) -> None:
    """Publish and score the newest edition's forecasts again as of that many sessions before the first edition.

    The quantiles are relative to the close, so they fit any session. Each edition is scored as it is published.

    Args:
        context: The service's parts; nothing else writes meanwhile.
        sessions: Number of editions.
    """
    with context.database.reading() as connection:
        newest = connection.execute(select(editions).order_by(editions.c.number.desc()).limit(1)).one()
        rows = connection.execute(select(forecasts).where(forecasts.c.edition == newest.number)).all()
        served = connection.execute(select(served_forecasts).where(served_forecasts.c.edition == newest.number)).all()
        first: date = connection.execute(select(func.min(editions.c.as_of))).scalar_one()
    items = tuple(ServedForecast(row.symbol, row.strategy, row.model_version_id, row.reason) for row in served)
    quantiles = [tuple(getattr(row, name) for name in QUANTILE_NAMES) for row in rows]
    calendar = context.calendars.get(newest.calendar)
    for back in range(sessions, 0, -1):
        day = calendar.previous(first, back)
        targets = context.calendars.targets(newest.calendar, day, 3)
        dated = tuple(
            NewForecast(
                row.symbol, day, row.step, targets[row.step - 1], row.strategy, row.model_version_id, row.revision,
                row.basis, row.last_close, row.sigma, own, own,
            )
            for row, own in zip(rows, quantiles, strict=True)
        )  # fmt: skip
        publication = Publication(context.mode, newest.calendar, day, None, dated, items)
        with context.database.transaction() as connection:
            lock_changes(connection)
            number = publish(connection, publication, newest.issued_at, newest.recorded_at)
            score_edition(context, connection, newest.calendar, number)
