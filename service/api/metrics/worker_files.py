"""The files in which several worker processes of the API count together.

prometheus-client writes a file per process and kind of metric, and adds them all up at a scrape. The file of an ended
worker is still needed, because a total must not fall. To keep the folder small its counts move to one file per kind.
"""

import fcntl
import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from service.settings import set_metrics_folder

_log = structlog.get_logger(__name__)

_LOCK = "lock"
_ENDED = "ended"
"""Replaces the process id in the name of a file with the counts of all workers that have ended."""


def share_metrics(folder: Path) -> None:
    """Prepare a folder for the workers that this process starts; counts of an earlier start are removed.

    Call it in the parent before it starts a worker. A worker must be a new interpreter (spawned, not forked), because
    prometheus-client reads the variable when it is imported.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        for path in folder.glob("*.db"):
            path.unlink()
    set_metrics_folder(folder)


def collect_workers(folder: Path) -> list[Metric]:
    """Return the metrics of all workers, ended ones included."""
    with _locked(folder):
        _merge_ended(folder)
        written = [str(path) for path in folder.glob("*.db") if path.stat().st_size]  # a starting worker's is empty
        return list(MultiProcessCollector.merge(written))  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder, so that no scrape sees counts both in a worker's file and in the merged one."""
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _merge_ended(folder: Path) -> None:
    ended: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.db")):
        kind, _, process = path.stem.rpartition("_")
        if process.isdecimal() and not _is_running(int(process)):
            ended[kind].append(path)
    for kind, paths in ended.items():
        if not kind.startswith("gauge"):  # the gauges of an ended worker count no more
            _add_up(folder / f"{kind}_{_ENDED}.db", paths)
        for path in paths:
            path.unlink()


def _add_up(target: Path, paths: list[Path]) -> None:
    """Add the counts of some files to a target.

    The target is replaced in one step. A process that is killed right after, before the files are removed, counts them
    twice: once, and too much rather than too little, which a rate shows as one step.
    """
    totals: dict[str, float] = defaultdict(float)
    for path in (target, *paths):
        for key, value in _counts(path).items():
            totals[key] += value
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = MmapedDict(str(new))  # type: ignore[no-untyped-call]
    for key, value in totals.items():
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]
    new.replace(target)


def _counts(path: Path) -> Mapping[str, float]:
    """Return the counts of a file; a file that was cut off counts for nothing."""
    if not path.exists():
        return {}
    try:
        values = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        return {key: value for key, value, _timestamp, _position in values}
    except (RuntimeError, ValueError, OSError, struct.error) as error:
        _log.warning("the counts of an ended worker cannot be read and are dropped", file=str(path), error=str(error))
        return {}


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
