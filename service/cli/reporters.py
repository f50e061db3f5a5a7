"""Reporters of the service: tables and bars on a terminal, JSON log lines elsewhere."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.runs import Run
from service.runtime.progress import EditionSummary, ScoreSummary, ServedStep
from service.vocabulary import Job, RunState

ROWS_SHOWN = 12
"""Symbols of an edition shown on a terminal; the API has them all."""


class TerminalReporter:
    """Prints for a person."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def edition(self, summary: EditionSummary) -> None:
        """Print the forecast table."""
        self._print(forecast_table(summary))

    def scores(self, summary: ScoreSummary) -> None:
        """Print the scores of the closed session."""
        if summary.scored:
            share = f"{summary.inside_80} of {summary.scored} published steps inside their 80 % interval"
            self._print(f"[dim]{summary.session}[/dim] {summary.calendar} scored: {share}")
        if summary.void:
            self._print(f"[dim]{summary.session}[/dim] {summary.calendar}: {summary.void} forecasts void, no bar")

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Update a progress bar; at 1 it is removed."""
        with self._lock:
            if self._bars is None:
                columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"))
                self._bars = Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True)
                self._bars.start()
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=1.0, detail=detail)
            self._bars.update(self._tasks[task], completed=fraction, detail=detail)
            if fraction >= 1.0:
                self._bars.remove_task(self._tasks.pop(task))
            if not self._tasks:
                self._bars.stop()
                self._bars = None

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Print the promotion of a version."""
        self._print(f"[bold]{group} {strategy}[/bold]: {sentence}")

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Print pulls and errors; the rest has its own lines."""
        if error and state in (RunState.FAILED, RunState.DUE):
            outcome = "failed" if state == RunState.FAILED else "will be retried"
            self._print(f"[red]{run.job} {run.scope} {run.session} {outcome}:[/red] {error}")
        elif run.job == Job.PULL:
            found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            self._print(f"[dim]{run.session}[/dim] {run.scope} pulled: {found}")
        elif counts.get("missed"):
            self._print(
                f"[yellow]{run.session}[/yellow] {run.scope}: {counts['missed']} forecasts missed, T has opened"
            )

    def market_time(self, now: datetime, sentence: str) -> None:
        """Print market time."""
        self._print(f"[dim]{now:%Y-%m-%d %H:%M}Z[/dim] {sentence}")

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Print a notice."""
        self._print(f"[yellow]note:[/yellow] {sentence}{': ' + ', '.join(symbols) if symbols else ''}")

    def _print(self, content: Table | str) -> None:
        with self._lock:
            self._console.print(content)


class LogReporter:
    """Writes events for a collector."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("tplus")
        self._shown: dict[str, int] = {}

    def edition(self, summary: EditionSummary) -> None:
        """Log one event with the served steps of the first symbols."""
        steps = [
            {
                "symbol": step.symbol,
                "strategy": step.strategy,
                "step": step.step,
                "target_session": str(step.target_session),
                "point": round(step.point, 4),
                "low_80": round(step.low, 4),
                "high_80": round(step.high, 4),
                "served_by": step.served_by,
            }
            for step in summary.steps[: 4 * ROWS_SHOWN]
        ]
        symbols = len({step.symbol for step in summary.steps})
        self._log.info(
            "edition",
            number=summary.number,
            calendar=summary.calendar,
            as_of=str(summary.as_of),
            symbols=symbols,
            steps=steps,
        )

    def scores(self, summary: ScoreSummary) -> None:
        """Log one event per score run that found something."""
        self._log.info(
            "scored",
            calendar=summary.calendar,
            session=str(summary.session),
            served=summary.scored,
            inside_80=summary.inside_80,
            void=summary.void,
        )

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Log one event per quarter of the work."""
        quarter = int(fraction * 4)
        if self._shown.get(task) != quarter:
            self._shown[task] = quarter
            self._log.info("progress", task=task, fraction=round(fraction, 2), detail=detail)

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Log one event per decision."""
        self._log.info("decision", group=group, strategy=strategy, reason=sentence)

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Log one event per run."""
        log = self._log.warning if error else self._log.info
        log(
            "run",
            id=run.id,
            job=run.job,
            scope=run.scope,
            session=str(run.session),
            state=state,
            counts=dict(counts),
            error=error,
        )

    def market_time(self, now: datetime, sentence: str) -> None:
        """Log market time."""
        self._log.info("market_time", now=now.isoformat(), detail=sentence)

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Log a warning."""
        self._log.warning("notice", detail=sentence, symbols=list(symbols))


def forecast_table(summary: EditionSummary) -> Table:
    """Return the forecasts of an edition as a table.

    One line per symbol: T, T+1, T+2 and the one-step T, with their 80 % intervals."""
    by_symbol: dict[str, list[ServedStep]] = {}
    for step in summary.steps:
        by_symbol.setdefault(step.symbol, []).append(step)
    issued = f"issued {summary.issued_at:%Y-%m-%d %H:%M}Z"
    title = f"Edition {summary.number} - {summary.calendar}, as of {summary.as_of}, {issued}"
    hidden = len(by_symbol) - ROWS_SHOWN
    caption = "point and 80 % interval" + (f"; and {hidden} more symbols, see the API" if hidden > 0 else "")
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    targets = {step.step: step.target_session for step in summary.steps if step.strategy == "multi_step"}
    table.add_column("symbol")
    table.add_column("close", justify="right")
    for step_number, label in ((1, "T"), (2, "T+1"), (3, "T+2")):
        table.add_column(f"{label}  {targets.get(step_number, '')}", justify="right")
    table.add_column("one-step T", justify="right")
    table.add_column("served by")
    for symbol, steps in list(by_symbol.items())[:ROWS_SHOWN]:
        multi = {step.step: step for step in steps if step.strategy == "multi_step"}
        single = next((step for step in steps if step.strategy == "one_step"), None)
        cells = [_cell(multi.get(number)) for number in (1, 2, 3)]
        names = sorted({step.served_by for step in steps})
        table.add_row(symbol, f"{steps[0].last_close:.2f}", *cells, _cell(single), ", ".join(names))
    return table


def _cell(step: ServedStep | None) -> str:
    return "-" if step is None else f"{step.point:.2f}  [{step.low:.2f} .. {step.high:.2f}]".replace("[", "\\[")
