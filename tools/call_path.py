"""Print the functions that a forecast run enters, from the worker's claim to the committed edition.

    .venv/bin/python -m tools.call_path forecast [--all]

The run is a real one: a new SQLite database in a temporary folder, one symbol of the recorded sample, the scheduler,
and a spawned forecasting worker. It is the first run of its group, so it fits the random walk too. The path does
not depend on the machine, and nothing is read from the network.

A *stop* is a function that is entered outside its caller's module. The following rules say what is counted:

- Each module-level function of `service` or `models` is counted once, at its first entry by a direct call from a
  function of another module of the two. A comprehension or a nested function belongs to the function around it.
- Methods and properties are not counted: the caller holds the object already, and its type names the module.
  Functions that only methods lead to are counted.
- Functions of `service.db` are not counted: every query of every job goes through them.
- The tasks of the forecasting worker are not counted: they run in another process, which has a path of its own.

`--all` drops the last three rules. It also counts methods, the database's functions and what a library calls back,
and runs the worker's tasks in this process, so that their functions are counted too.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import Connection, event, select

from service.bootstrap import open_service
from service.db.tables import editions
from service.execution.executor import Answer, Request, Task
from service.runtime.context import ServiceContext
from service.scheduler.loop import Scheduler
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
CLAIM, PUBLISH = "service.runs.claim", "service.forecasts.ledger.publish"
UNCOUNTED = "service.db."

START = "2012-01-04T23:00:00Z"
"""Market time of the run: the session's bar is final, and the next session has not opened."""

SYMBOL = "AAPL"


@dataclass(frozen=True, slots=True)
class Stop:
    """One function on the path.

    Attributes:
        name: Module and function, with dots.
        depth: Number of stops that are open around it; 0 for the claim.
    """

    name: str
    depth: int


class InProcess:
    """An executor that calls each task in this process."""

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Call a task."""
        return task(request, report or (lambda _progress: None))

    def slots(self) -> int:
        """Return 1."""
        return 1

    def close(self) -> None:
        """Do nothing: there is no process to end."""


class PathTracer:
    """Collects the stops of the calling thread, from the claim to the commit after the publish.

    Args:
        everything: Whether methods, database functions and callbacks are counted too.
    """

    def __init__(self, *, everything: bool) -> None:
        self.stops: list[Stop] = []
        self.committed = False
        self._everything = everything
        self._open: list[FrameType] = []
        self._seen: set[str] = set()

    def __enter__(self) -> "PathTracer":
        """Start to trace."""
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop tracing."""
        sys.setprofile(None)

    def commit(self, _connection: Connection) -> None:
        """Record a commit: the first one after the publish ends the path."""
        self.committed = self.committed or PUBLISH in self._seen

    def _profile(self, frame: FrameType, kind: str, _argument: object) -> None:
        if self.committed:
            return
        if kind == "return" and self._open and self._open[-1] is frame:
            self._open.pop()
        elif kind == "call" and self._is_stop(frame):
            name = f"{_module(frame.f_code)}.{frame.f_code.co_qualname}"
            if name not in self._seen and (self._seen or name == CLAIM):
                self._seen.add(name)
                self.stops.append(Stop(name, len(self._open)))
            if self._seen:
                self._open.append(frame)

    def _is_stop(self, frame: FrameType) -> bool:
        module, function = _module(frame.f_code), frame.f_code.co_qualname
        if module is None or "<" in function:
            return False
        if not self._everything and ("." in function or module.startswith(UNCOUNTED)):
            return False
        caller = frame.f_back
        while self._everything and caller is not None and _module(caller.f_code) is None:
            caller = caller.f_back
        return caller is not None and _module(caller.f_code) not in (None, module)


def _module(code: CodeType) -> str | None:
    """Return a code's module with dots; None outside `service` and `models`."""
    path = code.co_filename
    for package in ("service", "models"):
        if path.startswith(f"{ROOT / package}/"):
            return path[len(str(ROOT)) + 1 : -len(".py")].removesuffix("/__init__").replace("/", ".")
    return None


@contextmanager
def small_service() -> Iterator[ServiceContext]:
    """Open a service over a new SQLite database with one symbol, whose prices are pulled."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            source="sample",
            clock=f"replay:{START}",
            symbols=(SYMBOL,),
            data_dir=Path(folder),
            database_url=f"sqlite:///{folder}/tplus.sqlite",
        )
        with open_service(settings) as context:
            Scheduler(context, ("pull", "score")).drain()
            yield context


def trace_forecast(*, everything: bool = False) -> tuple[list[Stop], int]:
    """Trace the first forecast run of a small service.

    Args:
        everything: Whether methods, database functions, callbacks and the worker's tasks are counted too.

    Returns:
        The stops in order of first entry, and the number of the edition whose commit ends the path.
    """
    with small_service() as context:
        if everything:
            context = replace(context, warm=InProcess())
        scheduler = Scheduler(context, ("forecast",))
        tracer = PathTracer(everything=everything)
        event.listen(context.database.engine, "commit", tracer.commit)
        with tracer:
            scheduler.step()
        scheduler.close()
        with context.database.reading() as connection:
            number: int = connection.execute(select(editions.c.number)).scalar_one()
    if not tracer.committed:
        raise RuntimeError(f"the run published no edition before it ended; {len(tracer.stops)} stops were seen")
    return tracer.stops, number


def main() -> None:
    """Print the path and the number of its stops."""
    parser = argparse.ArgumentParser(prog="python -m tools.call_path", description="Print the path of a run.")
    parser.add_argument("job", choices=["forecast"], help="the job whose run is traced")
    parser.add_argument(
        "--all", action="store_true", help="count methods, database functions and the worker's tasks too"
    )
    arguments = parser.parse_args()
    stops, edition = trace_forecast(everything=arguments.all)
    for place, stop in enumerate(stops, 1):
        sys.stdout.write(f"{place:3} {'  ' * stop.depth}{stop.name}\n")
    sys.stdout.write(f"    edition {edition} committed\n{len(stops)} stops\n")


if __name__ == "__main__":
    main()
