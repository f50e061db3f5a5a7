"""How many threads a process of a backtest may use: folds run side by side, and must not fight for the cores."""


def bound_threads(threads: int) -> None:
    """Bound the framework's own pools; call it before the framework has computed anything in this process.

    Where it has computed already, the bound of the first call stands.

    Args:
        threads: Threads of one operation, 1 or more.
    """
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
