"""Elects the active scheduler by a lease on machine time with a token.

One scheduler at a time moves the clock. On SQLite the active scheduler does all the work and the others are on standby.
On PostgreSQL the runs have leases of their own and every scheduler works, but only the active one moves replayed market
time.

The lead's lock is taken first and the clock is read under it: a clock read before a wait is older than the heartbeats
that others write meanwhile, which looks like a clock that was set back.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

from service.clock import MachineClock
from service.db.change_counters import lock_changes
from service.db.tables import runs, schedulers
from service.db.upsert import upsert
from service.vocabulary import RunState


def acquire_lead(connection: Connection, scheduler_id: str, name: str, clock: MachineClock, lease: timedelta) -> bool:
    """Acquire or extend the lead and return whether this scheduler leads.

    Args:
        connection: An open write transaction.
        scheduler_id: This scheduler's id.
        name: Host and process, for messages.
        clock: Machine time; read once the lock is held.
        lease: How long the lead holds without a heartbeat.
    """
    lock_changes(connection)
    now = clock.now(connection)
    _limit_leases_after_clock_step(connection, scheduler_id, now, lease)
    other = connection.execute(
        select(schedulers.c.id).where(schedulers.c.id != scheduler_id, schedulers.c.lease_until > now).limit(1)
    ).one_or_none()
    own = connection.execute(select(schedulers).where(schedulers.c.id == scheduler_id)).one_or_none()
    row = {
        "id": scheduler_id,
        "name": name,
        "heartbeat_at": now,
        "lease_until": None,
        "token": 0 if own is None else own.token,
    }
    if other is None:
        held = own is not None and own.lease_until is not None and own.lease_until > now
        if not held:
            highest = connection.execute(select(func.coalesce(func.max(schedulers.c.token), 0))).scalar_one()
            row["token"] = int(highest) + 1
        row["lease_until"] = now + lease
    upsert(connection, schedulers, [row], ("name", "heartbeat_at", "lease_until", "token"))
    return other is None


def _limit_leases_after_clock_step(connection: Connection, scheduler_id: str, now: datetime, lease: timedelta) -> None:
    """Limit every lease to one lease from now if the clock was set back.

    A heartbeat of another scheduler in the future shows this. A running holder extends its lease in time and loses
    nothing. The lead and runs of a dead one are free after one lease instead of after the whole step back. The row of
    a run that is locked is left as it is: its worker is alive.
    """
    ahead = select(schedulers.c.id).where(schedulers.c.id != scheduler_id, schedulers.c.heartbeat_at > now).limit(1)
    if connection.execute(ahead).one_or_none() is None:
        return
    others, end = schedulers.c.id != scheduler_id, now + lease
    connection.execute(update(schedulers).where(others, schedulers.c.lease_until > end).values(lease_until=end))
    connection.execute(update(schedulers).where(others, schedulers.c.heartbeat_at > now).values(heartbeat_at=now))
    held = select(runs.c.id).where(runs.c.state == RunState.RUNNING, runs.c.lease_until > end)
    free = connection.execute(held.order_by(runs.c.id).with_for_update(skip_locked=True)).scalars().all()
    connection.execute(update(runs).where(runs.c.id.in_(free)).values(lease_until=end))


def release_lead(connection: Connection, scheduler_id: str) -> None:
    """Release the lead, so that a standby need not wait until the lease expires."""
    connection.execute(update(schedulers).where(schedulers.c.id == scheduler_id).values(lease_until=None))


def holds_lead(connection: Connection, scheduler_id: str, clock: MachineClock) -> bool:
    """Return whether a scheduler still leads, and lock the lead until the transaction ends."""
    lock_changes(connection)
    now = clock.now(connection)
    own = select(schedulers.c.id).where(schedulers.c.id == scheduler_id, schedulers.c.lease_until > now)
    return connection.execute(own).one_or_none() is not None


def leader(connection: Connection, now: datetime) -> str | None:
    """Return the name of the active scheduler, None if there is none."""
    query = select(schedulers.c.name).where(schedulers.c.lease_until > now).limit(1)
    return connection.execute(query).scalar_one_or_none()
