"""Making the environment: when there is nothing to do, what is counted, and what is said when it cannot be done."""

import os
import sys
from pathlib import Path

import pytest

from tools.setup_env import LOCKS, SetupFailed, count_pins, ensure, find_uv, fingerprint, main

LOCK = """\
absl-py==2.5.1 \\
    --hash=sha256:28 \\
    --hash=sha256:72
    # via keras
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:01
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with lock files and a .venv whose Python works."""
    (tmp_path / "requirements").mkdir()
    for name in LOCKS:
        (tmp_path / "requirements" / f"{name}.txt").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def test_pins_are_counted() -> None:
    assert count_pins(LOCK) == 2


def test_a_stamped_environment_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv" / f".run-{fingerprint(checkout, 'run')}").touch()
    assert ensure(checkout, "run") is False


@pytest.mark.parametrize("changed", ["requirements/run.txt", "pyproject.toml"])
def test_a_changed_file_is_another_environment(checkout: Path, changed: str) -> None:
    before = fingerprint(checkout, "run")
    (checkout / changed).write_text("other\n")
    assert fingerprint(checkout, "run") != before


def test_a_checkout_elsewhere_is_another_environment(checkout: Path, tmp_path: Path) -> None:
    before = fingerprint(checkout, "run")
    moved = tmp_path / "moved"
    for name in ("requirements", "pyproject.toml"):
        (moved / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).rename(moved / name)
    assert fingerprint(moved, "run") != before


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named uv, alone on PATH, which notes its arguments and fails; pip without any configuration."""
    program = tmp_path / "programs" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\nexit 1\n')
    program.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_uv_is_taken_where_it_is_found(uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_uv(Path(sys.executable)) == str(uv)
    monkeypatch.setenv("PATH", str(uv.parent / "none"))
    assert find_uv(Path(sys.executable)) is None


@pytest.mark.parametrize("option", ["INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CERT"])
def test_pip_installs_where_it_is_configured(uv: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setenv(f"PIP_{option}", "1")
    assert find_uv(Path(sys.executable)) is None


def test_a_configuration_file_of_pip_counts_too(uv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[install]\nfind-links = somewhere\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert find_uv(Path(sys.executable)) is None


def test_pip_tries_where_uv_fails_and_then_it_is_one_sentence(checkout: Path, uv: Path, tmp_path: Path) -> None:
    # A hash of two digits is refused by pip before it asks any index.
    with pytest.raises(SetupFailed, match=r"^pip failed; its last lines above say why, and `make` tries again"):
        ensure(checkout, "run")
    lock, python = checkout / "requirements" / "run.txt", checkout / ".venv" / "bin" / "python"
    called = f"pip install --python {python} --no-deps --require-hashes -r {lock}\n"
    assert (tmp_path / "calls").read_text() == called
    assert list((checkout / ".venv").glob(".run-*")) == []


def test_a_python_without_ensurepip_is_told_what_to_install(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".venv" / "bin" / "python").unlink()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(SetupFailed, match=f"apt-get install python{version}-venv"):
        ensure(checkout, "run")


@pytest.mark.parametrize("arguments", [[], ["all"], ["run", "dev"]])
def test_other_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: setup_env.py run|dev" in capsys.readouterr().err
