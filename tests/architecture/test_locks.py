"""The lock files: complete, hashed, and without an address."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.source_tree import ROOT
from tools.setup_env import count_pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(kind: str) -> dict[str, list[str]]:
    """Versions by package of a lock."""
    found: dict[str, list[str]] = {}
    for package, version in re.findall(
        r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==(\S+)", lock(kind).read_text(), re.MULTILINE
    ):
        found.setdefault(package, []).append(version)
    return found


def lock(kind: str) -> Path:
    return ROOT / "requirements" / f"{kind}.txt"


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("base", PROJECT["dependencies"]),
        ("run", [*PROJECT["dependencies"], *EXTRAS["tf"]]),
        ("gpu", [*PROJECT["dependencies"], *EXTRAS["gpu"]]),
        ("ray", [*PROJECT["dependencies"], *EXTRAS["tf"], *EXTRAS["ray"]]),
        ("backtest", [*PROJECT["dependencies"], *EXTRAS["tf"], *EXTRAS["backtest"]]),
        ("dev", [*PROJECT["dependencies"], *EXTRAS["tf"], *EXTRAS["dev"]]),
    ],
)
def test_every_dependency_is_pinned_within_its_bounds(kind: str, wanted: list[str]) -> None:
    locked = pins(kind)
    for requirement in map(Requirement, wanted):
        versions = locked.get(requirement.name.lower().replace("_", "-"), [])
        assert versions, f"{requirement.name} is not in the {kind} lock; run make lock"
        assert all(requirement.specifier.contains(version) for version in versions)


def test_tests_run_what_users_run() -> None:
    run, dev = pins("run"), pins("dev")
    assert {package: dev.get(package) for package in run} == run
    backtest = pins("backtest")
    assert {package: backtest.get(package) for package in run} == run
    assert {package: dev.get(package) for package in backtest} == backtest
    cluster = pins("ray")
    assert {package: cluster.get(package) for package in run} == run
    assert {package: dev.get(package) for package in cluster} == cluster


def test_each_image_installs_the_versions_that_are_tested() -> None:
    base, run, gpu = pins("base"), pins("run"), pins("gpu")
    assert {package: run.get(package) for package in base} == base
    assert {package: gpu.get(package) for package in run} == run
    assert {package for package in gpu if not package.startswith("nvidia-")} == set(run)


@pytest.mark.parametrize("kind", ["base", "run", "gpu", "ray", "backtest", "dev", "uv"])
def test_every_pin_has_a_hash_and_no_file_an_address(kind: str) -> None:
    text = lock(kind).read_text()
    entries = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    assert len(entries) == count_pins(text) == sum(map(len, pins(kind).values()))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|--(extra-)?index|--find-links|^-i\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    ["Makefile", ".ci/run", ".pre-commit-config.yaml", "pyproject.toml", "tools/setup_env.py", "Dockerfile"],
)
def test_no_address_stands_in_what_sets_the_environment_up(path: str) -> None:
    assert not re.search(r"https?://", (ROOT / path).read_text())
