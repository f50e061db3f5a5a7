"""Limits of threads in a process that has computed something already."""

import tensorflow as tf

from models.backtest.threads import limit_threads


def test_the_limit_of_a_process_that_has_computed_remains() -> None:
    assert int(tf.constant(1) + 1) == 2
    before = tf.config.threading.get_intra_op_parallelism_threads()
    limit_threads(before + 3)
    assert tf.config.threading.get_intra_op_parallelism_threads() == before
