"""Making the environment: stamps, counts, installers, and error messages."""

import os
import sys
from pathlib import Path

import pytest

from tools import setup_env
from tools.setup_env import LOCKS, SetupFailed, Uv, count_pins, ensure, find_uv, fingerprint, main, translate_config

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
    """Make a checkout with lock files and a .venv with a working Python."""
    (tmp_path / "requirements").mkdir()
    for name in LOCKS:
        (tmp_path / "requirements" / f"{name}.txt").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def test_pins_are_counted() -> None:
    assert count_pins(LOCK) == 2


def test_a_stamped_environment_is_not_changed(checkout: Path) -> None:
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
    """Make a program named uv, alone on PATH, that records its arguments and fails; pip without configuration."""
    program = tmp_path / "programs" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\nexit 1\n')
    program.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_uv_installs_if_it_is_found(uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_uv(Path(sys.executable)) == Uv(str(uv), {})
    monkeypatch.setenv("PATH", str(uv.parent / "none"))
    assert find_uv(Path(sys.executable)) is None


def test_without_uv_on_path_pip_installs_it_from_its_lock(
    checkout: Path, uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(uv.parent / "none"))
    python = checkout / ".venv" / "bin" / "python"
    lock = checkout / "requirements" / "uv.txt"
    lock.write_text("uv==0.13.9 --hash=sha256:28\n")  # pip refuses a hash of two digits before any request
    assert find_uv(python, lock) is None
    (python.parent / "uv").touch()
    assert find_uv(python, lock) == Uv(str(python.parent / "uv"), {})


@pytest.mark.parametrize("option", ["NO_INDEX", "PROXY", "CLIENT_CERT", "TRUSTED_HOST"])
def test_pip_installs_if_it_has_an_option_that_uv_lacks(uv: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setenv(f"PIP_{option}", "1")
    assert find_uv(Path(sys.executable)) is None


def test_the_package_sources_of_pip_are_passed_on(uv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url =\n  file:///a\n  file:///b\nfind-links = /w\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_CERT", "/c.pem")
    found = find_uv(Path(sys.executable))
    assert found is not None
    assert found.environment == {
        "UV_EXTRA_INDEX_URL": "file:///a file:///b", "UV_FIND_LINKS": "/w", "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/c.pem",
    }  # fmt: skip


def test_constraints_and_settings_without_a_source_are_left_out() -> None:
    listed = "global.constraint='/c.txt'\n:env:.default-timeout='180'\n:env:.disable-pip-version-check='1'\n"
    assert translate_config(listed) == {}
    assert translate_config("global.proxy='http://p:1'\n") is None


def test_a_long_installation_prints_a_line_again_and_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_env, "LINE_SECONDS", 0.1)
    program = "import sys, time; print('seen'); print('seen', file=sys.stderr); time.sleep(0.5); sys.exit(3)"
    assert setup_env._run([sys.executable, "-c", program], "waiting", quiet=True) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert set(lines) == {"setup: waiting, 0 s so far"} | set(lines[1:])


def test_modules_that_cannot_be_imported_fail_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_env, "COMPILED", ("json",))
    setup_env.compile_modules(Path(sys.executable))
    monkeypatch.setattr(setup_env, "COMPILED", ("json", "no_such_module"))
    with pytest.raises(SetupFailed, match="installed but cannot be imported; see the lines above"):
        setup_env.compile_modules(Path(sys.executable))
    assert capfd.readouterr().err.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_module'"


def test_pip_installs_if_uv_fails_and_its_failure_is_one_sentence(checkout: Path, uv: Path, tmp_path: Path) -> None:
    # pip refuses a hash of two digits before any request.
    with pytest.raises(SetupFailed, match=r"^pip failed; see its last lines above; run make again"):
        ensure(checkout, "run")
    lock, python = checkout / "requirements" / "run.txt", checkout / ".venv" / "bin" / "python"
    called = f"pip install --python {python} --no-deps --require-hashes -r {lock}\n"
    assert (tmp_path / "calls").read_text() == called
    assert list((checkout / ".venv").glob(".run-*")) == []


def test_without_ensurepip_the_error_says_what_to_install(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".venv" / "bin" / "python").unlink()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(SetupFailed, match=f"apt-get install python{version}-venv"):
        ensure(checkout, "run")


@pytest.mark.parametrize("arguments", [[], ["all"], ["run", "dev"]])
def test_other_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: setup_env.py run|backtest|dev" in capsys.readouterr().err
