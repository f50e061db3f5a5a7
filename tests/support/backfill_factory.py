"""Versions with a known history, and the results of a backfill, for the tests of backfills."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import select

from models.baselines import RandomWalk, random_walk_config
from models.config import ModelConfig, Strategy
from models.forecasting.artifact import Artifact, save_artifact
from models.training.train import TrainedArtifact
from service.db.tables import editions, forecasts, runs, served_forecasts
from service.errors import TplusError
from service.forecasts.backfill.backfill_job import backfill
from service.forecasts.backfill.span import BackfillRequest
from service.forecasts.backfill.summary import BackfillSummary, read_summary
from service.run_requests.store import NewRequest, RunRequest, read_request, write_request
from service.runs import Claimant, claim
from service.scheduler.run_requests.carry_out import carry_out
from service.training.registry.versions import Decision, Recorded, add_version, decide
from service.vocabulary import ModelStatus, RequestKind
from tests.support.forecast_factory import Desk, History, random_closes, save_network

LAST = date(2018, 6, 8)
"""Newest session with a bar."""
DAYS = tuple(date(2018, *day) for day in ((5, 30), (5, 31), (6, 1), (6, 4), (6, 5), (6, 6), (6, 7), (6, 8)))
"""Sessions of XNYS; each is final at 21:30 UTC of its date."""
NORMAL = (-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96)


def fill_desk(desk: Desk, *symbols: str) -> None:
    """Return symbols with 330 bars up to `LAST`, and market time on the day after."""
    for seed, symbol in enumerate(symbols or ("AAA",), start=1):
        desk.add(History(symbol, LAST, random_closes(330, seed)))
    desk.move(datetime.fromisoformat("2018-06-09T12:00Z"))


def fill(desk: Desk, first: date, last: date, *symbols: str) -> BackfillSummary:
    """Backfill XNYS."""
    return backfilled(desk, BackfillRequest("XNYS", first, last, symbols))


def backfilled(desk: Desk, wanted: BackfillRequest) -> BackfillSummary:
    """Request a backfill, execute its run, and return its summary.

    Raises:
        TplusError: the request was rejected, or the run has failed.
    """
    body = {"job": "backfill", "scope": wanted.calendar, **wanted.parameters}
    with desk.database.transaction() as connection:
        number = write_request(connection, NewRequest(RequestKind.RUN, body), desk.context.machine.now(connection))
    carry_out(desk.context, read_back(desk, number))
    carried = read_back(desk, number)
    if carried.error is not None:
        raise TplusError(carried.error)
    execute_backfills(desk)
    with desk.database.reading() as connection:
        row = connection.execute(select(runs.c.state, runs.c.error).where(runs.c.id == carried.run_ids[0])).one()
        summary = read_summary(connection, carried.run_ids[0])
    if row.state == "failed":
        raise TplusError(row.error)
    assert summary is not None
    assert row.state == "done"
    return summary


def read_back(desk: Desk, number: int) -> RunRequest:
    """Return a stored request."""
    with desk.database.reading() as connection:
        stored = read_request(connection, number)
    assert stored is not None
    return stored


def execute_backfills(desk: Desk) -> None:
    """Claim and execute backfills, slice by slice, until none is due."""
    claimant = Claimant("tests", ("backfill",), timedelta(seconds=60))
    while True:
        with desk.database.transaction() as connection:
            market, machine = (clock.now(connection) for clock in (desk.context.market, desk.context.machine))
            run = claim(connection, claimant, market, machine)
        if run is None:
            return
        backfill(desk.context, run)


def add_network_of(desk: Desk, data_until: str | None, decided: str, status: str = "champion", seed: int = 1) -> int:
    """Record a multi-step network: its data end at one instant, its decision is at another (2018-05-31T21:30)."""
    config = ModelConfig("lstm", Strategy.MULTI_STEP, units=3, seeds=(0,))
    artifact = save_network(config, seed, desk.context.settings.artifact_dir)
    return _add(desk, artifact, data_until, (decided, status))


def add_walk_of(desk: Desk, data_until: str | None, decided: str, status: str = "champion", wide: float = 1.0) -> int:
    """The same for a multi-step random walk, wider than the normal distribution by a factor."""
    rows = (tuple(wide * each for each in NORMAL),) * 3
    walk = RandomWalk(random_walk_config(Strategy.MULTI_STEP), rows, (0, 0, 0), None)
    path, sha256 = save_artifact(Artifact(walk.config, walk.to_dict(), {}, {}), desk.context.settings.artifact_dir)
    artifact = TrainedArtifact(walk.config, path, sha256, "d", None, None, None, None, {}, 0.0)
    return _add(desk, artifact, data_until, (decided, status))


def decide_on(desk: Desk, version: int, at: str, status: str) -> None:
    """Record a decision on a version at an instant."""
    instant = datetime.fromisoformat(at + "Z")
    with desk.database.transaction() as connection:
        decide(
            connection,
            version,
            Decision(ModelStatus(status), f"{status} since {at}", {}),
            Recorded(instant, instant, None),
        )


def served_by(desk: Desk, strategy: str = "multi_step") -> dict[date, tuple[int, str]]:
    """Return as_of -> (version, reason) of a symbol's served forecasts in backfilled editions."""
    days = {row.number: row.as_of for row in desk.rows(editions, mode="backfill")}
    items = [row for row in desk.rows(served_forecasts, strategy=strategy) if row.edition in days]
    return {days[row.edition]: (row.model_version_id, row.reason) for row in items}


def forecasters(desk: Desk, as_of: date, strategy: str = "multi_step") -> set[int]:
    """Return the versions with a stored forecast as of a session."""
    return {row.model_version_id for row in desk.rows(forecasts, as_of=as_of, strategy=strategy)}


def _add(desk: Desk, artifact: TrainedArtifact, data_until: str | None, decision: tuple[str, str]) -> int:
    until = None if data_until is None else np.datetime64(data_until, "s")
    instant = datetime.fromisoformat(decision[0] + "Z")
    with desk.database.transaction() as connection:
        recorded = Recorded(instant, instant, None)
        version = add_version(connection, "equity", replace(artifact, data_until=until), instant, recorded)
    decide_on(desk, version, *decision)
    return version
