"""What is no Python file reaches an installed copy: package-data of pyproject.toml names every one."""

import tomllib
from pathlib import Path

from tests.support.paths import ROOT


def test_every_data_file_of_a_package_is_named() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named: set[Path] = set()
    for package, patterns in document["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            found = set((ROOT / package.replace(".", "/")).glob(pattern))
            assert found, f"{package}: {pattern} names no file"
            named |= found
    held = {
        path
        for folder in ("service", "models", "migrations")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert sorted(str(path.relative_to(ROOT)) for path in held - named) == []
