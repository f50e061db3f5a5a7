"""A task in shared memory is the same task, read-only."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.training.seeds.shared_task import read_task, share_task
from tests.support.fit_task import small_task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory is Linux's memfd")


def test_a_task_is_read_as_it_was_shared() -> None:
    task = small_task()
    task = replace(
        task, train=replace(task.train, newest_only=(1, 3)), start={2: {"kernel": np.ones((2, 3), np.float32)}}
    )
    layout, descriptor = share_task(task)
    read = read_task(layout, descriptor)
    os.close(descriptor)
    assert read.config == task.config
    assert read.train.newest_only == (1, 3)
    assert read.train.lookback == 2
    for mine, theirs in ((task.train, read.train), (task.validation, read.validation)):
        for name in ("inputs", "ends", "sigma", "targets"):
            assert getattr(mine, name).dtype == getattr(theirs, name).dtype
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))
    assert np.array_equal(read.masked_columns, [[0, 0, 1, 1]])
    assert np.array_equal(read.start[2]["kernel"], np.ones((2, 3)))
    assert read.train.inputs is read.validation.inputs
    with pytest.raises(ValueError, match="read-only"):
        read.train.inputs[0, 0] = 1.0
    # 600 rows of four float32, 479 + 120 windows of int64, float64 and float64: nothing per session of a window.
    assert layout.size < 600 * 16 + 599 * 24 + 8 * 64
