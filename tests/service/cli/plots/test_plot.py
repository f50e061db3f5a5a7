"""`tplus plot`: pages, pictures by the real browser, JSON, and error messages."""

import json
import re
import shutil
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from choreographer.browsers import chromium
from typer.testing import CliRunner

from service.cli.plots.image import PictureError, find_browser
from service.cli.plots.plot import app
from service.db.session import Database
from service.errors import DatabaseError, SettingsError, StampMismatch, TplusError
from tests.support.api.ledger_factory import fill
from tests.support.command import CommandLine
from tests.support.dashboard.browser import browser_path, look, open_browser

NAME = "tplus-sample-replay.db"


@pytest.fixture(scope="module")
def filled_once(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with forecasts of AAPL, for copying."""
    path = tmp_path_factory.mktemp("plot") / NAME
    shutil.copyfile(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    fill(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture
def command(filled_once: Path, tmp_path: Path) -> CommandLine:
    shutil.copyfile(filled_once, tmp_path / NAME)
    return CommandLine(tmp_path, {})


def here(command: CommandLine, *words: str) -> str:
    """Run the command in this process, in a tenth of the time; its errors are raised."""
    done = CliRunner().invoke(app, list(words), env=command.environment, catch_exceptions=False)
    return done.stdout


def test_json_equals_the_answer_of_the_route(command: CommandLine, tmp_path: Path) -> None:
    answer = command.run("plot", "AAPL", "--out", "aapl.json", "--as-of", "2018-05-31", "--theme", "dark")
    assert answer.status == 0, answer.error
    assert answer.out.startswith("aapl.json: AAPL: forecast as of 2018-05-31. ")
    document = json.loads((tmp_path / "aapl.json").read_text())
    assert (document["symbol"], document["as_of"], document["edition"]) == ("AAPL", "2018-05-31", 1)
    assert document["figure"]["layout"]["paper_bgcolor"] == "#11161c"


def test_a_page_draws_itself_offline_in_a_real_browser(command: CommandLine, tmp_path: Path) -> None:
    answer = command.run("plot", "AAPL", "--out", "aapl.html", "--json")
    assert answer.status == 0, answer.error
    assert answer.document["as_of"] == "2018-06-01"
    text = (tmp_path / "aapl.html").read_text(encoding="utf-8")
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http" not in own
    assert "src=" not in own
    with open_browser() as browser, look(browser, tmp_path.as_uri()) as watched:
        page = watched.go("/aapl.html")
        page.wait_for_selector("body[data-drawn]")
        assert page.locator("#readout").inner_text().startswith("2018-06-04 · T · 101.01 USD (+1.0 %)")
        assert page.locator("#figure .fills path").count() == 3
        box = page.locator("#figure .nsewdrag").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_function("document.getElementById('readout').textContent.includes('open 100.00')")
        page.get_by_text("As a table").click()
        assert page.locator("tbody tr").count() == 3


def test_a_png_has_twice_the_requested_pixels(command: CommandLine, tmp_path: Path) -> None:
    drawn = command.having(BROWSER=browser_path())
    answer = drawn.run("plot", "AAPL", "--out", "aapl.png", "--width", "600", "--height", "400")
    assert (answer.status, answer.error) == (0, "")
    content = (tmp_path / "aapl.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1200, 800)
    assert len(content) > 20_000  # an empty one has about 5,000


def test_an_svg_has_the_texts_of_the_figure(command: CommandLine, tmp_path: Path) -> None:
    answer = command.having(BROWSER=browser_path()).run("plot", "AAPL", "--kind", "skill", "--out", "aapl.svg")
    assert (answer.status, answer.error) == (0, "")
    root = ET.fromstring((tmp_path / "aapl.svg").read_text(encoding="utf-8"))
    words = " ".join(root.itertext())
    assert "AAPL: skill vs the random walk" in words
    assert "10.0 % better at T (p 0.04)" in words
    assert "worse than the random walk ▲" in words


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("AAPL", "--out", "a.gif"), 2, "plot: --out a.gif must end in .html, .png, .svg, .json"),
        (("ZZZZ", "--out", "a.html"), 1, "there is no symbol ZZZZ; see"),
        (("MSFT", "--out", "a.html"), 1, "MSFT has 41 of the 60 bars the random walk needs"),
        (("AAPL", "--out", "no/such/a.html"), 1, "no/such/a.html cannot be written: No such file or directory"),
    ],
)
def test_an_impossible_request_is_one_sentence(
    command: CommandLine, words: tuple[str, ...], status: int, message: str
) -> None:
    with pytest.raises(TplusError) as refused:
        here(command, *words)
    assert message in str(refused.value)
    assert isinstance(refused.value, SettingsError) == (status == 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("AAPL",), "Missing option '--out'; see tplus plot --help"),
        (("AAPL", "--out", "a.html", "--as-of", "monday"), "'--as-of': 'monday' is not a date; write it as 2015-01-02"),
        (("AAPL", "--out", "a.png", "--width", "9"), "'--width': must be 100 or more"),
        (("AAPL", "--out", "a.html", "--kind", "pie"), "'--kind': 'pie' is not one of 'forecast', 'versus', 'skill'"),
        (("AAPL", "MSFT", "--out", "a.html"), "Got unexpected extra argument(s) (MSFT)"),
    ],
)
def test_wrong_options_are_one_sentence(command: CommandLine, words: tuple[str, ...], message: str) -> None:
    answer = command.run("plot", *words)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.sentence


def test_help_names_every_option_and_its_default(command: CommandLine) -> None:
    shown = command.run("plot", "-h")
    assert shown.status == 0
    for words in ("--as-of", "--strategy", "--json", "[default: forecast]", "[default: 3m]", "[default: 1000]"):
        assert words in shown.out


def test_a_missing_database_or_one_of_another_source_is_reported(command: CommandLine, tmp_path: Path) -> None:
    empty = CommandLine(tmp_path / "empty", {})
    empty.folder.mkdir()
    with pytest.raises(DatabaseError, match="has no tables yet"):
        here(empty, "AAPL", "--out", "a.html")
    foreign = command.having(DATABASE_URL=f"sqlite:///{tmp_path / NAME}", CLOCK="system")
    with pytest.raises(StampMismatch, match="was made for source sample with the replay clock"):
        here(foreign, "AAPL", "--out", "a.html")


def test_a_missing_named_browser_is_reported_with_advice(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = command.having(BROWSER="no-such-browser").run("plot", "AAPL", "--out", "a.png")
    assert answer.status == 2
    assert answer.sentence.startswith(
        "TPLUS_BROWSER names no-such-browser, which is not a program on this machine; install chromium"
    )
    assert answer.sentence.endswith("--out with .html needs none")
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    for unset in (command, command.having(BROWSER="")):
        with pytest.raises(
            PictureError, match="BROWSER_PATH names /nowhere/chromium, which is not a program on this machine"
        ):
            here(unset, "AAPL", "--out", "a.png")
    assert here(command, "AAPL", "--out", str(command.folder / "a.html")).startswith(str(command.folder))


def test_a_machine_without_browsers_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "chromium_based_browsers", {})
    with pytest.raises(PictureError, match=r"no Chromium or Chrome was found .* install chromium .* \.html needs none"):
        find_browser(None)


def test_a_too_small_picture_is_refused_before_a_browser_starts(command: CommandLine) -> None:
    words = ("AAPL", "--out", "a.png", "--width", "300", "--height", "200")
    with pytest.raises(
        SettingsError, match=r"--height 200 is too small for the plot .* with --width 300 use \d+ or more"
    ):
        here(command.having(BROWSER="no-such-browser"), *words)


def test_a_failing_browser_is_reported(command: CommandLine) -> None:
    answer = command.having(BROWSER=shutil.which("true") or "true").run("plot", "AAPL", "--out", "a.png")
    assert answer.status == 1
    assert "ended before the picture was drawn; install chromium" in answer.sentence
