"""Reads a lock file: every package with its version, its hashes, its marker and what needs it."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "tplus"

_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")
_HASH = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^\s+#\s+(?:via\s*)?(.*)$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock file.

    Attributes:
        name: Its normalised name.
        version: Its version.
        marker: Environments that it is for; empty = all.
        hashes: SHA-256 of each of its distributions.
        needed_by: Packages that need it; the project itself is `tplus`.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def read_lock(path: Path) -> list[Locked]:
    """Return the packages of a lock file.

    Raises:
        ValueError: a package has no hash, or there is no package.
    """
    found: list[Locked] = []
    name, version, marker = "", "", ""
    hashes: list[str] = []
    needed_by: list[str] = []

    def end() -> None:
        if name:
            if not hashes:
                raise ValueError(f"{path.name}: {name} has no hash; run make lock")
            found.append(Locked(name, version, marker, tuple(hashes), tuple(needed_by)))

    for line in path.read_text().splitlines():
        if package := _PACKAGE.match(line):
            end()
            name, version, marker = package[1], package[2], package[3] or ""
            hashes, needed_by = [], []
        elif digits := _HASH.match(line):
            hashes.append(digits[1])
        elif (via := _VIA.match(line)) and via[1]:
            needed_by.append(via[1].partition(" (")[0].partition("[")[0])
    end()
    if not found:
        raise ValueError(f"{path.name} names no package; run make lock")
    return found
