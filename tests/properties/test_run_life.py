"""Whatever schedulers do to runs, in any order: one publish each, and only by the newest claim."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from service import runs
from service.db.session import Database
from service.db.tables import runs as table
from service.errors import FencedError
from service.runs import Claimant, PlannedRun, Run
from tests.support.sqlite_template import make_template

MARKET = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
MACHINE = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = 30
PLACES = [
    (day, job, sequence)
    for day in (0, 3)
    for job, sequence in (("pull", 0), ("score", 0), ("forecast", 0), ("forecast", 1))
]
"""Day, job and sequence of each run, in the order in which they are executed."""


WAYS = ("finish", "fail", "wait", "retry", "pause", "release", "heartbeat")


@dataclass
class Known:
    """What the model knows of a run."""

    state: str = "due"
    token: int = 0
    until: int = 0
    attempt: int = 0
    lost: int = 0
    takeovers: int = 0
    faults: int = 0


class RunLife(RuleBasedStateMachine):
    """Workers claim, stall, end and publish at random; a dict says what must come of it."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        shutil.copyfile(self.template, self._folder / "runs.db")
        self.database = Database(f"sqlite:///{self._folder / 'runs.db'}")
        self.known: dict[int, Known] = {}
        self.held: list[Run] = []
        self.published: dict[int, int] = {}
        self.machine = self.market = 0

    def teardown(self) -> None:
        """Close and remove the database."""
        self.database.close()
        shutil.rmtree(self._folder)

    @initialize()
    def plan(self) -> None:
        planned = [
            PlannedRun(job, "XNYS", MARKET + timedelta(days=day), date(2024, 3, 1) + timedelta(days=day), sequence)
            for day, job, sequence in PLACES
        ]
        with self.database.transaction() as connection:
            assert runs.plan(connection, planned) == 8
            assert runs.plan(connection, planned) == 0
        self.known = {number: Known() for number in range(1, 9)}

    @rule(seconds=st.integers(1, 45))
    def let_machine_time_pass(self, seconds: int) -> None:
        self.machine += seconds

    @rule(hours=st.integers(1, 5))
    def let_market_time_pass(self, hours: int) -> None:
        self.market += hours

    @rule()
    def claim(self) -> None:
        with self.database.transaction() as connection:
            run = runs.claim(connection, Claimant("any", runs.JOBS, timedelta(seconds=LEASE)), *self._now())
        free = [number for number in sorted(self.known) if self._claimable(number)]
        if run is None:
            assert free == []
            return
        assert run.id == free[0]
        known = self.known[run.id]
        assert run.token == known.token + 1
        taken_over = known.state == "running"
        known.attempt += known.state == "due"
        known.takeovers += taken_over
        known.lost = known.lost + 1 if taken_over else 0
        assert (run.attempt, run.lost_workers) == (known.attempt, known.lost)
        known.state, known.token, known.until = "running", run.token, self.machine + LEASE
        self.held.append(run)

    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def end(self, data: st.DataObject, way: str) -> None:
        if not self.held:
            return
        run = data.draw(st.sampled_from(self.held))
        known = self.known[run.id]
        mine = known.state == "running" and known.token == run.token
        try:
            self._do(run, way)
        except FencedError:
            assert not mine
            return
        assert mine
        after = {"finish": ("done", 0), "fail": ("failed", 0), "release": ("due", 0)}
        after |= {"wait": ("waiting", self.market + 2), "retry": ("due", self.machine + 20)}
        after |= {"pause": ("due", self.machine + 20)}
        after |= {"heartbeat": ("running", self.machine + LEASE)}
        known.state, known.until = after[way]
        known.attempt -= way in ("pause", "release")
        known.faults += way == "pause"
        if way in ("finish", "fail"):
            self.published[run.id] = self.published.get(run.id, 0) + 1

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        with self.database.reading() as connection:
            counts = (table.c.attempt, table.c.takeovers, table.c.faults)
            rows = connection.execute(select(table.c.id, table.c.state, table.c.token, *counts)).all()
            assert runs.is_busy(connection) == any(k.state in ("due", "running") for k in self.known.values())
        assert {row.id: tuple(row[1:]) for row in rows} == {
            number: (known.state, known.token, known.attempt, known.takeovers, known.faults)
            for number, known in self.known.items()
        }
        assert all(count == 1 for count in self.published.values())

    def _now(self) -> tuple[datetime, datetime]:
        return MARKET + timedelta(hours=self.market), MACHINE + timedelta(seconds=self.machine)

    def _claimable(self, number: int) -> bool:
        known = self.known[number]
        now = self.market if known.state == "waiting" else self.machine
        if known.state in ("done", "failed") or known.until > now:
            return False
        if any(self.known[other].state in ("due", "running") for other in self.known if other < number):
            return False
        place = PLACES[number - 1]
        # A run that waited waits for a later one of its instant that is running.
        later = [other for other in self.known if other > number and PLACES[other - 1][:2] == place[:2]]
        return known.state == "running" or not any(self.known[other].state == "running" for other in later)

    @invariant()
    def runs_of_one_instant_are_never_claimed_together(self) -> None:
        running = [PLACES[number - 1][:2] for number, known in self.known.items() if known.state == "running"]
        assert len(running) == len(set(running))

    def _do(self, run: Run, way: str) -> None:
        market, machine = self._now()
        with self.database.transaction() as connection:
            if way in ("finish", "fail"):
                runs.finish(connection, run, machine, counts={}, error="broken" if way == "fail" else None)
            elif way == "wait":
                runs.wait(connection, run, market + timedelta(hours=2), {})
            elif way in ("retry", "pause"):
                after = machine + timedelta(seconds=20)
                runs.retry(connection, run, after, "again", counted=way == "retry")
            elif way == "release":
                runs.release(connection, run)
            else:
                runs.heartbeat(connection, run, machine + timedelta(seconds=LEASE))


def test_the_life_of_runs(tmp_path: Path) -> None:
    RunLife.template = make_template(tmp_path)
    checks = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(RunLife, settings=checks)
