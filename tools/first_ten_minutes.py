"""Do what a new user does in the first ten minutes, on a fresh clone, and check what is seen.

    python3 tools/first_ten_minutes.py

Clones this checkout into an empty folder, calls `make run` there, reads the API and the page, stops it with Ctrl-C, and
forecasts from price files of its own. Only content is checked, never seconds; the seconds are printed at the end.
Needs the standard library only: the clone installs what it needs. The page is opened if there is a Chromium.
"""

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 1_500.0
"""Time after which a step counts as hanging; busy machines are slow."""
SCORED = 60
"""Scored sessions that the track record of the demo has at least."""
LINE_COLUMNS = 100


class Failed(Exception):
    """Something that a new user sees is not as it should be; the message says what."""


@dataclass
class Started:
    """A running `make run`.

    Attributes:
        process: Leader of its own process group.
        lines: What it printed, each line with the seconds since the start.
        outputs: Seconds since the start at which anything was printed, progress bars included.
        begin: Monotonic clock at the start.
    """

    process: "subprocess.Popen[bytes]"
    lines: list[tuple[float, str]] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)

    def read(self, terminal: int) -> None:
        """Collect lines until the terminal is closed."""
        rest = ""
        while True:
            try:
                got = os.read(terminal, 65_536).decode(errors="replace")
            except OSError:  # how Linux says that the other side of a terminal is closed
                return
            if not got:
                return
            self.outputs.append(time.monotonic() - self.begin)
            *whole, rest = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", rest + got).replace("\r\n", "\n").split("\n")
            self.lines += [(time.monotonic() - self.begin, line.rpartition("\r")[2]) for line in whole]

    def text(self) -> str:
        """Return all lines."""
        return "\n".join(line for _, line in self.lines)

    def longest_silence(self, until: float) -> float:
        """Return the longest time without output from the start to some seconds after it."""
        times = [0.0, *(at for at in self.outputs if at <= until), until]
        return max(later - earlier for earlier, later in pairwise(times))


def main() -> int:
    """Run all steps; returns the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="tplus-first-"))
    figures: dict[str, float] = {}
    try:
        clone = folder / "tplus"
        copy_checkout(clone)
        watch_the_demo(clone, figures)
        use_own_files(clone, folder)
    except Failed as error:
        sys.stderr.write(f"first ten minutes: {error}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.writelines(f"{name} {value:.1f}\n" for name, value in figures.items())
    sys.stderr.write("the first ten minutes show what they should\n")
    return 0


def copy_checkout(clone: Path) -> None:
    """Clone this checkout; a tree without a repository is copied without what was made in it."""
    if (ROOT / ".git").exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    else:
        shutil.copytree(
            ROOT, clone, ignore=shutil.ignore_patterns(".venv", "var", "*.egg-info", "__pycache__", ".*_cache")
        )


def watch_the_demo(clone: Path, figures: dict[str, float]) -> None:
    """Call `make run`, wait until the network serves with a track record, look at the page, and stop it."""
    port = free_port()
    environment = environment_of_user()
    command = ["make", "--no-print-directory", "run"]
    # A terminal, since people see one: into a pipe the service writes its log.
    own_side, terminal = os.openpty()
    environment |= {"TPLUS_PORT": str(port), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        command, cwd=clone, env=environment, start_new_session=True, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    demo = Started(process)
    threading.Thread(target=demo.read, args=[own_side], daemon=True).start()
    url = f"http://127.0.0.1:{port}"
    try:
        wait(demo, "the page answers", lambda: status_of(f"{url}/") == 200)
        answered = time.monotonic() - demo.begin
        ready = next((at for at, line in demo.lines if line.startswith("setup: .venv is ready")), 0.0)
        figures |= {"seconds_set_up": ready, "seconds_to_page": answered - ready}
        wait(demo, "the LSTM serves with a track record", lambda: serves_with_record(url))
        figures["seconds_to_track_record"] = time.monotonic() - demo.begin - answered
        figures["longest_silence_seconds"] = demo.longest_silence(time.monotonic() - demo.begin)
        check_api(url)
        look_at_page(clone, url)
    finally:
        stop(demo)
    # The service ends with 0; make itself dies of the same Ctrl-C.
    ended_well = process.returncode in (0, 130, -signal.SIGINT)
    check(ended_well, f"make run ended with status {process.returncode}:\n{demo.text()[-2000:]}")
    check("stopped; run again to resume" in demo.text(), f"the last line does not say how to resume:\n{demo.text()}")
    check_terminal(demo)


def check_terminal(demo: Started) -> None:
    """Check the output: no traceback, and one line of at most 100 columns per edition."""
    check("Traceback" not in demo.text(), f"the terminal shows a traceback:\n{demo.text()[-3000:]}")
    editions = [line for _, line in demo.lines if re.match(r"\d{4}-\d\d-\d\d \S+ #\d+ ", line)]
    check(len(editions) >= SCORED, f"the terminal shows {len(editions)} editions:\n{demo.text()[-3000:]}")
    long = [line for line in editions if len(line) > LINE_COLUMNS]
    check(not long, f"lines of editions are over {LINE_COLUMNS} columns: {long[:3]}")


def serves_with_record(url: str) -> bool:
    """Return whether the newest multi-step forecast of AAPL is the LSTM's, with a track record behind it."""
    if status_of(f"{url}/v1/forecasts/AAPL") != 200:
        return False
    multi_step = fetch(f"{url}/v1/forecasts/AAPL")["multi_step"]
    scored = multi_step["steps"][0]["skill"]["n"]
    return bool(multi_step["served_by"]["forecaster"] == "lstm" and scored >= SCORED)


def check_api(url: str) -> None:
    """Check what a developer tries first."""
    forecast = fetch(f"{url}/v1/forecasts/aapl")
    check(forecast["symbol"] == "AAPL", "a symbol in small letters is not found")
    check(forecast["mode"] == "replay", f"the demo's forecasts are in mode {forecast['mode']}")
    first = forecast["multi_step"]["steps"][0]
    bands = {band["level"]: band for band in first["intervals"]}
    check(bands[80]["lower"] < first["point"] < bands[80]["upper"], f"the interval is not around the point: {first}")
    check(first["coverage"] is not None, "there is no measured coverage next to the interval")
    with urlopen(Request(url, method="HEAD"), timeout=60) as answer:
        check(answer.status == 200, "HEAD is not answered")
    with urlopen(f"{url}/v1/forecasts/AAPL/history?format=csv", timeout=60) as answer:
        rows = list(csv.DictReader(io.TextIOWrapper(answer, "utf-8")))
    scored = [row for row in rows if row.get("actual")]
    check(len(scored) >= SCORED, f"the history as CSV has {len(scored)} scored rows")
    try:
        fetch(f"{url}/v1/forecasts/AAPL?foo=1")
    except HTTPError as error:
        problem = error.read().decode()
        check(error.code in (400, 422) and "foo" in problem, f"a wrong parameter is answered with {problem}")
    else:
        raise Failed("a wrong parameter is not refused")


PAGE = """
import sys
from playwright.sync_api import sync_playwright
from tools.find_browser import find_browser, flags
path = find_browser()
if path is None:
    print("no browser")
    raise SystemExit
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=path, args=flags())
    for width, height in ((1440, 1000), (390, 844)):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(sys.argv[1])
        page.wait_for_selector('#chart[data-drawn^="AAPL/"]', timeout=120_000)
        print(" ".join(page.inner_text("main").split()))
    browser.close()
"""


def look_at_page(clone: Path, url: str) -> None:
    """Open the page in Chromium, wide and as on a phone, and look for the answers in its text."""
    python = clone / ".venv" / "bin" / "python"
    if subprocess.run([str(python), "-c", "import playwright"], capture_output=True).returncode:
        python = ROOT / ".venv" / "bin" / "python"  # `make run` installs no tool of the tests
    if not python.exists() or subprocess.run([str(python), "-c", "import playwright"], capture_output=True).returncode:
        sys.stderr.write("the page was not opened: playwright is not installed (make setup-dev)\n")
        return
    done = subprocess.run(
        [str(python), "-c", PAGE, f"{url}/?s=AAPL"], cwd=clone, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    check(done.returncode == 0, f"the page cannot be opened: {done.stderr[-2000:]}")
    if done.stdout.strip() == "no browser":
        sys.stderr.write("the page was not opened: no Chromium was found\n")
        return
    for text in done.stdout.splitlines():
        for answer in ("AAPL", "Forecast for", "80 % interval", "Measured trust", "Made by LSTM", "Next edition"):
            check(answer in text, f"the page does not show {answer}: {text[:500]}")
        inside = re.search(r"(\d+) of (\d+) inside", text)
        check(inside is not None and int(inside[2]) >= SCORED, f"the page shows no track record: {text[:500]}")


def use_own_files(clone: Path, folder: Path) -> None:
    """Forecast from a folder of ordinary price files."""
    prices = folder / "prices"
    prices.mkdir()
    write_prices(prices / "ACME.csv", seed=1)
    write_prices(prices / "EMCA.csv", seed=2)
    (prices / "notes.csv").write_text("what,why\nmilk,coffee\n")
    tplus = clone / ".venv" / "bin" / "tplus"
    environment = environment_of_user() | {
        "TPLUS_SOURCE": f"files:{prices}", "TPLUS_CLOCK": "replay:2018-11-30T23:00:00Z:0",
        "TPLUS_DATA_DIR": str(folder / "data"),
    }  # fmt: skip

    def command(*words: str) -> str:
        done = subprocess.run(
            [str(tplus), *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
        text = done.stdout + done.stderr
        check("Traceback" not in text, f"tplus {' '.join(words)} shows a traceback:\n{text[-2000:]}")
        check(done.returncode == 0 or words[0] == "files", f"tplus {' '.join(words)} failed:\n{text[-2000:]}")
        return text

    listed = command("files", "check", str(prices))
    for name in ("ACME", "EMCA", "notes.csv"):
        check(name in listed, f"tplus files check does not name {name}:\n{listed}")
    environment["TPLUS_SYMBOLS"] = "ACME,EMCA"
    command("pull")
    forecast = command("forecast", "ACME")
    check("ACME" in forecast and "2018-12-03" in forecast, f"tplus forecast does not answer for files:\n{forecast}")


def write_prices(path: Path, seed: int) -> None:
    """Write a seeded walk of weekdays as an ordinary price file: `Date,Open,High,Low,Close,Volume`."""
    draw = random.Random(seed)
    lines, close, day = ["Date,Open,High,Low,Close,Volume"], 100.0, date(2016, 1, 4)
    while day <= date(2018, 12, 14):
        if day.weekday() < 5:
            opened, close = close, close * (1 + draw.gauss(0.0003, 0.012))
            high, low = max(opened, close) * 1.004, min(opened, close) * 0.996
            lines.append(f"{day},{opened:.2f},{high:.2f},{low:.2f},{close:.2f},{draw.randrange(10**5, 10**6)}")
        day += timedelta(days=1)
    path.write_text("\n".join(lines) + "\n")


def environment_of_user() -> dict[str, str]:
    """Return the environment without settings of Tplus, and without one that keeps Python from compiling modules."""
    ours = ("TPLUS_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def wait(demo: Started, what: str, is_so: Callable[[], bool]) -> None:
    """Wait until something is so, while the demo runs."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not is_so():
        check(demo.process.poll() is None, f"make run ended before {what}:\n{demo.text()[-3000:]}")
        check(time.monotonic() < deadline, f"{LIMIT_SECONDS:.0f} s passed before {what}:\n{demo.text()[-3000:]}")
        time.sleep(0.5)


def stop(demo: Started) -> None:
    """Send Ctrl-C to the whole group, as a terminal does, and wait; kill what is left."""
    if demo.process.poll() is None:
        os.killpg(demo.process.pid, signal.SIGINT)
    try:
        demo.process.wait(LIMIT_SECONDS / 10)
    except subprocess.TimeoutExpired:
        os.killpg(demo.process.pid, signal.SIGKILL)
        demo.process.wait()


def fetch(address: str) -> Any:
    """Return the JSON document at an address."""
    with urlopen(address, timeout=60) as answer:
        return json.load(answer)


def status_of(address: str) -> int:
    """Return the status of an address, 0 if nothing listens there."""
    try:
        with urlopen(address, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check(is_so: bool, message: str) -> None:
    """Raise an error with a message unless something is so.

    Raises:
        Failed: It is not so.
    """
    if not is_so:
        raise Failed(message)


if __name__ == "__main__":
    sys.exit(main())
