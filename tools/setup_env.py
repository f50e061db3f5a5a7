"""Make or refresh .venv from the lock files; `make` calls it before everything else.

    python3 tools/setup_env.py run|backtest|dev

Needs the standard library only. uv installs the packages: the one on PATH, else one that pip installs into .venv from
its own lock file. pip installs them if uv is not available, or if pip's configuration has an option that uv lacks. A
line is printed at least every ten seconds. A stamp in .venv names the lock files of its last installation, so that a
second call has nothing to do.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"run": ("run",), "backtest": ("backtest", "run"), "dev": ("dev", "backtest", "run")}
"""Kind of environment -> its stamps; the backtest lock contains the whole run lock, the dev lock both."""
_OPTION = re.compile(r"^(?P<level>[^=]*)\.(?P<name>[a-z-]+)=(?P<quote>['\"])(?P<value>.*)(?P=quote)$", re.M)
"""A line of `pip config list`, whose values have quotes."""
_PRECEDENCE = {":env:": 2, "install": 1}
"""Variables come before the section of a command, and that before `global`."""
_UV_VARIABLES = {
    "index-url": ("UV_INDEX_URL", " "), "extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "find-links": ("UV_FIND_LINKS", ","),
}  # fmt: skip
"""Options of pip that decide where packages come from: uv's variables for them, and what separates several values."""
_PIP_ONLY = ("no-index", "proxy", "client-cert", "trusted-host")
"""Those that uv has not: with one of them, pip installs."""
COMPILED = ("service.app", "service.cli.serve.up", "models.training.train", "keras")
"""Modules that are imported once, so that Python stores them and what they import in compiled form."""
LINE_SECONDS = 8.0
"""Longest silence during an installation."""
LAST_LINES = 12
"""Lines of a quiet program's output that are printed if it fails."""


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
        SetupFailed: Python cannot make environments, or a package cannot be installed or imported.
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
    uv = find_uv(python, lock.parent / "uv.txt")
    _install(python, uv, ["--require-hashes", "-r", str(lock)])
    _install(python, uv, ["--no-build-isolation", "-e", str(root)])
    compile_modules(python)
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


@dataclass(frozen=True)
class Uv:
    """uv with its share of pip's configuration.

    Attributes:
        program: Path of uv.
        environment: Variables that name the package sources; an option would show a password to every user.
    """

    program: str
    environment: dict[str, str]


def find_uv(python: Path, lock: Path | None = None) -> Uv | None:
    """Return uv; None if it is not available, or if pip's configuration has an option that uv lacks.

    Args:
        python: An interpreter that has pip.
        lock: Lock file from which pip installs uv into the same environment if it is not on PATH; None = do not.
    """
    listed = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True)
    translated = None if listed.returncode else translate_config(listed.stdout)
    if translated is None:
        return None
    program = shutil.which("uv")
    if program is None and lock is not None:
        own = python.parent / "uv"
        install = [*_pip(python), "--quiet", "--require-hashes", "-r", str(lock)]
        if own.exists() or _run(install, "getting uv", quiet=True) == 0:
            program = str(own) if own.exists() else None
    return None if program is None else Uv(program, translated)


def translate_config(listed: str) -> dict[str, str] | None:
    """Return uv's variables for pip's configuration, None if it has an option that uv lacks.

    Constraints are left out, because the lock file names every version. The hashes of the lock file decide what is
    installed, so uv may take the best match of all sources.

    Args:
        listed: Output of `pip config list`.
    """
    values: dict[str, str] = {}
    for found in sorted(_OPTION.finditer(listed), key=lambda found: _PRECEDENCE.get(found["level"], 0)):
        values[found["name"]] = found["value"].replace("\\n", " ")  # the last one has precedence
    if any(name in values for name in _PIP_ONLY):
        return None
    variables = {
        variable: separator.join(values[name].split())
        for name, (variable, separator) in _UV_VARIABLES.items()
        if values.get(name)
    }
    if variables:
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables | ({"SSL_CERT_FILE": values["cert"]} if "cert" in values else {})


def compile_modules(python: Path) -> None:
    """Import `COMPILED`: uv leaves the compiling to the first import, which would delay the page and the training.

    Raises:
        SetupFailed: A module cannot be imported, so that nothing would start either.
    """
    if _run([str(python), "-c", f"import {', '.join(COMPILED)}"], "compiling modules", quiet=True):
        raise SetupFailed(
            "the packages are installed but cannot be imported; see the lines above, remove the cause, run make again"
        )


def _install(python: Path, uv: Uv | None, packages: list[str]) -> None:
    """Install with uv, else with pip; also with pip if uv fails.

    Raises:
        SetupFailed: pip failed.
    """
    if uv is not None:
        variables = [f"{name}={value}" for name, value in uv.environment.items()]
        program = ["env", *variables, uv.program] if variables else [uv.program]
        command = [*program, "pip", "install", "--python", str(python), "--no-deps", *packages]
        if _run(command, "uv installs") == 0:
            return
        _print_line("setup: uv failed; pip installs instead")
    if _run([*_pip(python), "--progress-bar", "off", *packages], "pip installs"):
        raise SetupFailed("pip failed; see its last lines above; run make again to resume")


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]


def _run(command: list[str], what: str, *, quiet: bool = False) -> int:
    """Run a program and return its exit status; print a line at least every `LINE_SECONDS`.

    Args:
        command: The program and its arguments.
        what: What it does, for the lines.
        quiet: Hide its output, but for the last lines if it fails.
    """
    if quiet:
        with tempfile.TemporaryFile() as output:
            status = _wait(command, what, output)
            if status:
                output.seek(0)
                lines = output.read().decode(errors="replace").splitlines()
                sys.stderr.write("".join(f"{line}\n" for line in lines[-LAST_LINES:]))
        return status
    return _wait(command, what, None)


def _wait(command: list[str], what: str, output: IO[bytes] | None) -> int:
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        while True:
            try:
                return process.wait(LINE_SECONDS)
            except subprocess.TimeoutExpired:
                _print_line(f"setup: {what}, {time.monotonic() - began:.0f} s so far")
    except BaseException:
        process.terminate()
        process.wait()
        raise


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
    if _run([sys.executable, "-m", "venv", "--clear", str(venv)], "creating .venv"):
        raise SetupFailed(missing)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
