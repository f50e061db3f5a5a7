"""A connection to a Ray cluster, in the driver: submits tasks, follows them, and repeats those of lost workers."""

import logging
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import TplusError
from service.execution.executor import TaskFailed, WorkerDied
from service.execution.ray.node import Node, cluster_variables, node_command, own_address, resolved
from service.execution.ray.remote import Event, stream
from service.execution.ray.versions import installed_versions
from service.settings import child_environment, set_library_variables

RETRIES = 3
"""How often a task is repeated whose worker or node is lost."""

_POLL_SECONDS = 0.2
_NODE_STORE_BYTES = 256 * 2**20
"""Object store of the driver's own node; more spills to disk."""
_KEPT_OBJECTS = 64
"""Artifacts, or panels of a backtest, that stay in the object store."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How a cluster is reached and what one task takes of it.

    Attributes:
        address: HOST:PORT of the head.
        token_file: File with the cluster's token.
        cpus: Cores of one task.
        gpus: GPUs of one task that trains.
        connect_seconds: Time limit of the connection.
    """

    address: str
    token_file: Path
    cpus: int = 1
    gpus: float = 0.0
    connect_seconds: float = 60.0


class Unreachable(TplusError):
    """The cluster cannot be used: no answer, another token, other versions, or no node for a task."""


class Cancelled(TplusError):
    """The owner has cancelled the call."""


@dataclass(frozen=True, slots=True)
class Work:
    """One task of a call.

    Attributes:
        task: Top-level function; it gets `inputs` and a function that reports.
        inputs: Values, or references from `Cluster.put`.
        trains: Whether it takes the GPUs of the config.
    """

    task: Callable[..., Any]
    inputs: tuple[Any, ...]
    trains: bool = True


class Cluster:
    """The connection; its methods may be called by several threads."""

    def __init__(self, config: ClusterConfig) -> None:
        """Connect, with a node of this machine's own if it has none.

        Raises:
            Unreachable: The cluster cannot be used; one sentence.
        """
        self.config = config
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        set_library_variables(cluster_variables(config.token_file))
        try:
            self._address = resolved(config.address)
            ip = own_address(self._address, config.connect_seconds)
        except OSError as error:
            raise Unreachable(
                f"the Ray cluster at {config.address} cannot be reached ({error}); start its head with "
                "`tplus ray-node --head`, or correct TPLUS_EXECUTOR"
            ) from error
        import ray

        self._ray = ray
        self._connect(ip)

    def slots(self) -> int:
        """Return how many tasks that train the cluster's nodes can run at a time."""
        config, total = self.config, 0
        nodes: list[Any] = self._ray.nodes()  # type: ignore[no-untyped-call]
        for node in nodes:
            resources = node["Resources"] if node["Alive"] else {}
            room = int(resources.get("CPU", 0) // config.cpus)
            if config.gpus:
                room = min(room, int(resources.get("GPU", 0) / config.gpus + 1e-9))
            total += room
        return total

    def put(self, value: Any) -> Any:
        """Return a reference to a value, which is sent to each node once."""
        return self._ray.put(value)

    def put_once(self, digest: str, value: Any) -> Any:
        """Return the reference to a value that is known by its hash; the last few are kept."""
        with self._lock:
            if digest not in self._kept:
                self._kept[digest] = self._ray.put(value)
            self._kept.move_to_end(digest)
            while len(self._kept) > _KEPT_OBJECTS:
                self._kept.popitem(last=False)
            return self._kept[digest]

    def run_all(
        self, works: Sequence[Work], report: Callable[[int, Any], None], cancelled: threading.Event
    ) -> list[Any]:
        """Run tasks at the same time and return their results in order.

        A task whose worker or node is lost is repeated up to `RETRIES` times; its progress is then reported again.

        Args:
            works: The tasks.
            report: Called with the position of a task and its progress.
            cancelled: Ends the tasks when it is set.

        Raises:
            TaskFailed: A task raised.
            WorkerDied: A task lost its worker too often.
            Unreachable: A node has other versions, or none has room for a task.
            Cancelled: The owner has cancelled.
        """
        self._wait_for_room(cancelled)
        following = _Following(self, works)
        try:
            while following.is_open:
                if cancelled.is_set():
                    raise Cancelled("the call was cancelled")
                for position, event in following.events():
                    if event[0] == "progress":
                        report(position, event[1])
                    elif event[0] == "failed":
                        raise TaskFailed(event[2], event[1])
                    elif event[0] == "versions":
                        raise Unreachable(event[1])
        except BaseException:
            following.cancel()
            raise
        return following.answers

    def submit(self, work: Work) -> Any:
        """Start a task and return its stream."""
        options = {
            "num_cpus": self.config.cpus,
            "num_gpus": self.config.gpus if work.trains else 0,
            "max_retries": 0,  # repeated here: with a count, and a message that says what was lost
            "num_returns": "streaming",
            "name": work.task.__name__,
        }
        remote = self._ray.remote(stream).options(**options)
        versions = dict(installed_versions())
        return remote.remote(work.task, versions, "of the cluster", self.config.cpus, *work.inputs)

    def next_event(self, generator: Any) -> Event:
        """Return the next event of a stream that has one; raises what Ray raises."""
        event: Event = self._ray.get(next(generator))
        return event

    def ready(self, generators: Sequence[Any]) -> list[Any]:
        """Return the streams with an event, after a short wait if none has."""
        found, _ = self._ray.wait(list(generators), num_returns=1, timeout=_POLL_SECONDS)
        return list(found)

    def cancel(self, generator: Any) -> None:
        """End a task with its worker process."""
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.cancel(generator, force=True)

    def losses(self) -> tuple[type[BaseException], ...]:
        """Return the errors of a lost worker, node or result."""
        errors = self._ray.exceptions
        return (
            errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError,
            errors.LocalRayletDiedError,
        )  # fmt: skip

    def _wait_for_room(self, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + self.config.connect_seconds
        while not self.slots():
            if cancelled.is_set():
                raise Cancelled("the call was cancelled")
            if time.monotonic() > deadline:
                gpus = f" and {self.config.gpus:g} GPU" if self.config.gpus else ""
                raise Unreachable(
                    f"no node of the Ray cluster at {self.config.address} offers {self.config.cpus} cores{gpus}, which "
                    "TPLUS_RAY_CPUS and TPLUS_RAY_GPUS set; start nodes with `tplus ray-node`, or set less"
                )
            time.sleep(_POLL_SECONDS)

    def _connect(self, ip: str) -> None:
        ray = self._ray
        try:
            if ip not in self._node_addresses():
                # Ray connects a process through a node of the same machine.
                own = Node(self._address, ip, cpus=0, gpus=0, store_bytes=_NODE_STORE_BYTES)
                subprocess.Popen(
                    node_command(own), env=child_environment({}), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
                while ip not in self._node_addresses():
                    time.sleep(_POLL_SECONDS)
            ray.init(
                address=self._address,
                _node_ip_address=ip,
                log_to_driver=False,
                configure_logging=False,
                include_dashboard=False,
                namespace="tplus",
            )
        except Exception as error:
            raise Unreachable(self._message(error)) from error

    def _node_addresses(self) -> set[str]:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # `ray.nodes` needs a connection, which needs a node of this machine

        client = GcsClient(address=self._address)
        return {
            info.node_manager_address for info in client.get_all_node_info(timeout=self.config.connect_seconds).values()
            if info.state == 0
        }  # fmt: skip

    def _message(self, error: Exception) -> str:
        config, reason = self.config, " ".join(str(error).split())
        if "ersion mismatch" in reason:
            return f"the Ray cluster at {config.address} has other versions: {reason[:300]}; install the same ones"
        return (
            f"the Ray cluster at {config.address} accepts no connection ({reason[:200]}); compare the token in "
            f"TPLUS_RAY_TOKEN_FILE={config.token_file} with the cluster's, and see workers.log"
        )


class _Following:
    """The open streams of one call."""

    def __init__(self, cluster: Cluster, works: Sequence[Work]) -> None:
        self._cluster, self._works = cluster, works
        self.answers: list[Any] = [None] * len(works)
        self._lost = [0] * len(works)
        self._open: dict[int, Any] = {}
        for position, work in enumerate(works):
            self._open[position] = cluster.submit(work)

    @property
    def is_open(self) -> bool:
        """Whether a task is not done."""
        return bool(self._open)

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield the next event of each stream that has one."""
        ready = {id(generator) for generator in self._cluster.ready(list(self._open.values()))}
        for position, generator in list(self._open.items()):
            if id(generator) not in ready:
                continue
            try:
                event = self._cluster.next_event(generator)
            except self._cluster.losses() as error:
                self._repeat(position, error)
                continue
            if event[0] == "done":
                self.answers[position] = event[1]
                del self._open[position]
            yield position, event

    def _repeat(self, position: int, error: BaseException) -> None:
        self._lost[position] += 1
        work, count = self._works[position], self._lost[position]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if count > RETRIES:
            del self._open[position]
            raise WorkerDied(
                f"the task {work.task.__name__} lost {count} workers of the Ray cluster in succession, the last with "
                f"{reason}; memory may have run out on its nodes"
            ) from error
        _log.warning("the task %s is repeated, its worker was lost (%s)", work.task.__name__, reason)
        self._open[position] = self._cluster.submit(work)

    def cancel(self) -> None:
        """End all tasks that are not done."""
        for generator in self._open.values():
            self._cluster.cancel(generator)
