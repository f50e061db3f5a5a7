"""The accuracy table: what the last year of scored forecasts was worth, beside the random walk.

Written by the score job in its own transaction. For each symbol and step the newest score of the last on-time
revision of each as_of counts, over the last 252 scored sessions, paired with the random walk's forecast for the
same symbol, as_of and step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, func, select

from models.comparison import diebold_mariano
from service.db.tables import accuracy, edition_items, editions, forecasts, instruments, model_versions, scores
from service.db.upsert import insert_for

SESSIONS = 252
"""Scored sessions that an accuracy figure covers."""
MINIMUM = 60
"""Scored sessions below which no skill is stated."""
_REACH = timedelta(days=420)
"""Calendar days that surely hold `SESSIONS` sessions of any calendar."""
_FIGURES = (
    "as_of",
    "n",
    "pinball",
    "random_walk_pinball",
    "skill",
    "coverage_50",
    "coverage_80",
    "coverage_95",
    "mae",
    "p",
)


@dataclass(frozen=True, slots=True)
class _Scored:
    """One scored forecast as one forecaster's answer; `forecaster` is `served` or an architecture."""

    symbol: str
    group: str
    strategy: str
    step: int
    as_of: date
    target: date
    forecaster: str
    pinball: float
    walk: float | None
    inside: tuple[bool, bool, bool]
    error: float


def update_accuracy(connection: Connection, symbols: Sequence[str], origin: str) -> None:
    """Recompute the accuracy of some symbols, and of the groups they belong to.

    Args:
        connection: The score job's write transaction.
        symbols: Symbols that have new scores.
        origin: `live`, `replay` or `backfill`; track records never mix them.
    """
    groups = set(
        connection.execute(select(instruments.c.group).where(instruments.c.symbol.in_(symbols)).distinct()).scalars()
    )
    found = list(_read(connection, sorted(groups), origin))
    touched = set(symbols)
    keyed: dict[tuple[str, str, str, int, str], list[_Scored]] = {}
    for item in found:
        if item.symbol in touched:
            keyed.setdefault(("symbol", item.symbol, item.strategy, item.step, item.forecaster), []).append(item)
        keyed.setdefault(("group", item.group, item.strategy, item.step, item.forecaster), []).append(item)
    rows = [_row(key, items, origin) for key, items in sorted(keyed.items())]
    if rows:
        statement = insert_for(connection, accuracy)
        keys = ["scope_kind", "scope", "strategy", "step", "forecaster", "origin"]
        changed = {name: statement.excluded[name] for name in _FIGURES}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _read(connection: Connection, groups: Sequence[str], origin: str) -> Iterator[_Scored]:
    """Newest scores of the last revision of each forecast, each once per forecaster name it counts for."""
    newest: date | None = connection.execute(
        select(func.max(forecasts.c.target_session)).join(scores, scores.c.forecast_id == forecasts.c.id)
    ).scalar_one_or_none()
    if newest is None:
        return
    rows = connection.execute(_query(groups, origin, newest - _REACH)).all()
    # Every forecaster answers in each revision, so what a later one lacks (a version retired since) no longer counts.
    newest_revision: dict[tuple[str, date, str], int] = {(r.symbol, r.as_of, r.strategy): r.revision for r in rows}
    latest: dict[tuple[str, date, int, int], Any] = {}
    for row in rows:  # ordered by revisions, so that the last one stays
        if row.revision == newest_revision[(row.symbol, row.as_of, row.strategy)]:
            latest[(row.symbol, row.as_of, row.step, row.model_version_id)] = row
    walks: dict[tuple[str, date, int, str], float] = {}
    networks: dict[tuple[str, date, int, str, str], Any] = {}
    for row in latest.values():
        if row.architecture == "random_walk":
            walks[(row.symbol, row.as_of, row.step, row.strategy)] = row.pinball
        key = (row.symbol, row.as_of, row.step, row.strategy, row.architecture)
        kept = networks.get(key)
        if kept is None or (row.served, row.model_version_id) > (kept.served, kept.model_version_id):
            networks[key] = row
    for row in networks.values():
        yield _scored(row, row.architecture, walks)
    for row in latest.values():
        if row.served:
            yield _scored(row, "served", walks)


def _query(groups: Sequence[str], origin: str, since: date) -> Any:
    served = and_(
        edition_items.c.edition == forecasts.c.edition,
        edition_items.c.symbol == forecasts.c.symbol,
        edition_items.c.strategy == forecasts.c.strategy,
        edition_items.c.model_version_id == forecasts.c.model_version_id,
    )
    return (
        select(
            forecasts.c.symbol,
            instruments.c.group,
            forecasts.c.strategy,
            forecasts.c.step,
            forecasts.c.as_of,
            forecasts.c.target_session,
            forecasts.c.revision,
            forecasts.c.model_version_id,
            model_versions.c.architecture,
            scores.c.pinball,
            scores.c.inside_50,
            scores.c.inside_80,
            scores.c.inside_95,
            scores.c.error,
            edition_items.c.edition.is_not(None).label("served"),
        )
        .join(scores, scores.c.forecast_id == forecasts.c.id)
        .join(instruments, instruments.c.symbol == forecasts.c.symbol)
        .join(editions, editions.c.number == forecasts.c.edition)
        .join(model_versions, model_versions.c.id == forecasts.c.model_version_id)
        .outerjoin(edition_items, served)
        .where(
            instruments.c.group.in_(groups),
            forecasts.c.target_session >= since,
            editions.c.origin == origin,
            scores.c.state == "scored",
        )
        .order_by(forecasts.c.revision, scores.c.revision)
    )


def _scored(row: Any, forecaster: str, walks: dict[tuple[str, date, int, str], float]) -> _Scored:
    return _Scored(
        row.symbol,
        row.group,
        row.strategy,
        row.step,
        row.as_of,
        row.target_session,
        forecaster,
        row.pinball,
        walks.get((row.symbol, row.as_of, row.step, row.strategy)),
        (bool(row.inside_50), bool(row.inside_80), bool(row.inside_95)),
        row.error,
    )


def _row(key: tuple[str, str, str, int, str], items: Sequence[_Scored], origin: str) -> dict[str, Any]:
    kind, scope, strategy, step, forecaster = key
    recent = set(sorted({item.target for item in items})[-SESSIONS:])
    kept = [item for item in items if item.target in recent]
    pinballs = np.array([item.pinball for item in kept])
    inside = np.array([item.inside for item in kept], dtype=float).mean(axis=0)
    paired = [item for item in kept if item.walk is not None]
    walk = np.array([item.walk for item in paired], dtype=float)
    own = np.array([item.pinball for item in paired])
    enough = len({item.target for item in paired}) >= MINIMUM and float(walk.sum()) > 0
    compared = enough and forecaster != "random_walk"
    return {
        "scope_kind": kind,
        "scope": scope,
        "strategy": strategy,
        "step": step,
        "forecaster": forecaster,
        "origin": origin,
        "as_of": max(recent),
        "n": len(kept),
        "pinball": float(pinballs.mean()),
        "random_walk_pinball": float(walk.mean()) if len(walk) else None,
        "skill": 1.0 - float(own.sum()) / float(walk.sum()) if enough else None,
        "coverage_50": float(inside[0]),
        "coverage_80": float(inside[1]),
        "coverage_95": float(inside[2]),
        "mae": float(np.abs([item.error for item in kept]).mean()),
        "p": _significance(paired, own, walk, step) if compared else None,
    }


def _significance(
    paired: Sequence[_Scored], own: NDArray[np.float64], walk: NDArray[np.float64], step: int
) -> float | None:
    """Two-sided Diebold-Mariano p; None where both forecast alike throughout (the random walk itself served)."""
    if bool(np.array_equal(own, walk)):
        return None
    days = np.array([item.as_of for item in paired], dtype="datetime64[D]")
    return diebold_mariano(days, own, walk, step).p
