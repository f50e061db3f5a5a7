"""Run all benchmarks one after another and compare their figures with the goals: `make bench`.

    python -m benchmarks.run [NAME ...]

Each benchmark runs in its own process, so that none inherits another's memory or warm caches. Exits with 1
if a figure is missing or outside its bounds.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and its bounds.

    Attributes:
        what: Description of the figure.
        read: Returns the figure from the output of the benchmark.
        low: Lower bound (inclusive), None = no bound.
        high: Upper bound (inclusive), None = no bound.
        unit: Unit of the value and its bounds.
    """

    what: str
    read: Callable[[str], float]
    low: float | None
    high: float | None
    unit: str

    def goal(self) -> str:
        """Return the bounds as text."""
        if self.low is not None and self.high is not None:
            return f"{self.low:,.4g} to {self.high:,.4g} {self.unit}"
        if self.low is not None:
            return f"at least {self.low:,.6g} {self.unit}"
        return f"at most {self.high:,.4g} {self.unit}"

    def is_met(self, value: float) -> bool:
        """Return whether a value is inside the bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: a module that runs as a program, and the figures that it prints.

    One without figures publishes ratios (`benchmarks.results`) and its exit status says whether they are met.
    """

    name: str
    module: str
    figures: tuple[Figure, ...]


def in_json(key: str) -> Callable[[str], float]:
    """Return a reader of a top-level number of the JSON document that a benchmark prints."""
    return lambda text: float(json.loads(text[text.index("{") : text.rindex("}") + 1])[key])


def on_line(name: str) -> Callable[[str], float]:
    """Return a reader of the number after a name in `name value unit bar` lines."""

    def read(text: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"no line begins with {name}")
        return float(found[1])

    return read


def in_rows(key: str) -> Callable[[str], float]:
    """Return a reader of the largest number under a key in the JSON list of objects that a benchmark prints."""
    return lambda text: max(float(row[key]) for row in json.loads(text[text.index("[") : text.rindex("]") + 1]))


def near(goal: float) -> tuple[float, float]:
    """Return bounds of half a percent on both sides of a goal."""
    return goal * 0.995, goal * 1.005


BENCHES: tuple[Bench, ...] = (
    Bench(
        "accuracy",
        "benchmarks.accuracy.pooled",
        (
            Figure("pinball of the pooled LSTM, 2017-2018", in_json("pinball"), *near(38.53), "bp"),
            Figure("pinball of the random walk, 2017-2018", in_json("random_walk_pinball"), *near(39.11), "bp"),
        ),
    ),
    Bench(
        "training",
        "benchmarks.speed.training",
        (Figure("both strategies, 3 seeds, 51 stocks, start-up included", in_json("seconds"), None, 120.0, "s"),),
    ),
    Bench("training_rates", "benchmarks.speed.training_rates", ()),
    Bench("networks", "benchmarks.speed.networks", ()),
    Bench(
        "refit",
        "benchmarks.accuracy.refit",
        (
            Figure("weekly refit from served weights / new training, pinball", in_rows("loss_ratio"), None, 1.001, ""),
            Figure("the same, seconds", in_rows("seconds_ratio"), None, 0.2, ""),
        ),
    ),
    Bench(
        "first_ten_minutes",
        "tools.first_ten_minutes",
        (
            Figure("fresh clone: set-up, warm package cache", on_line("seconds_set_up"), None, 60.0, "s"),
            Figure("then: the page answers", on_line("seconds_to_page"), None, 5.0, "s"),
            Figure("then: the LSTM serves, 60 sessions scored", on_line("seconds_to_track_record"), None, 60.0, "s"),
            Figure("longest silence in the terminal", on_line("longest_silence_seconds"), None, 10.0, "s"),
        ),
    ),
    Bench(
        "edition",
        "benchmarks.speed.edition",
        (Figure("forecast edition of 51 symbols, warm worker", in_json("seconds"), None, 0.5, "s"),),
    ),
    Bench("database", "benchmarks.speed.database", ()),
    Bench("backtest", "benchmarks.speed.backtest", ()),
    Bench(
        "replayed_year",
        "benchmarks.speed.replayed_year",
        (Figure("replayed year of 51 symbols, random walk only", on_line("replayed_year"), None, 300.0, "s"),),
    ),
    Bench(
        "night",
        "benchmarks.speed.night",
        (
            Figure("CPU of a night grows as symbols to the power", on_line("growth_ordinary"), None, 1.05, ""),
            Figure("the same with the weekly refit", on_line("growth_refit"), None, 1.05, ""),
            Figure("the same with a new training and the gate", on_line("growth_full"), None, 1.05, ""),
        ),
    ),
    Bench(
        "api",
        "benchmarks.speed.api",
        (
            Figure("API start", on_line("api_start"), None, 2.0, "s"),
            Figure("API memory at start", on_line("api_rss_at_start"), None, 100.0, "MB"),
            Figure("API memory after every route", on_line("api_rss_after_every_route"), None, 200.0, "MB"),
        ),
    ),
    Bench("api_rates", "benchmarks.speed.api_rates", ()),
    Bench(
        "page",
        "benchmarks.speed.page",
        (
            Figure("page: numbers visible, 50 symbols", on_line("page_numbers"), None, 0.5, "s"),
            Figure("page: first chart, cold", on_line("page_first_chart_cold"), None, 2.0, "s"),
            Figure("page: first chart, warm cache", on_line("page_first_chart_warm"), None, 0.7, "s"),
            Figure("page: another symbol drawn after the click", on_line("page_redraw"), None, 0.15, "s"),
            Figure("page: numbers visible, 5,000 symbols", on_line("page_numbers_of_5000"), None, 2.0, "s"),
            Figure("page: one of 5,000 symbols found by typing", on_line("page_search_of_5000"), None, 0.5, "s"),
        ),
    ),
    Bench("ray_workers", "benchmarks.speed.ray_workers", ()),
    Bench(
        "watchlist",
        "benchmarks.speed.watchlist",
        (Figure("watchlist page of 5,000 symbols, warm", on_line("watchlist_warm_by_symbol"), None, 150.0, "ms"),),
    ),
)


def measure(bench: Bench) -> list[str]:
    """Run one benchmark and return a table line per figure; figures outside their bounds are marked."""
    begun = perf_counter()
    print(f"-- {bench.name}: python -m {bench.module}", flush=True)
    done = subprocess.run([sys.executable, "-m", bench.module], stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    print(f"-- {bench.name}: {perf_counter() - begun:.0f} s", flush=True)
    if not bench.figures:
        return [f"| {bench.name} | its own ratios | {verdict(done.returncode)} | `python -m {bench.module}` |"]
    return [row(figure, done.stdout, bench) for figure in bench.figures]


def verdict(status: int) -> str:
    """Return what the exit status of a benchmark with ratios means."""
    return "met" if status == 0 else "**falls short**" if status == 1 else f"**missing**: exit status {status}"


def row(figure: Figure, printed: str, bench: Bench) -> str:
    """Return the table line of one figure."""
    command = f"`python -m {bench.module}`"
    try:
        value = figure.read(printed)
    except (ValueError, KeyError) as error:
        return f"| {figure.what} | {figure.goal()} | **missing**: {error} | {command} |"
    reached = f"{value:,.4g} {figure.unit}" if value < 10_000 else f"{value:,.0f} {figure.unit}"
    return f"| {figure.what} | {figure.goal()} | {reached if figure.is_met(value) else f'**{reached}**'} | {command} |"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and return the exit status."""
    known = [bench.name for bench in BENCHES]
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"unknown benchmark: {', '.join(unknown)}; choose from {', '.join(known)}", file=sys.stderr)
        return 2
    lines = [line for bench in BENCHES if not names or bench.name in names for line in measure(bench)]
    print("\n| figure | goal | reached | command |\n|---|---|---|---|")
    print("\n".join(lines))
    return int(any("**" in line for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
