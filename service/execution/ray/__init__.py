"""Runs heavy work as tasks of a Ray cluster.

The owner starts one driver, a process of its own that is connected to the cluster and carries all calls. It is apart
because Ray ends a process that loses its cluster, and because an owner that ends, however it ends, must end its tasks.
Tasks are pure and results are checked by hash, so a task that is done twice does no harm. Only the owner writes to the
database. Ray is imported in `cluster.py`, by the driver alone.
"""
