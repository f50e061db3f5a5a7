"""Reporters of the service: lines and bars on a terminal, JSON log lines elsewhere."""

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from service.clock import minute_text
from service.runs import Run
from service.runtime.progress import EditionSummary, ScoreSummary
from service.vocabulary import Job, RunState

ROWS_SHOWN = 12
"""Symbols of an edition in a log line; the API has them all."""

LINE_COLUMNS = 100
"""Longest line of an edition on a terminal."""

_SYMBOLS_FAILED = re.compile(r"^(\d+ of \d+ symbols could not|no symbol could) be pulled; \S+: ")
_NUMBERS = re.compile(r"\d+")
_QUIET = ("ok", "unknown", "no_data")
"""Outcomes of a pull that are not printed with it: unknown symbols have a notice, one not yet listed has no bar."""


class TerminalReporter:
    """Prints for a person."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._scores: dict[str, ScoreSummary] = {}
        self._causes: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        self._noticed: set[tuple[str, tuple[str, ...]]] = set()

    def edition(self, summary: EditionSummary) -> None:
        """Print one line, with the scores of the session that it follows."""
        self._print(escape(edition_line(summary, self._scores.pop(summary.calendar, None))))

    def scores(self, summary: ScoreSummary) -> None:
        """Keep the scores for the line of the next edition; print void forecasts."""
        if summary.scored:
            self._scores[summary.calendar] = summary
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
        self._print(f"[bold]{escape(group)} {strategy}[/bold]: {escape(sentence)}")

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Print errors, and pulls that left symbols without a bar; the rest has its own lines."""
        if run.job == Job.PULL:
            self._pull_ended(run, counts, error if state in (RunState.FAILED, RunState.DUE) else None)
        elif error and state in (RunState.FAILED, RunState.DUE):
            outcome = "failed" if state == RunState.FAILED else "will be retried"
            self._print(f"[red]{run.job} {run.scope} {run.session} {outcome}:[/red] {escape(error)}")
        elif counts.get("missed"):
            self._print(
                f"[yellow]{run.session}[/yellow] {run.scope}: {counts['missed']} forecasts missed, T has opened"
            )

    def _pull_ended(self, run: Run, counts: Mapping[str, int], error: str | None) -> None:
        """Print the cause of a failed pull once, until a pull of its calendar succeeds."""
        if error is not None:
            cause = _SYMBOLS_FAILED.sub("", error)
            reported = set(self._causes.values())
            self._causes[run.scope] = _NUMBERS.sub("", cause)  # a time-out gives other milliseconds each time
            if self._causes[run.scope] not in reported:
                self._print(f"[red]prices of {run.scope} are not arriving, retrying:[/red] {escape(cause)}")
            return
        if self._causes.pop(run.scope, None) is not None and not self._causes:
            self._print("prices arrive again")
        faults = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if name not in _QUIET)
        if faults and self._faults.get(run.scope) != faults:
            self._print(f"[dim]{run.session}[/dim] {run.scope} pulled, except {faults}")
        self._faults[run.scope] = faults

    def market_time(self, now: datetime, sentence: str) -> None:
        """Print market time."""
        self._print(f"[dim]{minute_text(now)}[/dim] {escape(sentence)}")

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Print a notice; one about the same symbols only once."""
        key = (sentence, tuple(symbols))
        if key in self._noticed:
            return
        if symbols:
            self._noticed.add(key)
        self._print(f"[yellow]note:[/yellow] {escape(sentence + (': ' + ', '.join(symbols) if symbols else ''))}")

    def _print(self, content: str) -> None:
        with self._lock:
            self._console.print(content, soft_wrap=True)


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


def edition_line(summary: EditionSummary, scored: ScoreSummary | None) -> str:
    """Return one line of at most `LINE_COLUMNS` about an edition.

    It names T of the first symbol with its 80 % interval, the number of the others, the forecasters, and how many
    published steps of the newest scored session were inside.
    """
    first = next((step for step in summary.steps if step.step == 1), None)
    parts = [f"{summary.as_of} {summary.calendar} #{summary.number}"]
    if first is not None:
        price = f"{first.point:.2f} [{first.low:.2f} .. {first.high:.2f}]"
        others = len({step.symbol for step in summary.steps}) - 1
        more = f" +{others}" if others else ""
        parts.append(f"{first.target_session:%m-%d} {first.symbol} {price}{more}")
        parts.append(", ".join(sorted({step.served_by for step in summary.steps})))
    if scored is not None:
        parts.append(f"{scored.inside_80}/{scored.scored} in 80 %")
    line = "  ".join(parts)
    return line if len(line) <= LINE_COLUMNS else f"{line[: LINE_COLUMNS - 3]}..."
