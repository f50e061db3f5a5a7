"""Making the environment: when there is nothing to do, what is counted, and what is said when it cannot be done."""

import sys
from pathlib import Path

import pytest

from tools.setup_env import LOCKS, SetupFailed, _run, _watched, count_pins, ensure, fingerprint, main

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


def test_progress_is_told_by_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"Collecting package{n}==1.0 (from -r run.txt)\n" for n in range(25)]
    lines += [f"Processing /wheels/package{n}-1.0-py3-none-any.whl (from -r run.txt)\n" for n in range(25)]
    lines.append("Installing collected packages: a, b\n")
    assert list(_watched(lines, 50)) == lines
    assert capsys.readouterr().out == "  25 of 50\n  50 of 50\n  all fetched; putting them in place\n"


def test_a_failed_command_is_told_with_its_own_words() -> None:
    with pytest.raises(SetupFailed, match="pip failed; its last words follow, and `make` tries again") as failed:
        _run([sys.executable, "-c", "print('no such package'); raise SystemExit(3)"], 0)
    assert "no such package" in str(failed.value)


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
