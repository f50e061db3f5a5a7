"""Who is active: a lease on machine time with a token, so that one scheduler at a time moves the clock.

On SQLite the active scheduler does all the work and the others stand by; on PostgreSQL the runs have leases of
their own and every scheduler works, but replayed market time is still moved by one alone.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

from service.db.change_counters import lock_changes
from service.db.tables import runs, schedulers
from service.db.upsert import upsert


def take_lead(connection: Connection, me: str, name: str, now: datetime, lease: timedelta) -> bool:
    """Take or keep the lead; returns whether it is ours.

    Args:
        connection: An open write transaction.
        me: This scheduler's id.
        name: Host and process, for people.
        now: Aware UTC machine time.
        lease: How long the lead holds without a heartbeat.
    """
    lock_changes(connection)
    _follow_clock_back(connection, me, now, lease)
    other = connection.execute(
        select(schedulers.c.id).where(schedulers.c.id != me, schedulers.c.lease_until > now).limit(1)
    ).one_or_none()
    mine = connection.execute(select(schedulers).where(schedulers.c.id == me)).one_or_none()
    row = {"id": me, "name": name, "heartbeat_at": now, "lease_until": None, "token": 0 if mine is None else mine.token}
    if other is None:
        held = mine is not None and mine.lease_until is not None and mine.lease_until > now
        if not held:
            highest = connection.execute(select(func.coalesce(func.max(schedulers.c.token), 0))).scalar_one()
            row["token"] = int(highest) + 1
        row["lease_until"] = now + lease
    upsert(connection, schedulers, [row], ("name", "heartbeat_at", "lease_until", "token"))
    return other is None


def _follow_clock_back(connection: Connection, me: str, now: datetime, lease: timedelta) -> None:
    """Let no lease outlive one lease from now where the clock was set back since it was written.

    A heartbeat of another scheduler that lies in the future shows it. A living holder beats again within its lease
    and loses nothing; a dead one's lead and runs come free after one lease in place of the whole step back.
    """
    ahead = select(schedulers.c.id).where(schedulers.c.id != me, schedulers.c.heartbeat_at > now).limit(1)
    if connection.execute(ahead).one_or_none() is None:
        return
    others, end = schedulers.c.id != me, now + lease
    connection.execute(update(schedulers).where(others, schedulers.c.lease_until > end).values(lease_until=end))
    connection.execute(update(schedulers).where(others, schedulers.c.heartbeat_at > now).values(heartbeat_at=now))
    held = runs.c.state == "running"
    connection.execute(update(runs).where(held, runs.c.lease_until > end).values(lease_until=end))


def drop_lead(connection: Connection, me: str) -> None:
    """Give the lead back so that a standby need not wait for the lease to run out."""
    connection.execute(update(schedulers).where(schedulers.c.id == me).values(lease_until=None))


def holds_lead(connection: Connection, me: str, now: datetime) -> bool:
    """Whether a scheduler's lead is still its own; locks it against a takeover until the transaction ends."""
    lock_changes(connection)
    mine = select(schedulers.c.id).where(schedulers.c.id == me, schedulers.c.lease_until > now)
    return connection.execute(mine).one_or_none() is not None


def leader(connection: Connection, now: datetime) -> str | None:
    """Name of the active scheduler, None where there is none."""
    query = select(schedulers.c.name).where(schedulers.c.lease_until > now).limit(1)
    return connection.execute(query).scalar_one_or_none()
