"""The documents say what the code does: settings, commands, targets, routes and files that exist."""

import re
from pathlib import Path

import pytest

from service.app import create_app
from service.cli.main import COMMANDS
from service.settings import Settings
from tests.support.paths import ROOT
from tools.settings_table import README, default, renewed, table

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
)


def test_the_readme_lists_every_setting_with_its_default_and_meaning() -> None:
    lines = README.read_text().splitlines()
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} has no description"
        assert f"| `TPLUS_{name.upper()}` | {default(field)} | {field.description} |" in lines


def test_the_readme_lists_no_setting_that_is_gone() -> None:
    named = set(re.findall(r"^\| `(TPLUS_[A-Z_]+)` \|", README.read_text(), re.MULTILINE))
    assert named == {f"TPLUS_{name.upper()}" for name in Settings.model_fields}


def test_the_readmes_table_is_the_scripts() -> None:
    assert README.read_text() == renewed(README.read_text())


def test_a_default_is_shown_as_one_would_set_it() -> None:
    lines = table().splitlines()
    assert any(line.startswith("| `TPLUS_PORT` | `8000` | ") for line in lines)
    assert any(line.startswith("| `TPLUS_SEEDS` | `0,1,2` | ") for line in lines)
    assert any(line.startswith("| `TPLUS_DATABASE_URL` | unset | ") for line in lines)


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold the lines"):
        renewed("# no table here\n")


def test_the_readme_names_every_command() -> None:
    text = README.read_text()
    assert COMMANDS
    for name in COMMANDS:
        assert re.search(rf"^\| .*`(tplus )?{name}\b", text, re.MULTILINE), f"the README has no line on {name}"


def test_the_readme_names_every_route(tmp_path: Path) -> None:
    text = README.read_text()
    paths = create_app(Settings(data_dir=tmp_path)).openapi()["paths"]
    for path in paths:
        assert re.sub(r"/\{id\}$", "", path) in text, f"the README does not name {path}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_named_in_a_document_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / document).read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_files_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_changelog_has_an_unreleased_part_first() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


@pytest.mark.parametrize("kept", ["CONTRIBUTING.md"])
def test_files_named_in_a_document_exist(kept: str) -> None:
    named = re.findall(
        r"`((?:models|service|migrations|tests|tools|benchmarks)/[\w./]+\.(?:py|md))`", (ROOT / kept).read_text()
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
