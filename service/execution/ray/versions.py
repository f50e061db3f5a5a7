"""Versions that must be equal on all machines of a cluster, for equal results."""

import hashlib
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import models

_LIBRARIES = {"Ray": "ray", "Tplus": "tplus", "numpy": "numpy", "keras": "keras", "tensorflow": "tensorflow"}


@lru_cache(maxsize=1)
def installed_versions() -> Mapping[str, str]:
    """Return the versions of this process by name: Python, Ray, Tplus, its libraries, and the code of `models`."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **{name: _version(package) for name, package in _LIBRARIES.items()}, "models": _code()}


def difference(own: Mapping[str, str], other: Mapping[str, str], where: str) -> str | None:
    """Return a sentence about versions that differ; None if all are equal.

    Args:
        own: Versions of the process that sends the work.
        other: Versions of the process that would do it.
        where: Name of that process's machine.
    """
    names = [name for name in own if own[name] != other.get(name)]
    if not names:
        return None
    listed = ", ".join(f"{name} {other.get(name, 'absent')} instead of {own[name]}" for name in names)
    return f"the node {where} has {listed}; install the same Tplus with the same lock file on every machine"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _code() -> str:
    """Return the beginning of the SHA-256 of the source of `models`, which decides every result."""
    digest = hashlib.sha256()
    root = Path(models.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
