"""Audit the locked packages and the tracked files; `make audit` runs this.

    .venv/bin/python -m tools.audit

It prints four parts: known vulnerabilities (pip-audit, where its database can be reached; else it says so and does not
fail), licences against an allow-list, secrets in tracked files, and the bills of materials that it writes to
`var/audit`. The exit status is 1 if a part found something.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.audit.licences import check_licences
from tools.audit.lock import ROOT, read_lock
from tools.audit.sbom import find_shape_faults, make_sbom
from tools.audit.secrets_scan import scan, tracked_files
from tools.audit.vulnerabilities import check_vulnerabilities, find_pip_audit

LOCKS = ("base", "run", "gpu", "ray")
"""Locks of the images: what is delivered."""


def main(root: Path = ROOT, out: Path | None = None) -> int:
    """Print the four parts; returns the exit status.

    Args:
        root: The repository.
        out: Folder of the bills of materials; None = `var/audit`.
    """
    found = [*_vulnerabilities(root), *_licences(root), *_secrets(root), *_sboms(root, out or root / "var" / "audit")]
    _say(f"{len(found)} findings")
    return 1 if found else 0


def _vulnerabilities(root: Path) -> list[str]:
    command = find_pip_audit()
    found = []
    for name in (*LOCKS, "dev"):
        result = check_vulnerabilities(root / "requirements" / f"{name}.txt", command)
        if result.not_run is not None:
            _say(f"vulnerabilities: NOT CHECKED: {result.not_run}")
            break
        found += [f"{name}.txt: {each}" for each in result.found]
        _say(f"vulnerabilities: {name}.txt: {len(result.found)} known")
    _list(found)
    return found


def _licences(root: Path) -> list[str]:
    packages = read_lock(root / "requirements" / "dev.txt")
    result = check_licences(packages)
    _say(f"licences: {len(result.found)} packages checked, {len(result.refused)} not allowed")
    if result.absent:
        _say(f"licences: not installed here, so not checked: {', '.join(result.absent)}")
    _say("licences: the packages of gpu.txt alone (CUDA, NVIDIA's own licence) are not installed here, so not checked")
    _list(result.refused)
    return result.refused


def _secrets(root: Path) -> list[str]:
    try:
        names = tracked_files(root)
    except (OSError, subprocess.CalledProcessError):
        _say("secrets: NOT CHECKED: this is not a git repository, or git is not installed")
        return []
    found = list(scan(root, names))
    _say(f"secrets: {len(names)} tracked files scanned, {len(found)} lines found")
    _list(found)
    return found


def _sboms(root: Path, out: Path) -> list[str]:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    out.mkdir(parents=True, exist_ok=True)
    faults = []
    for name in LOCKS:
        packages = read_lock(root / "requirements" / f"{name}.txt")
        document = make_sbom(packages, check_licences(packages).found, version)
        faults += [f"{name}: {each}" for each in find_shape_faults(document)]
        path = out / f"sbom-{name}.cdx.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        _say(f"bill of materials: {path}, {len(packages)} packages")
    _list(faults)
    return faults


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _list(lines: list[str]) -> None:
    for line in lines:
        _say(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
