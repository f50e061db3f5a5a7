"""Checks the whole history of a ledger after kills: nothing lost, nothing duplicated, nothing half-written."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from models.config import Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import MANIFEST, load_artifact
from service.db.session import Database
from service.db.tables import (
    bars,
    editions,
    forecasts,
    instruments,
    model_decisions,
    model_versions,
    run_outcomes,
    runs,
    scores,
    served_forecasts,
)
from service.forecasts.ledger import verify
from service.market.exchange_calendar import get_calendar
from service.training.registry.versions import artifact_folder

LOST, DOUBLED, HALF = "lost", "duplicated", "half-written"
Fault = tuple[str, str]


def check_history(database: Database, store: Path) -> dict[str, list[str]]:
    """Return the faults of a history by kind; the schedulers have stopped.

    Args:
        database: The database.
        store: Folder of its artifacts.
    """
    faults: dict[str, list[str]] = {LOST: [], DOUBLED: [], HALF: []}
    with database.reading() as connection:
        for check in (_chains, _runs, _editions, _forecasts, _scores):
            for kind, sentence in check(connection):
                faults[kind].append(sentence)
        for kind, sentence in _artifacts(connection, store):
            faults[kind].append(sentence)
    return faults


def _chains(connection: Connection) -> Iterator[Fault]:
    yield from ((HALF, sentence) for sentence in verify(connection))


def _runs(connection: Connection) -> Iterator[Fault]:
    """Each session has one run of each job, each but the newest has ended well, with an outcome per symbol."""
    active = set(connection.execute(select(instruments.c.symbol).where(instruments.c.active)).scalars())
    outcomes: dict[int, set[str]] = defaultdict(set)
    for run_id, symbol in connection.execute(select(run_outcomes.c.run_id, run_outcomes.c.symbol)):
        outcomes[run_id].add(symbol)
    by_scope: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(select(runs).order_by(runs.c.session, runs.c.id)):
        by_scope[(row.job, row.scope)].append(row)
    planned = [row.session for rows in by_scope.values() for row in rows]
    first, newest = min(planned), max(planned)
    for (job, scope), rows in by_scope.items():
        days = [row.session for row in rows]
        yield from ((DOUBLED, f"{job} {scope} {day} was planned twice") for day in set(days) if days.count(day) > 1)
        if job != "train":
            expected = get_calendar(scope, first, newest).sessions(first, newest)
            missing = [day for day in expected if day not in days and day != newest]
            yield from ((LOST, f"{job} {scope} {day} was never planned") for day in missing)
        for row in rows:
            if row.state != "done" and row.session != newest:
                yield LOST, f"{job} {scope} {row.session} is {row.state} ({row.error})"
            if row.state == "done" and job in ("pull", "forecast", "train") and not active <= outcomes[row.id]:
                yield HALF, f"{job} {scope} {row.session} is done without an outcome of every symbol"


def _editions(connection: Connection) -> Iterator[Fault]:
    """Each forecast run that is done published one edition."""
    done = connection.execute(select(runs.c.id).where(runs.c.job == "forecast", runs.c.state == "done")).scalars()
    published = list(connection.execute(select(editions.c.run_id)).scalars())
    yield from ((LOST, f"forecast run {run} published nothing") for run in set(done) - set(published))
    yield from ((DOUBLED, f"run {run} published twice") for run in set(published) if published.count(run) > 1)


def _forecasts(connection: Connection) -> Iterator[Fault]:
    """Each edition holds every step of every symbol, and one served version per symbol and strategy."""
    active = set(connection.execute(select(instruments.c.symbol).where(instruments.c.active)).scalars())
    steps: dict[tuple[int, str, str, int], list[int]] = defaultdict(list)
    columns = (forecasts.c.edition, forecasts.c.symbol, forecasts.c.strategy, forecasts.c.model_version_id)
    for *key, step in connection.execute(select(*columns, forecasts.c.step)):
        steps[tuple(key)].append(step)
    for (edition, symbol, strategy, version), found in steps.items():
        if sorted(found) != list(range(1, Strategy(strategy).horizon + 1)):
            yield HALF, f"edition {edition} has the steps {sorted(found)} of {symbol} {strategy} by version {version}"
    served: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for row in connection.execute(select(served_forecasts)):
        served[row.edition].append((row.symbol, row.strategy))
        if (row.edition, row.symbol, row.strategy, row.model_version_id) not in steps:
            yield HALF, f"edition {row.edition} serves {row.symbol} {row.strategy} without a forecast"
    for edition in connection.execute(select(editions.c.number)).scalars():
        if sorted(served[edition]) != sorted((symbol, each.value) for symbol in active for each in Strategy):
            yield HALF, f"edition {edition} does not serve every symbol once"
    keys = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step, forecasts.c.model_version_id)
    doubled = connection.execute(select(*keys).group_by(*keys).having(func.count() > 1)).all()
    yield from ((DOUBLED, f"forecast {tuple(row)} is there twice") for row in doubled)


def _scores(connection: Connection) -> Iterator[Fault]:
    """Each forecast whose target was scored has one score."""
    last: date | None = connection.execute(
        select(func.max(runs.c.session)).where(runs.c.job == "score", runs.c.state == "done")
    ).scalar_one()
    if last is None:
        return
    query = (
        select(forecasts.c.id, func.count(scores.c.id))
        .select_from(forecasts.outerjoin(scores, scores.c.forecast_id == forecasts.c.id))
        .where(forecasts.c.target_session <= last)
        .group_by(forecasts.c.id)
        .having(func.count(scores.c.id) != 1)
    )
    for forecast, count in connection.execute(query):
        yield (LOST if count == 0 else DOUBLED), f"forecast {forecast} has {count} scores"


def _artifacts(connection: Connection, store: Path) -> Iterator[Fault]:
    """Each version has its whole artifact and a decision; each artifact folder is complete."""
    decided = set(connection.execute(select(model_decisions.c.model_version_id)).scalars())
    hashes: dict[str, str] = {}
    for row in connection.execute(select(model_versions)):
        hashes[row.artifact] = row.sha256
        if row.id not in decided:
            yield HALF, f"version {row.id} has no decision"
        try:
            load_artifact(artifact_folder(store, row.artifact), row.sha256)
        except ArtifactError as error:
            yield HALF, f"version {row.id}: {error}"
    for folder in store.iterdir() if store.is_dir() else ():
        if folder.name.startswith(".") or folder.name in hashes:
            continue
        try:  # written by a worker whose run was lost: complete under the name of its own hash, or not there
            load_artifact(folder, _sha256_of(folder))
        except (ArtifactError, OSError) as error:
            yield HALF, f"artifact {folder.name} without a row is not complete: {error}"


def _sha256_of(folder: Path) -> str:
    found = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    if not folder.name.endswith(found[:16]):
        raise ArtifactError(f"its manifest has the hash {found[:16]}")
    return found


def differences(database: Database, control: Database) -> dict[str, list[str]]:
    """Compare bars, forecasts and scores with those of an undisturbed database, up to the older newest edition.

    Args:
        database: The database of the kills.
        control: The undisturbed one, of the same settings.

    Returns:
        Rows that only the control has as lost, others as duplicated.
    """
    with database.reading() as ours, control.reading() as theirs:
        newest = select(func.max(editions.c.as_of))
        last = min(ours.execute(newest).scalar_one(), theirs.execute(newest).scalar_one())
        found = {name: (read(ours, last), read(theirs, last)) for name, read in _READERS.items()}
    return {
        LOST: [f"{name} {row}" for name, (own, other) in found.items() for row in sorted(other - own)],
        DOUBLED: [f"{name} {row}" for name, (own, other) in found.items() for row in sorted(own - other)],
    }


def _bars(connection: Connection, last: date) -> set[tuple[Any, ...]]:
    query = select(bars.c.symbol, bars.c.session, bars.c.close, bars.c.volume, bars.c.revision)
    return {tuple(row) for row in connection.execute(query.where(bars.c.session <= last))}


def _figures_of(connection: Connection, last: date) -> set[tuple[Any, ...]]:
    columns = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step)
    query = select(*columns, func.round(forecasts.c.q50 * 1e9), func.round(forecasts.c.sigma * 1e9))
    return {tuple(map(str, row)) for row in connection.execute(query.where(forecasts.c.as_of <= last))}


def _scores_of(connection: Connection, last: date) -> set[tuple[Any, ...]]:
    columns = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step, scores.c.state)
    query = select(*columns).join(scores, scores.c.forecast_id == forecasts.c.id)
    return {tuple(map(str, row)) for row in connection.execute(query.where(forecasts.c.target_session < last))}


_READERS: dict[str, Callable[[Connection, date], set[tuple[Any, ...]]]] = {
    "bar": _bars,
    "forecast": _figures_of,
    "score": _scores_of,
}
