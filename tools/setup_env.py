"""Make or refresh .venv from the lock files; `make` calls it before everything else.

    python3 tools/setup_env.py run|dev

Needs the standard library only. A stamp in .venv names the lock files it was made from, so that a second call
ends at once; a call that was broken off is simply repeated.
"""

import hashlib
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"run": ("run",), "dev": ("dev", "run")}
"""Kind of environment -> the stamps it earns; the dev lock holds the whole run lock."""
KEPT_LINES = 25
"""Lines of pip's own words shown when it fails."""
TOLD_EVERY = 25
"""Packages between two lines of progress where there is no terminal."""
_PACKAGE = re.compile(r"(?:Collecting|Processing|Requirement already satisfied:) (\S+?)(?:==|-\d|\s)")


class SetupFailed(Exception):
    """The environment cannot be made; the sentence says what to do."""


def main(arguments: list[str]) -> int:
    """Make the environment asked for; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        sys.stderr.write("usage: setup_env.py run|dev\n")
        return 2
    try:
        ensure(ROOT, arguments[0])
    except SetupFailed as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nsetup: broken off; the next make goes on from here\n")
        return 130
    return 0


def ensure(root: Path, kind: str) -> bool:
    """Make or refresh the environment of a checkout.

    Args:
        root: The checkout.
        kind: `run` or `dev`.

    Returns:
        Whether anything had to be done.

    Raises:
        SetupFailed: Python cannot make environments, or a package cannot be installed.
    """
    venv = root / ".venv"
    python = venv / "bin" / "python"
    stamps = [venv / f".{name}-{fingerprint(root, name)}" for name in LOCKS[kind]]
    if stamps[0].exists() and _works(python, "-c", ""):
        return False
    if not _works(python, "-m", "pip", "--version"):
        _make(venv)
    lock = root / "requirements" / f"{kind}.txt"
    total = count_pins(lock.read_text())
    _say(f"setup: installing {total} locked packages into .venv (TensorFlow is large: this takes a minute or more)")
    started = time.monotonic()
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]
    _run([*pip, "--progress-bar", "off", "--require-hashes", "-r", str(lock)], total)
    _run([*pip, "--quiet", "--no-build-isolation", "-e", str(root)], 0)
    for name in LOCKS[kind]:
        for old in venv.glob(f".{name}-*"):
            old.unlink()
    for stamp in stamps:
        stamp.touch()
    _say(f"setup: .venv is ready after {time.monotonic() - started:.0f} s")
    return True


def fingerprint(root: Path, name: str) -> str:
    """Names what an environment is made from: a lock file, pyproject.toml, and the folder it works in."""
    parts = ((root / "requirements" / f"{name}.txt").read_bytes(), (root / "pyproject.toml").read_bytes())
    return hashlib.sha256(b"\0".join((*parts, str(root).encode()))).hexdigest()[:16]


def count_pins(lock: str) -> int:
    """How many packages a lock file names."""
    return sum(1 for line in lock.splitlines() if "==" in line and line[:1].isalnum())


def _works(python: Path, *arguments: str) -> bool:
    return python.exists() and subprocess.run([str(python), *arguments], capture_output=True).returncode == 0


def _make(venv: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    missing = (
        f"Python {version} here cannot make virtual environments; install that part of it, on Debian and Ubuntu with "
        f"`apt-get install python{version}-venv`, and run make again"
    )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupFailed(missing)
    _say(f"setup: creating .venv with Python {version}")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True)
    if done.returncode:
        raise SetupFailed(f"{missing}\n{(done.stdout + done.stderr).strip()}")


def _run(command: list[str], total: int) -> None:
    """Run pip and show how far it is; its own words are shown only when it fails."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        kept = list(_watched(process.stdout or (), total))
    if process.returncode:
        words = "".join(kept[-KEPT_LINES:])
        raise SetupFailed(f"pip failed; its last words follow, and `make` tries again from here\n{words}")


def _watched(lines: Iterable[str], total: int) -> Iterator[str]:
    terminal = sys.stdout.isatty()
    seen = 0
    for line in lines:
        yield line
        found = _PACKAGE.match(line) if total else None
        if found:
            seen += 1
            name = Path(found[1]).name
            if terminal:
                sys.stdout.write(f"\r\033[K  {min(seen, total)} of {total}: {name}")
                sys.stdout.flush()
            elif seen % TOLD_EVERY == 0:
                _say(f"  {seen} of {total}")
        elif line.startswith("Installing collected packages") and total:
            sys.stdout.write("\r\033[K" if terminal else "")
            _say("  all fetched; putting them in place")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
