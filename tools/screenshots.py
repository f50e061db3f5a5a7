"""Take the pictures of docs/images: the real service on the bundled sample, at an instant under replay.

    .venv/bin/python -m tools.screenshots

The first run replays some weeks with their trainings, which takes some minutes. The database is kept in
`var/screenshots/service`, so that later runs only take the pictures.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, expect

from benchmarks.speed.api import running
from benchmarks.speed.page import opened
from tools.replay_sample import SampleReplay

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "images"
FOLDER = ROOT / "var" / "screenshots" / "service"
START = "2012-11-01T22:30:00Z"
UNTIL = datetime(2013, 2, 15, 22, 30, tzinfo=UTC)
"""Friday evening, two weeks before the sample ends: some 70 sessions are forecast and scored."""
SYMBOL = "AAPL"
LIMIT_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its name, the window's size in pixels, and the system's theme."""

    name: str
    size: tuple[int, int]
    theme: Literal["light", "dark"]


PICTURES_TO_TAKE = (
    Picture("dashboard-light", (1360, 1000), "light"),
    Picture("dashboard-dark", (1360, 1000), "dark"),
    Picture("dashboard-narrow", (390, 844), "light"),
)


def main() -> int:
    """Replay and take the pictures; returns the exit status."""
    database = SampleReplay(FOLDER, START, UNTIL).run()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with running(database) as (client, _process, _seconds), opened() as browser:
        address = str(client.base_url).rstrip("/") + f"/?s={SYMBOL}"
        large = [path for picture in PICTURES_TO_TAKE if not is_within_limit(path := take(browser, address, picture))]
    for path in large:
        sys.stderr.write(f"{path} is over {LIMIT_BYTES} bytes; take a smaller window\n")
    return int(bool(large))


def take(browser: Browser, address: str, picture: Picture) -> Path:
    """Take one picture of the page once its chart is drawn; returns its file."""
    width, height = picture.size
    path = PICTURES / f"{picture.name}.png"
    with browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=picture.theme, locale="en-GB", reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        page.goto(address)
        expect(page.locator(f'#chart[data-drawn^="{SYMBOL}/"]')).to_be_visible(timeout=30_000)
        expect(page.locator("#connection")).to_contain_text("live")
        page.screenshot(path=path, animations="disabled")
    return path


def is_within_limit(path: Path) -> bool:
    """Return whether a picture is small enough for the repository."""
    return path.stat().st_size <= LIMIT_BYTES


if __name__ == "__main__":
    sys.exit(main())
