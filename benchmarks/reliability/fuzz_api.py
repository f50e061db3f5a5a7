"""Schemathesis against the real API, reads and writes, on SQLite and PostgreSQL, with every check.

The API runs in a process of its own over a filled database, with a key of every scope; the NUL byte is allowed in every
text. At the end a planted route that answers 500 for one input must be found. Run from the repository's root:

    python -m benchmarks.reliability.fuzz_api [--examples 120] [--seed 1] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: 10,000 cases or more on both databases together, no
answer of 5xx, no breach of the schema, the planted 500 is found. `GET /v1/events` is left out because it never ends.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from service.access.keys import NewKey, create_key
from service.clock import process_now
from service.db.migrate import upgrade
from service.db.session import Database
from service.vocabulary import Scope
from tests.support.api.ledger_factory import fill
from tests.support.postgres import NoPostgres, Options, find_binaries, free_port, running_server

CASES = 10_000
EXAMPLES = 120
LIMIT_SECONDS = 3000
SERVICE = (sys.executable, "-m", "service.app")
PLANTED = """
import sys
import uvicorn
from service.app import create_app
from service.settings import load_settings
settings = load_settings()
app = create_app(settings)
@app.get("/v1/planted")
def get_planted(divisor: int = 1) -> int:
    return 7 // divisor
uvicorn.run(app, host="127.0.0.1", port=settings.port, log_level="warning", access_log=False)
"""
"""An application with a route that fails for `divisor=0`."""

_REPOSITORY = Path(__file__).parents[2]
_CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "503"]

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
"""A 422 of schema-valid data, and a 503 (the data are not there yet), are tested by `fuzz_hooks` instead."""
_SETTINGS = {
    "TPLUS_MAX_OPEN_REQUESTS": "100000",
    "TPLUS_PULLS_PER_HOUR": "100000",
    "TPLUS_PULLS_PER_DAY": "1000000",
    "TPLUS_RATE_LIMIT": "off",
    "TPLUS_RATE_LIMIT_WRITES": "off",
}


@dataclass(frozen=True, slots=True)
class Fuzz:
    """How the API is tested.

    Attributes:
        examples: Most generated cases of an operation in the fuzzing phase; 0 = the coverage phase alone.
        seed: Seed of the generation.
        paths: Paths that are tested; none = all.
    """

    examples: int
    seed: int
    paths: tuple[str, ...] = ()


@contextmanager
def served(url: str, folder: Path, command: Sequence[str] = SERVICE) -> Iterator[tuple[str, str]]:
    """Serve a new, filled database in a process; yields the API's address and a key."""
    database = Database(url)
    upgrade(database)
    fill(database)
    with database.transaction() as connection:
        _, token = create_key(connection, NewKey("fuzz", frozenset(Scope)), process_now())
    database.close()
    port = free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    own = {"TPLUS_DATABASE_URL": url, "TPLUS_DATA_DIR": str(folder), "TPLUS_PORT": str(port)}
    environment = plain | _SETTINGS | own | {"PYTHONPATH": str(_REPOSITORY)}
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=_REPOSITORY)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address, token
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + 120
    while monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{address}/healthz", timeout=5)
        except httpx.TransportError:
            sleep(0.1)
        else:
            return
    raise RuntimeError("the API did not start")


def fuzz(address: str, token: str, folder: Path, how: Fuzz) -> dict[str, Any]:
    """Run Schemathesis against an address; returns the number of cases and of failures by their titles."""
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(_CONFIG)
    report.unlink(missing_ok=True)
    phases = "examples,coverage,fuzzing" if how.examples else "examples,coverage"
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run",
        f"{address}/openapi.json", "--header", f"Authorization: Bearer {token}", "--checks", "all", "--phases", phases,
        "--seed", str(how.seed), "--request-timeout", "60", "--continue-on-failure",
        "--max-examples", str(max(how.examples, 1)), "--suppress-health-check", "all", "--no-shrink",
        "--report", "json", "--report-json-path", str(report),
    ]  # fmt: skip
    for path in how.paths:
        command += ["--include-path", path]
    if not how.paths:
        command += ["--exclude-path", "/v1/events"]
    hooks = {"SCHEMATHESIS_HOOKS": "benchmarks.reliability.fuzz_hooks", "PYTHONPATH": str(_REPOSITORY)}
    environment = {**os.environ, **hooks}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=LIMIT_SECONDS, check=False
    )
    (folder / "schemathesis.log").write_text(done.stdout + done.stderr)
    if not report.exists():
        raise RuntimeError(f"Schemathesis did not run: {done.stderr[-500:] or done.stdout[-500:]}")
    document = json.loads(report.read_text())
    failures = {each["title"]: each["count"] for each in document["failures"]}
    if document["errors"]:
        failures["errors of the tool"] = len(document["errors"])
    return {
        "cases": document["test_cases"]["generated"],
        "operations": document["operations"]["tested"],
        "failures": failures,
    }


def finds_planted(url: str, folder: Path, seed: int) -> bool:
    """Return whether the planted 500 is found."""
    with served(url, folder, (sys.executable, "-c", PLANTED)) as (address, token):
        found = fuzz(address, token, folder, Fuzz(50, seed, ("/v1/planted",)))
    return "Server error" in found["failures"]


def misses(figures: dict[str, Any], cases: int) -> list[str]:
    """Return one sentence per bar that is missed."""
    found = []
    databases = {name: figures[name] for name in ("sqlite", "postgresql") if name in figures}
    if "postgresql" not in databases:
        found.append("PostgreSQL was not tested")
    count = sum(each["cases"] for each in databases.values())
    if count < cases:
        found.append(f"{count} cases of {cases}")
    for name, each in databases.items():
        found += [f"{name}: {number} x {title}" for title, number in each["failures"].items()]
    if not figures["planted_found"]:
        found.append("the planted 500 was not found")
    return found


def _new_folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def measure(folder: Path, how: Fuzz) -> dict[str, Any]:
    """Test both databases and the planted fault; returns the figures."""
    figures: dict[str, Any] = {"examples": how.examples, "seed": how.seed}
    own = _new_folder(folder, "sqlite")
    with served(f"sqlite:///{own / 'fuzz.db'}", own) as (address, token):
        figures["sqlite"] = fuzz(address, token, own, how)
    try:
        with running_server(find_binaries(), Options(command=())) as running:
            own = _new_folder(folder, "postgresql")
            url = running.databases.url(running.databases.create())
            with served(url, own) as (address, token):
                figures["postgresql"] = fuzz(address, token, own, how)
    except NoPostgres as error:
        sys.stderr.write(f"{error}\n")
    own = _new_folder(folder, "planted")
    figures["planted_found"] = finds_planted(f"sqlite:///{own / 'fuzz.db'}", own, how.seed)
    return figures


def main() -> int:
    """Run the trial; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="most cases of an operation while fuzzing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the logs; it must be empty")
    parser.add_argument("--quick", action="store_true", help="the coverage phase alone")
    given = parser.parse_args()
    begun = monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        figures = measure(folder, Fuzz(0 if given.quick else given.examples, given.seed))
    missed = misses(figures, 2000 if given.quick else CASES)
    print(json.dumps({**figures, "seconds": round(monotonic() - begun), "missed": missed}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
