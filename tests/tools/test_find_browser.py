"""Finding a browser without starting a process."""

import sys
from pathlib import Path

import pytest

from tools.find_browser import NAMES, find_browser, main


@pytest.fixture
def no_system_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine whose programs are in one folder; returns the folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_named_browser_has_precedence(no_system_browser: Path, tmp_path: Path) -> None:
    program(no_system_browser / "chromium")
    mine = program(tmp_path / "mine")
    assert find_browser(str(mine), tmp_path) == str(mine)


def test_a_missing_named_browser_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"TPLUS_BROWSER names .*gone, which is not a program on this machine"):
        find_browser(str(tmp_path / "gone"), tmp_path)
    assert main([str(tmp_path / "gone")]) == 1
    assert capsys.readouterr().err.startswith("browser: TPLUS_BROWSER names ")


@pytest.mark.parametrize("name", NAMES)
def test_the_systems_browser_is_found_by_each_of_its_names(no_system_browser: Path, tmp_path: Path, name: str) -> None:
    assert find_browser("", tmp_path) is None
    there = program(no_system_browser / name)
    assert find_browser("", tmp_path) == str(there)


@pytest.mark.parametrize("folder", ["chromium-1000/chrome-linux", "chromium-1000/chrome-linux64"])
def test_playwrights_browser_is_the_last_choice(no_system_browser: Path, tmp_path: Path, folder: str) -> None:
    kept = tmp_path / ".cache" / "ms-playwright" / folder / "chrome"
    kept.parent.mkdir(parents=True)
    kept.write_text("not a program")
    assert find_browser("", tmp_path) is None
    program(kept)
    assert find_browser("", tmp_path) == str(kept)


def test_with_a_browser_nothing_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([sys.executable]) == 0
    assert capsys.readouterr().err == ""
