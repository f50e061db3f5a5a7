"""Stores and reads the phases of runs: where their time went."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from models.phases import PhaseUsage
from service.db.tables import runs
from service.runs import Run


def add_phases(connection: Connection, run: Run, phases: Iterable[PhaseUsage]) -> None:
    """Add what an attempt of a run used to what is stored of its earlier ones.

    The run may have ended. Nothing is stored if another worker has claimed it since.

    Args:
        connection: An open write transaction.
        run: The run as it was claimed.
        phases: What the attempt used.
    """
    own = (runs.c.id == run.id, runs.c.token == run.token)
    stored = connection.execute(select(runs.c.phases).where(*own)).one_or_none()
    if stored is None:
        return
    totals = {usage.name: usage for usage in read_phases(stored.phases)}
    for usage in phases:
        totals.setdefault(usage.name, PhaseUsage(usage.name)).add(usage)
    if totals:
        values = [_document(usage) for usage in totals.values()]
        connection.execute(update(runs).where(*own).values(phases=values))


def read_phases(stored: Iterable[Mapping[str, Any]] | None) -> tuple[PhaseUsage, ...]:
    """Return the phases that the column of a run holds; none before it was measured."""
    return tuple(
        PhaseUsage(
            str(each["name"]),
            float(each["seconds"]),
            float(each["cpu_seconds"]),
            int(each["peak_bytes"]),
            int(each["rows"]),
        )
        for each in stored or ()
    )


def _document(usage: PhaseUsage) -> dict[str, Any]:
    return {
        "name": usage.name,
        "seconds": round(usage.seconds, 4),
        "cpu_seconds": round(usage.cpu_seconds, 4),
        "peak_bytes": usage.peak_bytes,
        "rows": usage.rows,
    }
