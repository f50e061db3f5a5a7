"""A task in shared memory: its arrays are written once and mapped by every process, without a copy.

The memory is a file without a name: it is freed when the last process that maps it ends, however it ends.
"""

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig
from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import TrainingWindows
from models.training.seeds.fit_seeds import FitTask

_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class TaskLayout:
    """A task without its arrays, and their places in the shared memory.

    Attributes:
        config: Network, sizes, rates and seeds.
        start: Served weights by seed.
        lookback: Sessions in a window.
        newest_only: Columns that a window holds at its newest session only.
        arrays: Type, shape and position in bytes of each array by name.
        size: Bytes of the memory.
    """

    config: ModelConfig
    start: Mapping[int, Weights]
    lookback: int
    newest_only: tuple[int, ...]
    arrays: Mapping[str, tuple[str, tuple[int, ...], int]]
    size: int


def share_task(task: FitTask) -> tuple[TaskLayout, int]:
    """Copy the arrays of a task into shared memory.

    Args:
        task: The task; training and validation windows are over the same input array.

    Returns:
        The layout, and the descriptor of the memory, which the caller closes.
    """
    arrays = _arrays(task)
    places, size = {}, 0
    for name, array in arrays.items():
        places[name] = (array.dtype.str, array.shape, size)
        size += -(-max(array.nbytes, 1) // _ALIGNMENT) * _ALIGNMENT
    layout = TaskLayout(task.config, task.start, task.train.lookback, task.train.newest_only, places, size)
    descriptor = os.memfd_create("tplus-seeds")
    try:
        os.truncate(descriptor, size)
        with mmap.mmap(descriptor, size) as memory:
            for name, array in arrays.items():
                np.copyto(_view(memory, places[name]), array)
    except BaseException:
        os.close(descriptor)
        raise
    return layout, descriptor


def read_task(layout: TaskLayout, descriptor: int) -> FitTask:
    """Return the task whose arrays are in shared memory; they are mapped read-only.

    Args:
        layout: The layout.
        descriptor: Descriptor of the memory; it is not needed afterwards.
    """
    memory = mmap.mmap(descriptor, layout.size, prot=mmap.PROT_READ)
    views = {name: _view(memory, place) for name, place in layout.arrays.items()}
    train, validation = (
        TrainingWindows(
            views["inputs"],
            views[f"{span}_ends"],
            layout.lookback,
            views[f"{span}_sigma"],
            views[f"{span}_targets"],
            layout.newest_only,
        )
        for span in ("train", "validation")
    )
    return FitTask(layout.config, train, validation, views["masked_columns"], layout.start)


def _arrays(task: FitTask) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"inputs": task.train.inputs, "masked_columns": task.masked_columns}
    for span, windows in (("train", task.train), ("validation", task.validation)):
        arrays[f"{span}_ends"] = windows.ends
        arrays[f"{span}_sigma"] = windows.sigma
        arrays[f"{span}_targets"] = windows.targets
    return arrays


def _view(memory: mmap.mmap, place: tuple[str, tuple[int, ...], int]) -> NDArray[Any]:
    kind, shape, offset = place
    count = int(np.prod(shape))
    return np.frombuffer(memory, np.dtype(kind), count, offset).reshape(shape)
