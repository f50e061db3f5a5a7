"""Cores and memory by the files of a machine and of its control groups."""

import os
import sys
from pathlib import Path

import pytest

from models.machine import free_memory, usable_cores

GIGABYTE = 2**30
SERVICE = "system.slice/tplus.service"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def machine(root: Path, group: str = "") -> Path:
    """Write the files of a machine with 8 GiB of memory, of which 6 GiB are available."""
    meminfo = "MemTotal:        8388608 kB\nMemAvailable:    6291456 kB\nHugePages_Total:       0\n"
    return write(root, {"proc/meminfo": meminfo, "proc/self/cgroup": f"1:cpu:/old\n0::/{group}\n"})


def test_without_a_control_group_all_is_usable(tmp_path: Path) -> None:
    root = machine(tmp_path)
    assert free_memory(root) == 6 * GIGABYTE
    assert usable_cores(root) == (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())


def test_a_limit_of_cpu_time_rounds_up_to_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)), raising=False)
    root = machine(tmp_path)
    for text, cores in (("max 100000", 64), ("250000 100000", 3), ("50000 100000", 1), ("9900000 100000", 64)):
        write(root, {"sys/fs/cgroup/cpu.max": f"{text}\n"})
        assert usable_cores(root) == cores


@pytest.mark.parametrize("group", ["", "/" + SERVICE])
def test_files_that_were_read_are_free_memory(tmp_path: Path, group: str) -> None:
    root = machine(tmp_path, group.removeprefix("/"))
    folder = f"sys/fs/cgroup{group}"
    write(root, {f"{folder}/memory.max": f"{2 * GIGABYTE}\n", f"{folder}/memory.current": f"{2 * GIGABYTE}\n"})
    write(root, {f"{folder}/memory.stat": f"anon 1\nfile {GIGABYTE}\ninactive_file {GIGABYTE // 2}\n"})
    assert free_memory(root) == GIGABYTE // 2


def test_the_group_around_a_group_limits_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    root = machine(tmp_path, SERVICE)
    write(
        root, {"sys/fs/cgroup/system.slice/cpu.max": "200000 100000\n", f"sys/fs/cgroup/{SERVICE}/cpu.max": "max 1\n"}
    )
    assert usable_cores(root) == 2


def test_no_limit_leaves_the_memory_of_the_machine(tmp_path: Path) -> None:
    root = machine(tmp_path)
    write(root, {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": f"{7 * GIGABYTE}\n"})
    assert free_memory(root) == 6 * GIGABYTE


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_free_memory_of_this_machine_is_a_part_of_it() -> None:
    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
