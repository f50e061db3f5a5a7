"""Load the framework of a process and limit its threads: tasks run in parallel and share the cores."""


def limit_threads(threads: int) -> None:
    """Load the framework and limit its thread pools; call it before it computes anything in this process.

    If it has computed something, its limit remains: a worker of a cluster does tasks of several kinds. JAX has no limit
    that can be set here.

    Args:
        threads: Threads of one operation, 1 or more.
    """
    import keras  # here, so that the seconds of the first training do not contain it

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:  # it has computed something
            pass
