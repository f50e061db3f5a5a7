"""Updates track records: error, skill and coverage of the last year of scored forecasts.

The score job writes them in its own transaction. For each symbol and step the newest score of the last on-time
revision of each as_of counts, over the last 252 scored sessions, paired with the random walk's forecast for the
same symbol, as_of and step.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, delete, or_, select

from models.metrics.significance import diebold_mariano
from service.db.tables import instruments, track_records
from service.db.upsert import insert_for, insert_rows
from service.forecasts.scoring.changed_actions import FORECAST_REACH
from service.forecasts.scoring.score_history import STRATEGY_STEPS, ScoreHistory, first_as_of, read_score_histories
from service.vocabulary import RANDOM_WALK

SESSIONS = 252
"""Scored sessions that a track record covers."""
MINIMUM = 60
"""Scored sessions below which skill is null."""
_KEYS = ("scope_kind", "scope", "strategy", "step", "forecaster", "mode")


def update_track_records(connection: Connection, symbols: Sequence[str], mode: str) -> None:
    """Recompute the track records of symbols, and of the groups they belong to.

    Args:
        connection: The score job's write transaction.
        symbols: Symbols that have new scores.
        mode: `live`, `replay` or `backfill`; track records never mix them.
    """
    updated = set(symbols)
    rows: list[dict[str, Any]] = []
    for group, members in _groups(connection, symbols).items():
        own_rows: list[dict[str, Any]] = []
        for forecaster, history in read_score_histories(connection, members, mode).items():
            for strategy_step in range(len(STRATEGY_STEPS)):
                part = history.take(history.strategy_step == strategy_step)
                own_rows += _rows(
                    part, strategy_step, forecaster, {"scope_kind": "group", "scope": group, "mode": mode}
                )
                for symbol, own in _by_symbol(part, members):
                    if symbol in updated:
                        scope = {"scope_kind": "symbol", "scope": symbol, "mode": mode}
                        own_rows += _rows(own, strategy_step, forecaster, scope)
        first = first_as_of(connection, members, mode)
        if first is not None:
            _drop_emptied(connection, group, updated.intersection(members), mode, first, own_rows)
        rows += own_rows
    if rows:
        statement = insert_for(connection, track_records)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in _KEYS}
        insert_rows(connection, statement.on_conflict_do_update(index_elements=list(_KEYS), set_=changed), rows)


def _drop_emptied(
    connection: Connection,
    group: str,
    symbols: Collection[str],
    mode: str,
    first: date,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Delete the track records of a group and its symbols whose last score was taken back.

    Those older than the history stay: nothing says that their scores were taken back.

    Args:
        connection: The score job's write transaction.
        group: The group.
        symbols: Its updated symbols.
        mode: `live`, `replay` or `backfill`.
        first: Oldest as_of of the history.
        rows: The rows that the history gives.
    """
    scopes = or_(
        and_(track_records.c.scope_kind == "symbol", track_records.c.scope.in_(symbols)),
        and_(track_records.c.scope_kind == "group", track_records.c.scope == group),
    )
    written = {tuple(row[name] for name in _KEYS) for row in rows}
    # A record's as_of is a target: the forecast may be from before the history.
    inside = and_(track_records.c.mode == mode, track_records.c.as_of > first + FORECAST_REACH)
    query = select(track_records.c.id, *(track_records.c[name] for name in _KEYS)).where(scopes, inside)
    emptied = [row.id for row in connection.execute(query) if tuple(row[1:]) not in written]
    if emptied:
        connection.execute(delete(track_records).where(track_records.c.id.in_(emptied)))


def _groups(connection: Connection, symbols: Sequence[str]) -> dict[str, list[str]]:
    """Return all members of the groups of symbols, including those off the watchlist."""
    own_groups = select(instruments.c.group).where(instruments.c.symbol.in_(symbols))
    query = select(instruments.c.group, instruments.c.symbol).where(instruments.c.group.in_(own_groups))
    members: dict[str, list[str]] = {}
    for group, symbol in connection.execute(query.order_by(instruments.c.group, instruments.c.symbol)):
        members.setdefault(group, []).append(symbol)
    return members


def _by_symbol(history: ScoreHistory, members: Sequence[str]) -> Iterator[tuple[str, ScoreHistory]]:
    """Yield the part of each symbol of a sorted history."""
    places = np.arange(len(members) + 1)
    bounds = np.searchsorted(history.symbol, places)
    for symbol, start, stop in zip(members, bounds[:-1], bounds[1:], strict=True):
        yield symbol, history.take(np.arange(start, stop))


def _rows(history: ScoreHistory, strategy_step: int, forecaster: str, scope: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the row of one forecaster in one scope; none without scored forecasts."""
    if not len(history.symbol):
        return []
    strategy, step = STRATEGY_STEPS[strategy_step]
    recent = np.unique(history.target)[-SESSIONS:]
    kept = history.take(history.target >= recent[0])
    paired = kept.take(~np.isnan(kept.walk))
    walk = float(paired.walk.sum())
    enough = len(np.unique(paired.target)) >= MINIMUM and walk > 0
    coverage = kept.inside.mean(axis=0).tolist()
    row = {
        **scope,
        "strategy": strategy,
        "step": step,
        "forecaster": forecaster,
        "as_of": recent[-1].astype("datetime64[D]").item(),
        "n": len(kept.symbol),
        "pinball": float(kept.pinball.mean()),
        "random_walk_pinball": float(paired.walk.mean()) if len(paired.walk) else None,
        "skill": 1.0 - float(paired.pinball.sum()) / walk if enough else None,
        "coverage_50": coverage[0],
        "coverage_80": coverage[1],
        "coverage_95": coverage[2],
        "mae": float(np.abs(kept.error).mean()),
        "p": _significance(paired, step) if enough and forecaster != RANDOM_WALK else None,
    }
    return [row]


def _significance(paired: ScoreHistory, step: int) -> float | None:
    """Return the two-sided Diebold-Mariano p.

    It is None if all forecasts are equal, because the random walk itself served.
    """
    if bool(np.array_equal(paired.pinball, paired.walk)):
        return None
    return diebold_mariano(paired.as_of, paired.pinball, paired.walk, step).p
