"""The Dockerfile without an engine: what it copies is there, what it installs installs, and nothing runs as root."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.dockerfile import copied, ignored, stages
from tests.support.paths import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
STAGES = stages(TEXT)
IGNORE = (ROOT / ".dockerignore").read_text()
TARGETS = ("api", "trainer")


def tracked(path: str) -> list[str]:
    """Files of the checkout at or below a path, those not added yet included."""
    if not (ROOT / ".git").exists():
        found = (ROOT / path).rglob("*") if (ROOT / path).is_dir() else [ROOT / path]
        return [each.relative_to(ROOT).as_posix() for each in found if each.is_file()]
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", path]
    return subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def pins(lock: str) -> dict[str, set[str]]:
    """Pinned lines by package: version, marker and hashes."""
    entries = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / "requirements" / lock).read_text())[1:]
    return {entry.split("==")[0].split("[")[0]: set(re.findall(r"==\S+|sha256:\w+", entry)) for entry in entries}


SOURCES = [source for stage in STAGES.values() for sources, _ in copied(stage) for source in sources]


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_copied_exists_and_reaches_the_engine(source: str) -> None:
    assert [path for path in tracked(source) if not ignored(path, IGNORE)], f"{source} is not in the build context"


def test_everything_the_package_needs_is_copied() -> None:
    assert {source.rstrip("/") for source in SOURCES} == {
        *("requirements", "pyproject.toml", "README.md", "LICENSE", "migrations", "models", "service")
    }


@pytest.mark.parametrize(
    "path",
    ["secrets/database_password", ".git/config", ".env", "var/tplus-sample-replay.db", "tests/conftest.py", ".venv/x"],
)
def test_nothing_private_reaches_the_engine(path: str) -> None:
    assert ignored(path, IGNORE)


def test_a_rule_below_a_folder_is_read() -> None:
    assert ignored("service/__pycache__/a.pyc", IGNORE)
    assert not ignored("service/app.py", IGNORE)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_without_rights(target: str) -> None:
    assert STAGES[target].instructions[-1].word == "CMD"
    assert STAGES[target].of("USER") == ["10001:10001"]
    assert STAGES[STAGES[target].base].of("USER") == []
    (making,) = STAGES["base"].of("RUN")
    assert "useradd --uid 10001 --gid tplus" in making
    assert "install --directory --owner tplus --group tplus --mode 0750 /var/lib/tplus" in making


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_no_tool_of_its_building(target: str) -> None:
    assert [text.split()[0] for text in STAGES[target].of("COPY")] == [f"--from=build-{target}"]
    assert STAGES[target].of("RUN") == []


def test_no_secret_and_no_address_stands_in_a_layer() -> None:
    assert "ADD" not in {each.word for stage in STAGES.values() for each in stage.instructions}
    assert not re.search(r"(?i)password|secret|token|https?://|--(extra-)?index|--find-links", TEXT)


def test_the_base_can_be_pinned_by_its_digest() -> None:
    assert re.search(r"(?m)^ARG PYTHON_IMAGE=python:3\.11-slim-[a-z]+$", TEXT)
    outside = {stage.base for stage in STAGES.values()} - set(STAGES)
    assert outside == {"${PYTHON_IMAGE}"}


def test_the_api_image_has_no_tensorflow_and_the_trainer_has() -> None:
    assert STAGES["build-trainer"].base == "build-api"
    assert not {"tensorflow", "keras"} & set(pins("base.txt"))
    assert {"tensorflow", "keras"} <= set(pins("run.txt"))
    assert {"tensorflow", "keras", "nvidia-cudnn-cu12"} <= set(pins("gpu.txt"))


@pytest.mark.parametrize("lock", ["run.txt", "gpu.txt", "ray.txt"])
def test_the_trainers_lock_adds_to_the_apis_and_changes_nothing(lock: str) -> None:
    base, trainer = pins("base.txt"), pins(lock)
    assert {package: trainer.get(package) for package in base} == base


def test_the_trainers_lock_is_what_these_tests_run_on() -> None:
    # Its install is not repeated in a clean folder, TensorFlow is 1.8 GB: this environment was made from the same pins.
    lines = [line.rstrip(" \\") for line in (ROOT / "requirements/run.txt").read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if re.match(r"[a-z0-9]", line)]
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    found = {each.name: importlib.metadata.version(each.name) for each in wanted}
    assert [name for each in wanted for name in [each.name] if not each.specifier.contains(found[name])] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_apis_install_lines_work_in_a_clean_folder(tmp_path: Path) -> None:
    build, prefix = tmp_path / "build", tmp_path / "opt" / "tplus"
    stage = STAGES["build-api"]
    assert stage.of("WORKDIR") == ["/build"]
    build.mkdir()
    for each in stage.instructions:
        if each.word == "COPY":
            copy(each.text, build)
        elif each.word == "RUN":
            line = each.text.replace("/opt/tplus", str(prefix)).replace("python -m venv", f"{sys.executable} -m venv")
            # Byte code of 10,000 files takes half of the time, and Python makes what it needs itself.
            environment = os.environ | {"PIP_COMPILE": "0"}
            done = subprocess.run(["sh", "-c", line], cwd=build, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{each.text}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    shutil.rmtree(build)
    environment = {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "TPLUS_DATA_DIR": str(tmp_path / "data")}

    def tplus(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(prefix / "bin" / "tplus"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    migrated = tplus("db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    assert migrated.stdout.endswith("tplus-sample-replay.db is at migration 1012\n")
    assert tplus("health", "scheduler").returncode == 1
    loaded = "import service.app, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([str(prefix / "bin" / "python"), "-c", loaded], cwd=tmp_path).returncode == 0
    assert not list(prefix.glob("lib/python*/site-packages/tensorflow"))


def copy(text: str, build: Path) -> None:
    """What COPY does with the build context, as git and .dockerignore leave it."""
    *sources, destination = text.split()
    for source in sources:
        for path in tracked(source):
            if not ignored(path, IGNORE):
                below = Path(path).relative_to(source) if source.endswith("/") else Path(path).name
                target = build / destination / below
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, target)
