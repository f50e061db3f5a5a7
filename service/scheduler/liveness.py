"""Reads the health of the schedulers: the age of the newest heartbeat, in machine time."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from service.db.tables import schedulers


def heartbeat_age(connection: Connection, now: datetime, host: str | None = None) -> timedelta | None:
    """Return the age of the newest heartbeat, None if there was none.

    Args:
        connection: Open for reading.
        now: Aware UTC machine time.
        host: Only schedulers of this host, as `socket.gethostname()` writes it; None = of any host.
    """
    query = select(schedulers.c.heartbeat_at).order_by(schedulers.c.heartbeat_at.desc()).limit(1)
    if host is not None:
        query = query.where(schedulers.c.name.startswith(f"{host}:", autoescape=True))
    newest: datetime | None = connection.execute(query).scalar_one_or_none()
    return None if newest is None else now - newest
