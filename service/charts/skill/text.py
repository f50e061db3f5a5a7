"""Texts of the skill figure: differences from the random walk, with n and p."""

from collections.abc import Sequence

from service.api.forecasts.schemas import LABELS, MIN_SESSIONS, ForecastAnswer
from service.charts.chart import Line, Table, join_and, not_enough_history
from service.charts.numbers import p_text, share_text
from service.charts.record_text import better_or_worse, mode_sentence
from service.charts.skill.record import Record
from service.vocabulary import RANDOM_WALK, SERVED

_COLUMNS = (
    "forecaster",
    "step",
    "ratio to random walk",
    "better or worse",
    "n",
    "p",
    "50 % measured",
    "80 % measured",
    "95 % measured",
)


def caption(records: Sequence[Record], answer: ForecastAnswer) -> str:
    """Return how published forecasts compare with the random walk, by step, with n and p."""
    served = [record for record in records if record.item.forecaster == SERVED]
    compared = [record for record in served if record.ratio is not None]
    if not compared:
        return not_enough_history(min((record.item.n for record in served), default=0))
    n = min(record.item.n for record in compared)
    if all(record.item.p is None and abs(1 - (record.ratio or 1)) < 0.0005 for record in compared):
        first = f"Published forecasts up to {compared[0].item.as_of} are from the random walk itself (n = {n})."
    else:
        parts = [f"{_than_walk(record)} at {record.label} ({_significance(record)})" for record in compared]
        first = (
            f"On n = {n} scored sessions up to {compared[0].item.as_of}, published forecasts vs the random "
            f"walk: {join_and(parts)}."
        )
    worst = max(compared, key=lambda record: abs(record.item.coverage_80 - 0.8)).item
    return (
        f"{first} The 80 % interval contained {share_text(worst.coverage_80)} of the closes of "
        f"{LABELS[worst.step - 1]}, the step farthest from nominal. {mode_sentence(answer.mode)}"
    )


def alt(records: Sequence[Record], answer: ForecastAnswer) -> str:
    """Return what is drawn, with every ratio."""
    ratios = [
        f"{record.item.forecaster} at {record.label} {record.ratio:.3f}"
        for record in records
        if record.ratio is not None and record.item.forecaster != RANDOM_WALK
    ]
    listed_ratios = "; ".join(ratios) if ratios else f"none yet, under {MIN_SESSIONS} scored sessions"
    served = [record.item for record in records if record.item.forecaster == SERVED]
    coverage = [
        f"{LABELS[item.step - 1]} {share_text(item.coverage_50)}, {share_text(item.coverage_80)}, "
        f"{share_text(item.coverage_95)}"
        for item in served
        if item.n >= MIN_SESSIONS
    ]
    return (
        f"Left: pinball loss for {answer.symbol} over the random walk's, above 1 is worse: {listed_ratios}. "
        "Right: closes measured inside the 50, 80 and 95 % intervals of published forecasts: "
        f"{'; '.join(coverage) or 'not enough data'}."
    )


def table(records: Sequence[Record], answer: ForecastAnswer) -> Table:
    """Return every record; figures are left out with too few scored sessions."""
    return Table(
        f"{answer.symbol}: track records vs the random walk, {answer.mode}",
        _COLUMNS,
        tuple(_row(record) for record in records),
    )


def readout(records: Sequence[Record], steps: int) -> list[Line]:
    """Return a line for each step with every forecaster."""
    lines = []
    for step in range(1, steps + 1):
        parts = [
            f"{record.item.forecaster} {record.ratio:.3f} (n {record.item.n}, {p_text(record.item.p)})"
            for record in records
            if record.item.step == step and record.ratio is not None and record.item.forecaster != RANDOM_WALK
        ]
        lines.append(Line(step - 1, " · ".join([LABELS[step - 1], *(parts or ["not enough history yet"])])))
    return lines


def _than_walk(record: Record) -> str:
    return better_or_worse(1 - (record.ratio or 1.0), record.is_significant)


def _comparison(record: Record) -> str:
    words = _than_walk(record)
    is_bare = not record.is_significant and not words.startswith("no ")
    return f"{words}, not significant" if is_bare else words


def _significance(record: Record) -> str:
    return f"{p_text(record.item.p)}{'' if record.is_significant else ', not significant'}"


def _row(record: Record) -> tuple[str | float | None, ...]:
    item = record.item
    enough = item.n >= MIN_SESSIONS
    return (
        item.forecaster,
        record.label,
        None if record.ratio is None else f"{record.ratio:.3f}",
        f"not enough history yet ({item.n} of {MIN_SESSIONS})" if record.ratio is None else _comparison(record),
        item.n,
        None if item.p is None else p_text(item.p).removeprefix("p "),
        *(share_text(share) if enough else None for share in (item.coverage_50, item.coverage_80, item.coverage_95)),
    )
