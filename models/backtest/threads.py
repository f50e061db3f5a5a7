"""Limit of threads per process of a backtest or a cluster, since tasks run in parallel and share the cores."""


def limit_threads(threads: int) -> None:
    """Limit the framework's thread pools; call it before the framework computes anything in this process.

    If it has computed something, its limit remains: a worker of a cluster does tasks of several kinds.

    Args:
        threads: Threads of one operation, 1 or more.
    """
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # it has computed something
        return
