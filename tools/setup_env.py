"""Make or refresh .venv from the lock files; `make` calls it before everything else.

    python3 tools/setup_env.py run|backtest|dev

Needs the standard library only. uv installs the packages if it is on PATH and pip has no package source of its own
configured; otherwise pip does. A stamp in .venv names the lock files of its last installation, so that a second call
has nothing to do.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"run": ("run",), "backtest": ("backtest", "run"), "dev": ("dev", "backtest", "run")}
"""Kind of environment -> its stamps; the backtest lock contains the whole run lock, the dev lock both."""
_SOURCE_OPTION = re.compile(
    r"^[^=]*\.(index-url|extra-index-url|find-links|no-index|constraint|proxy|cert|client-cert|trusted-host)=", re.M
)
"""A line of `pip config list` that decides where packages come from; uv reads none of these."""


class SetupFailed(Exception):
    """The environment cannot be made; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Make the requested environment; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        sys.stderr.write("usage: setup_env.py run|backtest|dev\n")
        return 2
    try:
        ensure(ROOT, arguments[0])
    except SetupFailed as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nsetup: interrupted; run make again to resume\n")
        return 130
    return 0


def ensure(root: Path, kind: str) -> bool:
    """Make or refresh the environment of a checkout.

    Args:
        root: The checkout.
        kind: `run`, `backtest` or `dev`.

    Returns:
        Whether anything was installed.

    Raises:
        SetupFailed: Python cannot make environments, or a package cannot be installed.
    """
    venv = root / ".venv"
    python = venv / "bin" / "python"
    stamps = [venv / f".{name}-{fingerprint(root, name)}" for name in LOCKS[kind]]
    if stamps[0].exists() and _works(python, "-c", ""):
        return False
    if not _works(python, "-m", "pip", "--version"):
        _create(venv)
    lock = root / "requirements" / f"{kind}.txt"
    _print_line(
        f"setup: installing {count_pins(lock.read_text())} locked packages into .venv (this takes a minute or more)"
    )
    _install(python, ["--require-hashes", "-r", str(lock)])
    _install(python, ["--no-build-isolation", "-e", str(root)])
    for name in LOCKS[kind]:
        for old in venv.glob(f".{name}-*"):
            old.unlink()
    for stamp in stamps:
        stamp.touch()
    _print_line("setup: .venv is ready")
    return True


def fingerprint(root: Path, name: str) -> str:
    """Return a hash of an environment's inputs: a lock file, pyproject.toml, and its folder."""
    parts = ((root / "requirements" / f"{name}.txt").read_bytes(), (root / "pyproject.toml").read_bytes())
    return hashlib.sha256(b"\0".join((*parts, str(root).encode()))).hexdigest()[:16]


def count_pins(lock: str) -> int:
    """Return the number of packages in a lock file."""
    return sum(1 for line in lock.splitlines() if "==" in line and line[:1].isalnum())


def find_uv(python: Path) -> str | None:
    """Return the path of uv; None if it is not on PATH, or if pip has a configuration that uv ignores.

    Args:
        python: An interpreter that has pip.
    """
    uv = shutil.which("uv")
    if uv is None:
        return None
    listed = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True)
    return None if listed.returncode or _SOURCE_OPTION.search(listed.stdout) else uv


def _install(python: Path, packages: list[str]) -> None:
    """Install with uv, else with pip; also with pip if uv fails.

    Raises:
        SetupFailed: pip failed.
    """
    uv = find_uv(python)
    if uv and subprocess.run([uv, "pip", "install", "--python", str(python), "--no-deps", *packages]).returncode == 0:
        return
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]
    if subprocess.run([*pip, "--progress-bar", "off", *packages]).returncode:
        raise SetupFailed("pip failed; see its last lines above; run make again to resume")


def _works(python: Path, *arguments: str) -> bool:
    return python.exists() and subprocess.run([str(python), *arguments], capture_output=True).returncode == 0


def _create(venv: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    missing = (
        f"this Python {version} cannot make virtual environments; install that part of it, on Debian and Ubuntu with "
        f"`apt-get install python{version}-venv`, and run make again"
    )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupFailed(missing)
    _print_line(f"setup: creating .venv with Python {version}")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True)
    if done.returncode:
        raise SetupFailed(f"{missing}\n{(done.stdout + done.stderr).strip()}")


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
