"""Runs pip-audit on a lock file, where it is installed and its database can be reached; says so where not."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 300


@dataclass(frozen=True, slots=True)
class Vulnerabilities:
    """Result for one lock file.

    Attributes:
        found: A sentence for each known vulnerability.
        not_run: Why the lock was not checked; None if it was.
    """

    found: tuple[str, ...] = ()
    not_run: str | None = None


def find_pip_audit() -> list[str] | None:
    """Return the command of pip-audit: the environment's, one on PATH, or uvx; None if there is none."""
    if importlib.util.find_spec("pip_audit") is not None:
        return [sys.executable, "-m", "pip_audit"]
    if shutil.which("pip-audit"):
        return ["pip-audit"]
    return ["uvx", "pip-audit"] if shutil.which("uvx") else None


def check_vulnerabilities(lock: Path, command: Sequence[str] | None) -> Vulnerabilities:
    """Return the known vulnerabilities of a lock file's packages.

    Args:
        lock: The lock file.
        command: How to start pip-audit; None = it is not installed.
    """
    if command is None:
        return Vulnerabilities(
            not_run="pip-audit is not installed; install it (pipx install pip-audit), run make audit again"
        )
    arguments = ["--requirement", str(lock), "--disable-pip", "--no-deps", "--progress-spinner=off", "--format=json"]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Vulnerabilities(not_run=f"pip-audit did not end: {type(error).__name__}")
    return read_result(done.stdout, done.stderr)


def read_result(out: str, error: str) -> Vulnerabilities:
    """Return the result that pip-audit printed; without a document its database was not reached."""
    try:
        packages = json.loads(out)["dependencies"]
        found = tuple(
            f"{package['name']} {package['version']}: {each['id']}, fixed in "
            f"{', '.join(each['fix_versions']) or 'no version yet'}"
            for package in packages
            for each in package.get("vulns", ())
        )
    except (ValueError, KeyError, TypeError):
        lines = error.strip().splitlines()
        reason = lines[-1][:200] if lines else "no message"
        return Vulnerabilities(not_run=f"pip-audit gave no result, its database may be out of reach ({reason})")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if packages and len(skipped) == len(packages):
        return Vulnerabilities(not_run="pip-audit skipped every package: its database may be out of reach")
    return Vulnerabilities(found)
