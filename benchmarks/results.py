"""Ratios measured in one run: a table on the screen, a file in `benchmarks/results/`.

Machines differ by a factor of three, and one machine drifts by 15 % within an hour. What two ways of doing the same
work take in turns, minutes apart, is comparable; seconds of two days are not.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from service.clock import instant_text, process_now

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("adbc-driver-manager", "fastapi", "jax", "keras", "numpy", "pandas", "psycopg", "pyarrow", "ray",
            "sqlalchemy", "starlette", "tensorflow", "torch", "uvicorn")  # fmt: skip
"""Packages whose versions are recorded where they are installed."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One ratio of two measurements of the same run.

    Attributes:
        name: Key that stays the same between runs, words and dots: `hit.sqlite.1_worker`.
        what: What is divided by what, for a reader.
        runs: The ratio of each repetition.
        low: Lower bound of the median, inclusive; None = no bound.
        high: Upper bound of the median, inclusive; None = no bound.
        better: Whether a `higher` or a `lower` ratio is the better one; by default the side of its bound.
    """

    name: str
    what: str
    runs: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    better: str = ""

    @property
    def value(self) -> float:
        """Median of the repetitions."""
        return median(self.runs)

    @property
    def is_met(self) -> bool:
        """Whether the median is inside the bounds."""
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def direction(self) -> str:
        """Return `higher`, `lower`, or nothing if no side is the better one."""
        return self.better or ("higher" if self.low is not None else "lower" if self.high is not None else "")

    def goal(self) -> str:
        """Return the bounds as text."""
        sides = [f"at least {self.low:g}"] if self.low is not None else []
        return " and ".join(sides + ([f"at most {self.high:g}"] if self.high is not None else [])) or "none"


def publish(
    benchmark: str,
    ratios: Sequence[Ratio],
    figures: Mapping[str, float | str] | None = None,
    folder: Path | None = RESULTS,
) -> int:
    """Print a table of ratios and write them to `benchmarks/results/BENCHMARK.json`.

    Args:
        benchmark: Name of the benchmark; that of the file.
        ratios: The ratios, in the order of the table.
        figures: Absolute figures of this machine by name, for the record; nothing is compared with them.
        folder: Where the file is written; None = nowhere, for a trial with few repetitions.

    Returns:
        Exit status: 1 if a ratio is outside its bounds.
    """
    print("\n| ratio | goal | median (range, n) | |\n|---|---|---|---|")
    for ratio in ratios:
        print(row(ratio))
    for name, figure in (figures or {}).items():
        print(f"{name}: {figure:,.4g}" if isinstance(figure, float) else f"{name}: {figure}")
    if folder is not None:
        folder.mkdir(exist_ok=True)
        path = folder / f"{benchmark}.json"
        path.write_text(json.dumps(document(benchmark, ratios, figures or {}), indent=1) + "\n")
    sys.stdout.flush()
    return int(not all(ratio.is_met for ratio in ratios))


def row(ratio: Ratio) -> str:
    """Return a ratio's line of the table."""
    spread = f"{ratio.value:.3g} ({min(ratio.runs):.3g}-{max(ratio.runs):.3g}, {len(ratio.runs)})"
    return f"| {ratio.what} | {ratio.goal()} | {spread} | {'' if ratio.is_met else '**falls short**'} |"


def document(benchmark: str, ratios: Sequence[Ratio], figures: Mapping[str, float | str]) -> dict[str, object]:
    """Return what is written: ratios, figures, and what they were measured on."""
    return {
        "benchmark": benchmark,
        "measured_at": instant_text(process_now()),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "ratios": {
            ratio.name: {
                "what": ratio.what,
                "value": round(ratio.value, 4),
                "runs": [round(run, 4) for run in ratio.runs],
                "low": ratio.low,
                "high": ratio.high,
                "better": ratio.direction,
                "is_met": ratio.is_met,
            }
            for ratio in ratios
        },
        "figures": dict(figures),
    }


def commit() -> str:
    """Return the commit that is measured; `+` after it = with changes."""
    git = ["git", "-C", str(RESULTS.parent)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    if head.returncode != 0:
        return "unknown"
    # Results that an earlier benchmark wrote do not change the code.
    others = [line for line in changed.stdout.splitlines() if "benchmarks/results/" not in line]
    return head.stdout.strip() + ("+" if others else "")


def machine() -> dict[str, str | int]:
    """Return processor, cores and memory of this machine, without its name."""
    import psutil

    names = [line.partition(":")[2].strip() for line in _processors() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": psutil.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processors() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide speed."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
