"""A fold for a machine without the folder of results: its missing forecasters out, the bytes of their results back."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from models.backtest.fold_cache import inputs_digest, read_fold_result, write_fold_bytes
from models.backtest.fold_runner import FoldDone, FoldProgress, FoldTask, fold_result_path, run_fold
from models.errors import ModelsError
from models.preprocessing.price_history import Panel

NO_PANEL = Panel(())
"""Placeholder of the panel in a portable task: the panel is sent once for all folds."""


@dataclass(frozen=True, slots=True)
class FoldFiles:
    """The results of a fold as bytes.

    Attributes:
        done: Summary of the fold.
        files: Bytes of each result by the name of its file.
        sha256: Hash of each, computed where it was made.
    """

    done: FoldDone
    files: Mapping[str, bytes]
    sha256: Mapping[str, str]


def make_portable_fold(task: FoldTask, threads: int) -> FoldTask:
    """Return the task without its panel, its folder and the forecasters that are finished.

    Args:
        task: The fold.
        threads: Threads that the framework may use there.
    """
    missing = []
    for forecaster in task.forecasters:
        found = read_fold_result(fold_result_path(task, forecaster))
        if found is None or found.history is None:  # a forecaster that failed is tried again
            missing.append(forecaster)
    return replace(task, panel=NO_PANEL, directory=Path(), threads=threads, forecasters=tuple(missing))


def run_portable_fold(panel: Panel, task: FoldTask, report: Callable[[FoldProgress], None]) -> FoldFiles:
    """Compute a fold in a folder of its own.

    Args:
        panel: The panel of the fold.
        task: A portable task.
        report: Called with the progress.

    Raises:
        ModelsError: The panel, this code or a library is not the one that the task was made with.
    """
    if inputs_digest(panel) != task.inputs_digest:
        raise ModelsError(
            f"fold {task.fold.number} was planned with other prices, another version of Tplus or of its libraries than "
            "those of this machine; install the same versions on every machine"
        )
    with TemporaryDirectory(prefix="tplus-fold-") as name:
        own = replace(task, panel=panel, directory=Path(name))
        done = run_fold(own, report)
        paths = [fold_result_path(own, forecaster) for forecaster in own.forecasters]
        files = {path.name: path.read_bytes() for path in paths}
    return FoldFiles(done, files, {name: hashlib.sha256(body).hexdigest() for name, body in files.items()})


def store_fold_files(task: FoldTask, portable: FoldTask, found: FoldFiles) -> FoldDone:
    """Check the results of a portable fold and write them into the folder of the fold.

    Args:
        task: The fold.
        portable: What `make_portable_fold` returned for it.
        found: The results.

    Raises:
        ModelsError: A result is missing, is another one, or was altered.
    """
    expected = {fold_result_path(task, forecaster).name for forecaster in portable.forecasters}
    actual = {name: hashlib.sha256(body).hexdigest() for name, body in found.files.items()}
    if set(actual) != expected or actual != dict(found.sha256):
        raise ModelsError(f"the results of fold {task.fold.number} were altered on their way; run the command again")
    for name, body in found.files.items():
        write_fold_bytes(task.directory / name, body)
    return found.done
