"""Load by `wrk`: rates of a closed loop, and latencies at a fixed pace."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 16
_MISSING = "wrk is not on this machine; install it (Debian and Ubuntu: apt-get install wrk) and run this again"

_SCRIPT = """
local requests, place = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    local path, tag = line:match("^(%S+)%s?(.*)$")
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    if tag ~= "" then headers["If-None-Match"] = tag end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end
function request()
  place = place % #requests + 1
  return requests[place]
end
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\\nJSON {"requests": %d, "microseconds": %d, "failed": %d, "p99": %d}\\n', summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(99)))
end
"""
_PACE = """
function delay()
  return math.floor(-math.log(1 - math.random()) * MEAN + 0.5)
end
"""


class NoWrk(Exception):
    """wrk is not installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is requested.

    Attributes:
        url: Address of the server.
        paths: Paths with queries, requested in turn.
        headers: Headers of every request.
        tags: Entity tags that the client holds, one per path; empty = none.
    """

    url: str
    paths: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered.

    Attributes:
        rate: Requests per second.
        p99: 99th percentile of the latency, seconds.
    """

    rate: float
    p99: float


def run_wrk(
    load: Load, seconds: float, folder: Path, *, connections: int = CONNECTIONS, rate: float | None = None
) -> Answered:
    """Send requests for a while.

    Args:
        load: What is requested.
        seconds: How long; whole seconds.
        folder: For the script and the paths.
        connections: Open connections.
        rate: Requests per second, at random times; None = each connection sends as soon as it has an answer.

    Raises:
        NoWrk: it is not installed.
        RuntimeError: a request failed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise NoWrk(_MISSING)
    pace = "" if rate is None else _PACE.replace("MEAN", f"{1000 * connections / rate:.4f}")
    script, listed = folder / "requests.lua", folder / "requests.txt"
    script.write_text(_SCRIPT + pace)
    tags = load.tags or [""] * len(load.paths)
    listed.write_text("".join(f"{path} {tag}\n" for path, tag in zip(load.paths, tags, strict=True)))
    headers = [part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{round(seconds)}s",
        *headers,
        f"-s{script}",
        load.url,
        str(listed),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("JSON ")]
    if not lines:
        raise RuntimeError(f"wrk failed: {done.stderr or done.stdout}")
    figures = json.loads(lines[0].removeprefix("JSON "))
    if figures["failed"]:
        raise RuntimeError(f"{figures['failed']} of {figures['requests']} requests to {load.url} failed")
    return Answered(figures["requests"] / figures["microseconds"] * 1e6, figures["p99"] / 1e6)
