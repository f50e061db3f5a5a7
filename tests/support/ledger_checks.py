"""Assertions about a ledger, for any number of schedulers that wrote it and any way they ended."""

from datetime import date

from sqlalchemy import Connection, func, select

from service.db.session import Database
from service.db.tables import editions, forecasts, runs, scores
from service.forecasts.ledger import verify


def issued(database: Database) -> int:
    """Return the number of editions published so far."""
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(editions)).scalar_one()


def assert_nothing_is_lost_or_doubled(database: Database) -> list[date]:
    """Assert that each run was done once, editions have no gaps and each forecast has one score.

    Returns:
        The sessions forecast."""
    with database.reading() as connection:
        assert verify(connection) == []
        query = select(runs.c.session).where(runs.c.job == "forecast", runs.c.state == "done").order_by(runs.c.session)
        done = list(connection.execute(query).scalars())
        assert len(done) == len(set(done))
        assert list(connection.execute(select(editions.c.as_of).order_by(editions.c.number)).scalars()) == done
        keys = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step)
        assert connection.execute(select(*keys).group_by(*keys).having(func.count() > 1)).all() == []
        assert _scores_of_each_forecast(connection) == {1}
    return done


def _scores_of_each_forecast(connection: Connection) -> set[int]:
    last_scored = connection.execute(
        select(func.max(runs.c.session)).where(runs.c.job == "score", runs.c.state == "done")
    ).scalar_one()
    per_forecast = connection.execute(
        select(func.count(scores.c.id))
        .select_from(forecasts.outerjoin(scores, scores.c.forecast_id == forecasts.c.id))
        .where(forecasts.c.target_session <= last_scored)
        .group_by(forecasts.c.id)
    ).scalars()
    return set(per_forecast)
