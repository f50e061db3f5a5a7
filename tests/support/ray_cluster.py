"""Ray clusters in a network namespace that has loopback alone: the only way in which tests and trials start Ray.

Ray's processes listen on all interfaces. A `LoopbackNetwork` is a namespace without any other; `start_node` refuses to
start a node, and `inside` to enter, where there is one. Threads that a thread inside starts are inside too, and so are
the processes that they start; all other threads of this process stay outside.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

from service.execution.ray.cluster import ClusterConfig
from tests.support.paths import ROOT

HEAD = "127.0.0.1:6379"
"""Each namespace has an address space of its own, so that clusters do not meet."""
STORE_MEGABYTES = "80"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
_HOLDER = "ip link set lo up && echo up && exec sleep infinity"


class NoNamespace(Exception):
    """This machine permits no network namespace; the message says why."""


class NotLoopback(Exception):
    """Another interface than loopback can be reached here, so Ray is not started."""


class LoopbackNetwork:
    """A network namespace with loopback alone, as long as the object is open."""

    def __init__(self) -> None:
        """Make the namespace.

        Raises:
            NoNamespace: This machine does not permit it.
        """
        resource_tracker.ensure_running()  # it must not be started inside, where it would be killed
        if shutil.which("unshare") is None or shutil.which("ip") is None:
            raise NoNamespace("the programs unshare and ip are needed to make a network namespace")
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _HOLDER],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != "up\n":
            reason = " ".join(self._holder.stderr.read().split())
            self._end_holder()
            raise NoNamespace(f"this user may not make a network namespace: {reason}")
        self._path = Path(f"/proc/{self._holder.pid}/ns/net")
        self.name = os.readlink(self._path)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Put this thread into the namespace for a block."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            within = os.open(self._path, os.O_RDONLY)
            try:
                _enter(within)
            finally:
                os.close(within)
            try:
                assert_loopback_only()
                yield
            finally:
                _enter(outside)
        finally:
            os.close(outside)

    def processes(self) -> list[psutil.Process]:
        """Return all processes inside but the one that holds the namespace and this one."""
        own = {os.getpid(), self._holder.pid}
        return [process for process in psutil.process_iter() if process.pid not in own and self._has(process.pid)]

    def close(self) -> None:
        """Kill every process inside, each by its id, and remove the namespace."""
        for _ in range(20):
            left = [process for process in self.processes() if _status(process) != psutil.STATUS_ZOMBIE]
            if not left:
                break
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=2)
        self._end_holder()

    def _has(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/net") == self.name
        except OSError:
            return False

    def _end_holder(self) -> None:
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdout, self._holder.stderr):
            if pipe is not None:
                pipe.close()


class RunningNode:
    """A node of a cluster: the process that started it and all below it."""

    def __init__(self, process: "subprocess.Popen[bytes]", ip: str) -> None:
        self.process, self.ip = process, ip

    def kill(self) -> None:
        """Kill -9 the node with its workers, as a machine that loses its power."""
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid)
            for process in [own, *own.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
        self.process.wait()

    def workers(self) -> list[psutil.Process]:
        """Return the processes of the node that run tasks or wait for one."""
        return [process for process in self._below() if _title(process).startswith("ray::")]

    def _below(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []


class RayCluster:
    """A cluster in a namespace: a head without cores, and nodes with an address of loopback each."""

    def __init__(self, folder: Path, nodes: int = 1, cpus: int = 1) -> None:
        """Start it; some ten seconds.

        Args:
            folder: Folder for its token, logs and sockets; a short path, since sockets have names of at most 107 bytes.
            nodes: Nodes with cores.
            cpus: Cores of each.

        Raises:
            NoNamespace: This machine permits no namespace.
        """
        self.folder = folder
        self.token_file = folder / "token"
        self.token_file.write_text(secrets.token_hex(32))
        self.network = LoopbackNetwork()
        self._count, self._cpus = 1, cpus
        self.nodes: list[RunningNode] = []
        try:
            self.head = self._start("127.0.0.1", 0, "--head")
            for _ in range(nodes):
                self.add_node()
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> ClusterConfig:
        """How executors reach it."""
        return ClusterConfig(HEAD, self.token_file)

    def add_node(self) -> RunningNode:
        """Start one more node with cores and return it."""
        self._count += 1
        node = self._start(f"127.0.0.{self._count}", self._cpus)
        self.nodes.append(node)
        return node

    def close(self) -> None:
        """End every process of the cluster, and of its clients."""
        self.network.close()
        for node in (*self.nodes, *([self.head] if hasattr(self, "head") else [])):
            node.process.wait()

    def _start(self, ip: str, cpus: int, *more: str) -> RunningNode:
        words = ("--ip", ip, "--cpus", str(cpus), "--gpus", "0", "--store", STORE_MEGABYTES, *more)
        with self.network.inside():
            return start_node(words, self.token_file, self.folder)


def start_node(words: Sequence[str], token_file: Path, folder: Path) -> RunningNode:
    """Start `tplus ray-node` from a thread that reaches loopback alone, and wait until the node runs.

    Args:
        words: Its options, first `--ip` and the address.
        token_file: File with the token.
        folder: Folder for its log, and for sockets and logs of Ray.

    Raises:
        NotLoopback: Another interface can be reached here.
    """
    assert_loopback_only()
    settings = {"TPLUS_EXECUTOR": f"ray:{HEAD}", "TPLUS_RAY_TOKEN_FILE": str(token_file), "PYTHONPATH": str(ROOT)}
    log = folder / f"node-{words[1]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "import service.cli; service.cli.main()", "ray-node", *words],
            env={**os.environ, **settings, "RAY_TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
        )  # fmt: skip
    deadline = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the node has not started: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return RunningNode(process, words[1])


def assert_loopback_only() -> None:
    """Raise an error if this thread reaches another interface than loopback."""
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    names = {line.partition(":")[0].strip() for line in lines}
    if names != {"lo"}:
        raise NotLoopback(f"Ray is started on loopback alone, and here are {', '.join(sorted(names))}")


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, _NEW_NETWORK) != 0:
        raise NoNamespace(f"the namespace cannot be entered: {os.strerror(ctypes.get_errno())}")


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
