"""A whole night against a vendor on loopback: pull, store, score, refit, calibrate, gate, forecast, publish.

    python -m benchmarks.speed.night [--quick | --whole] [--sizes 50,200] [--sessions 5000] [--runs 3]

For each number of symbols a new service pulls the history of every symbol from a vendor on loopback that has no rate
limit (yfinance talks to it), trains both strategies from nothing with the gate, and gets a ledger of a year. Then
ordinary nights and nights with the weekly warm refit take turns. Each is the scheduler's own loop in a process of its
own; market time is set by the benchmark. CPU time and memory are those of the service's processes, not the vendor's.

Prints a line per night, the growth of the CPU time with the number of symbols, and what a real vendor's pace adds.
Without an option it is the part that `make bench` runs, short histories and one seed; `--whole` is `make bench-night`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.results import RESULTS, Ratio, publish
from benchmarks.speed.night.growth import Growth, fit_growth
from benchmarks.speed.night.service import Evening, Ledger, Night, RunningService, running_service
from benchmarks.speed.night.usage import SAMPLE_SECONDS, Usage
from benchmarks.speed.night.vendor import CALENDAR, MARKET, VOLATILITY, Market, RunningVendor, names, running_vendor
from service.market.exchange_calendar import get_calendar
from service.settings import Settings

START, FULL, SETTLING, ORDINARY, REFIT = "start", "full", "settling", "ordinary", "refit"
BARS = {ORDINARY: 240.0, REFIT: 600.0, FULL: 2400.0}
"""Most seconds of each kind of night, for `BAR_SYMBOLS` symbols with 5,000 sessions and three seeds."""
BAR_SYMBOLS = 500
MEMORY_BAR = 4e9
"""Most bytes of all processes of the service together."""
EXPONENT_BAR = 1.05
LAST = date(2025, 9, 30)
"""Session of the last night."""
PACES = (1.0, 2.0)
"""Requests a second that a real vendor allows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        sizes: Numbers of symbols.
        once: Those of them that are measured with one night of each kind.
        sessions: Sessions of history.
        seeds: Seeds of each network.
        ledger: Sessions of the ledger.
        runs: Nights of each kind.
    """

    sizes: tuple[int, ...]
    once: frozenset[int]
    sessions: int
    seeds: tuple[int, ...]
    ledger: int
    runs: int


SHORT = Plan((50, 200), frozenset(), 1_500, (0,), 60, 3)
WHOLE = Plan((50, 200, BAR_SYMBOLS, 2_000), frozenset({2_000}), 5_000, (0, 1, 2), 252, 3)
QUICK = Plan((4, 8), frozenset(), 1_500, (0,), 5, 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One night.

    Attributes:
        kind: `start` (the first pull), `full` (training from nothing with the gate), `settling`, `ordinary`, `refit`.
        symbols: Number of symbols, without the reference series.
        night: What the service did.
        cpu_seconds: User and system seconds of its processes.
        peak_bytes: Their largest resident memory together.
        requests: Charts that the vendor served.
    """

    kind: str
    symbols: int
    night: Night
    cpu_seconds: float
    peak_bytes: int
    requests: int

    def line(self) -> str:
        """Return it as a line."""
        jobs = ", ".join(f"{job} {seconds:.1f}" for job, seconds in self.night.jobs.items())
        warm = f", {self.night.warm} of {self.night.trained} networks warm" if self.night.trained else ""
        return (
            f"{self.symbols:5} symbols {self.kind:9} {self.night.seconds:7.1f} s wall, {self.cpu_seconds:7.1f} s CPU, "
            f"{self.peak_bytes / 1e6:6,.0f} MB, {self.requests} charts ({jobs}{warm})"
        )

    def phase_lines(self) -> Iterator[str]:
        """Yield a line per phase, the longest first."""
        every = [(job, usage) for job, phases in self.night.phases.items() for usage in phases]
        for job, usage in sorted(every, key=lambda pair: -pair[1].cpu_seconds):
            yield (
                f"      {job:9} {usage.name:28} {usage.seconds:8.2f} s {usage.cpu_seconds:8.2f} s CPU "
                f"{usage.peak_bytes / 1e6:6,.0f} MB {usage.rows:,} rows"
            )


def kinds(runs: int) -> Iterator[str]:
    """Yield the kinds of the nights, one per session."""
    yield from (START, FULL, SETTLING)
    for _ in range(runs):
        yield from (ORDINARY, REFIT)


def measure_size(plan: Plan, symbols: int, folder: Path) -> list[Measured]:
    """Measure the nights of one service."""
    runs = 1 if symbols in plan.once else plan.runs
    nights = len(list(kinds(runs)))
    calendar = get_calendar(CALENDAR, date(1990, 1, 2), LAST + timedelta(days=30))
    history = calendar.sessions(date(1990, 1, 2), LAST)[-(plan.sessions + nights - 1) :]
    market, days = Market(history[0], history[-1], nights), history[-nights:]
    own = names(symbols)
    measured = []
    with running_vendor(market, (*own, MARKET, VOLATILITY)) as vendor:
        settings = Settings(
            source="yahoo", clock="system", yahoo_standin_url=vendor.url, data_dir=folder, symbols=own,
            seeds=plan.seeds, train_every=2, train_limit_seconds=14_400, max_symbols=10_000,
        )  # fmt: skip
        with running_service(settings, calendar.final_at(days[0], timedelta(minutes=90))) as service:
            for kind, day in zip(kinds(runs), days, strict=True):
                if kind == SETTLING:
                    begun = time.monotonic()
                    service.send(Ledger(plan.ledger))
                    while not service.wait(600):
                        print(f"{symbols:5} symbols ledger: {time.monotonic() - begun:.0f} s so far", flush=True)
                    service.result()
                    print(f"{symbols:5} symbols ledger    {time.monotonic() - begun:7.1f} s", flush=True)
                vendor.move(calendar.final_at(day, timedelta(minutes=90)))
                measured.append(_measure(service, vendor, kind, symbols, day))
                print(measured[-1].line(), *measured[-1].phase_lines(), sep="\n", flush=True)
    return measured


def _measure(service: RunningService, vendor: RunningVendor, kind: str, symbols: int, day: date) -> Measured:
    usage, before = Usage(service.pid), vendor.answered()
    begun = usage.cpu_seconds()
    service.send(Evening(day, trains=kind != START))
    while not service.wait(SAMPLE_SECONDS):
        usage.sample()
    night: Night = service.result()
    spent = usage.cpu_seconds() - begun
    if night.faults:
        raise RuntimeError(f"{kind} night of {symbols} symbols: {'; '.join(night.faults)}")
    if night.outcomes.get("forecast: forecast", 0) != symbols:
        raise RuntimeError(f"{kind} night of {symbols} symbols is not complete: {dict(night.outcomes)}")
    if (kind in (FULL, SETTLING, REFIT)) != bool(night.trained) or (kind == REFIT and night.warm != night.trained):
        raise RuntimeError(f"{kind} night of {symbols} symbols trained {night.trained} networks, {night.warm} warm")
    return Measured(kind, symbols, night, spent, usage.peak_bytes, vendor.answered() - before)


def growth_of(measured: Sequence[Measured], kind: str) -> Growth:
    """Return the growth of the CPU seconds of one kind of night."""
    own = [each for each in measured if each.kind == kind]
    return fit_growth([each.symbols for each in own], [each.cpu_seconds for each in own])


def growth_lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield `name value band` of each kind of night, and the exponents between neighbouring numbers of symbols."""
    for kind in (ORDINARY, REFIT, FULL):
        whole = growth_of(measured, kind)
        band = f"{whole.low:.3f} to {whole.high:.3f} with 95 % confidence"
        yield f"growth_{kind} {whole.exponent:.3f} ({band if whole.low < whole.high else 'two nights give no band'})"
        for few, many in pairwise(sorted({each.symbols for each in measured})):
            part = growth_of([each for each in measured if each.symbols in (few, many)], kind)
            yield f"growth_{kind}_{few}_{many} {part.exponent:.3f}"


def ratios(plan: Plan, measured: Sequence[Measured]) -> list[Ratio]:
    """Return the ratios with their bounds."""
    found = []
    for kind in (ORDINARY, REFIT, FULL):
        growth = growth_of(measured, kind)
        what = f"growth exponent of the CPU seconds, {kind} night, {'/'.join(map(str, plan.sizes))} symbols (95 % band)"
        found.append(Ratio(f"night.growth.{kind}", what, (growth.low, growth.exponent, growth.high), high=EXPONENT_BAR))
    for kind, bar in BARS.items() if plan == WHOLE else ():
        own = [each for each in measured if each.kind == kind and each.symbols == BAR_SYMBOLS]
        seconds = tuple(each.night.seconds / bar for each in own)
        found.append(Ratio(f"night.bar.{kind}", f"{kind} night of {BAR_SYMBOLS} / {bar:.0f} s", seconds, high=1.0))
        memory = tuple(each.peak_bytes / MEMORY_BAR for each in own)
        found.append(Ratio(f"night.memory.{kind}", f"peak memory of it / {MEMORY_BAR / 1e9:.0f} GB", memory, high=1.0))
    largest = [each for each in measured if each.kind == REFIT and each.symbols == max(plan.sizes)]
    outside = tuple(1 - each.night.jobs["train"] / sum(each.night.jobs.values()) for each in largest)
    found.append(Ratio("night.outside", "seconds outside training / all, refit night", outside, better="lower"))
    return found


def figures(measured: Sequence[Measured]) -> dict[str, float | str]:
    """Return the medians of this machine by kind and number of symbols."""
    found: dict[str, float | str] = {}
    for symbols, kind in dict.fromkeys((each.symbols, each.kind) for each in measured):
        own = [each for each in measured if (each.symbols, each.kind) == (symbols, kind)]
        found[f"{kind}.{symbols}.seconds"] = round(median(each.night.seconds for each in own), 1)
        found[f"{kind}.{symbols}.cpu_seconds"] = round(median(each.cpu_seconds for each in own), 1)
        found[f"{kind}.{symbols}.peak_mb"] = round(max(each.peak_bytes for each in own) / 1e6)
    return found


def pace_lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield what a real vendor's pace adds to an ordinary night, and the deadline that follows."""
    calendar = get_calendar(CALENDAR, LAST - timedelta(days=30), LAST + timedelta(days=30))
    close = calendar.previous(LAST)
    hours = (calendar.open_at(calendar.next(close)) - calendar.final_at(close, timedelta(minutes=90))).total_seconds()
    for symbols in dict.fromkeys(each.symbols for each in measured):
        own = [each for each in measured if each.symbols == symbols and each.kind == ORDINARY]
        seconds = median(each.night.seconds for each in own)
        requests = median(each.requests for each in own)
        for pace in PACES:
            whole = seconds + requests / pace
            most = int((hours - seconds) * pace * symbols / requests)
            yield (
                f"pace: {symbols} symbols ask for {requests:.0f} charts a night; at {pace:g} a second they add "
                f"{requests / pace / 60:.1f} minutes, so the edition is out {whole / 60:.1f} minutes after the bars "
                f"are final, of the {hours / 3600:.1f} hours before T opens; at that pace {most:,} symbols are the most"
            )


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few symbols: whether it works, not how fast")
    parser.add_argument("--whole", action="store_true", help="all sizes, 5,000 sessions, three seeds: hours")
    parser.add_argument("--sizes", help="numbers of symbols, separated by commas")
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument("--ledger", type=int, help="sessions of the ledger")
    parser.add_argument("--runs", type=int)
    arguments = parser.parse_args()
    base = WHOLE if arguments.whole else QUICK if arguments.quick else SHORT
    plan = Plan(
        tuple(int(size) for size in arguments.sizes.split(",")) if arguments.sizes else base.sizes,
        base.once,
        arguments.sessions or base.sessions,
        tuple(range(arguments.seeds)) if arguments.seeds else base.seeds,
        base.ledger if arguments.ledger is None else arguments.ledger,
        arguments.runs or base.runs,
    )
    measured: list[Measured] = []
    for symbols in plan.sizes:
        with tempfile.TemporaryDirectory(prefix="tplus-night-") as folder:
            measured += measure_size(plan, symbols, Path(folder))
    print("\n".join(pace_lines(measured)))
    if len(set(plan.sizes)) < 2:
        return 0
    print("\n".join(growth_lines(measured)))
    name = "night-whole" if arguments.whole else "night"
    target = RESULTS if plan in (SHORT, WHOLE) else None  # a trial is not recorded
    return publish(name, ratios(plan, measured), figures(measured), target)


if __name__ == "__main__":
    sys.exit(main())
