"""Starts the real `tplus` with wrappers around its write points, so that a trial can kill it at one of them.

The product has no hook. This program wraps functions of the service, then calls the service's own `main`. Each
wrapper calls the original, and compares the point that it is at with the one in the arm file of the process. At the
armed point it writes a hit file and sends SIGKILL to the process that owns the run: the scheduler, also from its
training child, which must then end by itself. Run by `benchmarks.reliability.killing.processes`:

    TRIAL_FOLDER=DIR python -m benchmarks.reliability.killing.launch schedule
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

FOLDER, SMALL, ACKS = "TRIAL_FOLDER", "TRIAL_SMALL", "TRIAL_ACKS"
"""Variables: folder of arm and hit files; small networks; file of the acknowledged writes."""

AFTER_CALL = {
    "after fetch": "service.prices.sources.sample:SampleSource.fetch",
    "after fit": "service.training.train_job:fit",
    "after random walk fit": "service.training.first_random_walk:fit_random_walks",
    "after predict": "service.forecasts.forecast_job:_predict_groups",
}
"""Points after a call in the scheduler."""

IN_CHILD = {
    "weights staged": ("models.forecasting.artifact:_put_in_place", False),
    "after weights written": ("models.training.train:save_artifact", True),
}
"""Points in the worker process: function, and whether the point is after its call."""

COMMITS = {
    "claim": "service.scheduler.failures:claim",
    "market time": "service.scheduler.replay_clock:plan_due",
    "merge": "service.prices.pull.fetcher:HistoryMerger.later",
    "pull end": "service.prices.pull.pull_job:finish",
    "scores": "service.forecasts.scoring.score_job:publish_scores",
    "random walk": "service.training.first_random_walk:add_random_walk",
    "versions": "service.training.train_job:record",
    "publish": "service.forecasts.forecast_job:publish",
}
"""Transactions by the function that is called in them: each has a point before and one after its commit."""


FIRST_POINTS = ("after random walk fit", "before random walk commit", "after random walk commit")
"""Points that a new database passes once: the first random walk of a group."""

POINTS = (
    *(name for name in AFTER_CALL if name not in FIRST_POINTS),
    *IN_CHILD,
    *(f"{when} {name} commit" for name in COMMITS if name != "random walk" for when in ("before", "after")),
)
"""Points that a chain of sessions passes again and again."""


class _Killer:
    """Compares points with the arm file of the scheduler's process.

    Args:
        folder: Folder of the arm and hit files.
        pid: The scheduler's process id.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._arm, self._hit, self._pid = folder / f"arm.{pid}", folder / f"hit.{pid}", pid

    def reached(self, point: str) -> None:
        """Kill the scheduler if this point is armed."""
        try:
            armed = self._arm.read_text()
        except FileNotFoundError:
            return
        if armed != point:
            return
        self._hit.write_text(json.dumps({"point": point, "at": time.time(), "in": os.getpid()}))
        os.kill(self._pid, signal.SIGKILL)
        time.sleep(60)  # in the child: it must be ended, not end


def _wrap(path: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, names = path.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = names.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, wrapper(getattr(owner, name)))


def _around(killer: _Killer, point: str, after: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            if not after:
                killer.reached(point)
            answer = original(*args, **named)
            if after:
                killer.reached(point)
            return answer

        return wrapped

    return wrapper


class _Commits:
    """Notes which functions were called in the transaction of this thread, and their results."""

    def __init__(self, killer: _Killer, acks: Path | None) -> None:
        self._killer, self._acks = killer, acks
        self._local = threading.local()

    @property
    def calls(self) -> list[tuple[str, Any, Any]]:
        """Name, connection and result of each call in this thread's open transaction."""
        if not hasattr(self._local, "calls"):
            self._local.calls = []
        found: list[tuple[str, Any, Any]] = self._local.calls
        return found

    def noting(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a wrapper that notes each call with a result, or of a function that returns nothing."""

        def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*args: Any, **named: Any) -> Any:
                answer = original(*args, **named)
                if not (name == "claim" and answer is None):
                    self.calls.append((name, args, answer))
                return answer

            return wrapped

        return wrapper

    def transaction(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return `Database.transaction` with a point before and after the commit."""

        @contextmanager
        def wrapped(*args: Any, **named: Any) -> Iterator[Any]:
            self._local.calls = []
            names: list[str] = []
            with original(*args, **named) as connection:
                yield connection
                written = [_describe(connection, *call) for call in self.calls] if self._acks is not None else []
                names = [name for name, _args, _answer in self.calls]
                for name in names:
                    self._killer.reached(f"before {name} commit")
            for name in names:
                self._killer.reached(f"after {name} commit")
            if self._acks is not None and written:
                with self._acks.open("a") as file:  # one line for each acknowledged write
                    file.writelines(json.dumps(each, default=str) + "\n" for each in written)

        return wrapped


def _describe(connection: Any, name: str, args: tuple[Any, ...], answer: Any) -> dict[str, Any]:
    """Return what a write must leave in the database, read inside its own transaction."""
    sqlalchemy = importlib.import_module("sqlalchemy")
    tables = importlib.import_module("service.db.tables")
    if name == "publish":
        query = sqlalchemy.select(tables.editions.c.hash).where(tables.editions.c.number == answer)
        return {"write": name, "number": answer, "hash": connection.execute(query).scalar_one()}
    if name == "scores":
        query = sqlalchemy.select(tables.score_batches.c.number, tables.score_batches.c.hash)
        row = connection.execute(query.order_by(tables.score_batches.c.number.desc()).limit(1)).one()
        return {"write": name, "number": row.number, "hash": row.hash}
    if name == "claim":
        return {"write": name, "run": answer.id, "token": answer.token}
    if name == "merge":
        symbol = args[2].symbol
        query = sqlalchemy.select(sqlalchemy.func.count(), sqlalchemy.func.max(tables.bars.c.session))
        row = connection.execute(query.where(tables.bars.c.symbol == symbol)).one()
        return {"write": name, "symbol": symbol, "bars": row[0], "last": row[1]}
    if name == "pull end":
        return {"write": name, "run": args[1].id, "state": "done"}
    if name == "versions":
        query = sqlalchemy.select(sqlalchemy.func.max(tables.model_versions.c.id))
        return {"write": name, "version": connection.execute(query).scalar_one()}
    now = connection.execute(sqlalchemy.select(tables.market_clock.c.now)).scalar_one()
    return {"write": name, "market time": now}


def _make_small(original: Callable[..., Any]) -> Callable[..., Any]:
    def small(config: Any) -> Any:
        tuned = original(config)
        return replace(tuned, units=4, max_epochs=2, patience=2) if tuned.forecaster != "random_walk" else tuned

    return small


def install_in_scheduler(folder: Path) -> None:
    """Wrap the points of the scheduler's own process."""
    killer = _Killer(folder, os.getpid())
    acks = os.environ.get(ACKS)
    commits = _Commits(killer, Path(acks) if acks else None)
    for point, path in AFTER_CALL.items():
        _wrap(path, _around(killer, point, after=True))
    for name, path in COMMITS.items():
        _wrap(path, commits.noting(name))
    _wrap("service.db.session:Database.transaction", commits.transaction)
    if os.environ.get(SMALL):
        _wrap("service.runtime.context:tuned", _make_small)


def install_in_child(folder: Path) -> None:
    """Wrap the points of a worker process: they kill its owner."""
    killer = _Killer(folder, os.getppid())
    for point, (path, after) in IN_CHILD.items():
        _wrap(path, _around(killer, point, after))


def main() -> None:
    """Run `tplus` with the words of this command line."""
    install_in_scheduler(Path(os.environ[FOLDER]))
    importlib.import_module("service.cli").main()


if __name__ == "__main__":
    sys.argv[0] = "tplus"
    main()
elif __name__ == "__mp_main__":  # a spawned worker process imports the main module again under this name
    install_in_child(Path(os.environ[FOLDER]))
