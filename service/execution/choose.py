"""The executors that the settings choose."""

from pathlib import Path

from models.machine import usable_cores
from service.execution.executor import Executor
from service.execution.local import KeptChild, WarmWorker
from service.execution.ray.cluster import ClusterConfig
from service.execution.ray.executor import RayExecutor
from service.settings import Settings

FOLD_LIMIT_SECONDS = 24 * 3600.0
"""Time limit of a fold."""


def training_executor(settings: Settings, log: Path, keep_seconds: float) -> Executor:
    """Return the executor of trainings.

    Args:
        settings: The settings in force.
        log: File for the output of processes.
        keep_seconds: How long a local process is kept for the next training.

    Raises:
        SettingsError: The cluster's client is not installed, or its token cannot be read.
    """
    config = cluster_config(settings)
    if config is None:
        return KeptChild(settings.train_limit_seconds, log, keep_seconds)
    return RayExecutor(config, settings.train_limit_seconds, log)


def fold_executors(settings: Settings, jobs: int, log: Path) -> list[Executor]:
    """Return the executors of folds, each of which does one fold after another.

    Args:
        settings: The settings in force.
        jobs: Maximum of folds at a time; 0 = one for each core of this machine, or all that the cluster has room for.
        log: File for the output of processes.

    Raises:
        SettingsError: As `training_executor`.
        ClusterUnreachable: The cluster cannot be used now.
    """
    config = cluster_config(settings)
    if config is None:
        # A fold writes its results to disk before it ends.
        return [WarmWorker(FOLD_LIMIT_SECONDS, log, end_at_once=True) for _ in range(jobs or usable_cores())]
    cluster = RayExecutor(config, FOLD_LIMIT_SECONDS, log)
    return [cluster] * (jobs or cluster.slots())


def cluster_config(settings: Settings) -> ClusterConfig | None:
    """Return how the cluster of the settings is reached; None with the local executor."""
    address, token_file = settings.ray_address, settings.ray_token_file
    if address is None or token_file is None:
        return None
    return ClusterConfig(address, token_file, settings.ray_cpus, settings.ray_gpus, settings.ray_connect_seconds)
