"""Texts of the forecast figure: caption, text alternative, table and readout."""

from service.api.forecasts.schemas import Step
from service.charts.axis import Slot
from service.charts.chart import Line, Table
from service.charts.forecast_view import View, bounds
from service.charts.numbers import change_text, share_text
from service.charts.past_intervals import sentence
from service.charts.record_text import coverage_sentence, measured, mode_sentence, skill_sentence

_COLUMNS = (
    "session",
    "step",
    "median",
    "change",
    "50 % from",
    "50 % to",
    "80 % from",
    "80 % to",
    "95 % from",
    "95 % to",
    "random walk",
    "other strategy's T",
    "80 % coverage (measured)",
    "n",
    "actual close",
    "inside 80 %",
)


def caption(view: View) -> str:
    """Return measured coverage, actual closes, and notes on the prices."""
    first = view.main.steps[0]
    sentences = [coverage_sentence(first, 80), sentence(view.past)]
    sentences.append(skill_sentence(view.main.skill, view.main.served_by.forecaster))
    if view.answer.mode == "backfill" and measured(first.coverage, 80) is not None:
        sentences.append(mode_sentence(view.answer.mode))
    sentences.append(_actual_text(view))
    if view.answer.basis.note is not None:
        sentences.append(f"{view.answer.basis.note[:1].upper()}{view.answer.basis.note[1:]}.")
    return " ".join(sentence for sentence in sentences if sentence)


def alt(view: View) -> str:
    """Return what is drawn, and the numbers of each step."""
    answer, first, last = view.answer, view.slots[0], view.slots[-1]
    several = f" of {view.per_slot} sessions each" if view.per_slot > 1 else ""
    drawn = (
        f"Candles{several} of {answer.symbol} from {first.first} to {last.last}; last close "
        f"{view.price(answer.last_close)}{view.unit} as of {answer.as_of}."
    )
    steps = [_step_text(view, step) for step in view.main.steps]
    other = ""
    if view.other is not None:
        low, high = bounds(view.other, 80)
        other = (
            f"The {view.other_name} forecast: {view.price(view.other.point)}, 80 % {view.price(low)} to "
            f"{view.price(high)}."
        )
    actual = _actual_text(view)
    return " ".join(
        part for part in (drawn, f"Forecast bands: {'; '.join(steps)}.", other, sentence(view.past), actual) if part
    )


def table(view: View) -> Table:
    """Return the steps with every number that is drawn."""
    rows = tuple(_row(view, step, place) for place, step in enumerate(view.main.steps))
    name = f"{view.answer.symbol}: forecast as of {view.answer.as_of}{view.unit and f', prices in{view.unit}'}"
    return Table(name, _COLUMNS, rows)


def readout(view: View) -> list[Line]:
    """Return a line for each candle and each step."""
    lines = []
    before: Slot | None = None
    for place, slot in enumerate(view.slots):
        lines.append(Line(place, _candle_text(view, slot, before)))
        before = slot
    return lines + [Line(view.zone.at(step.step), _readout_text(view, step)) for step in view.main.steps]


def _actual_text(view: View) -> str:
    pairs = [(step, close) for step in view.main.steps if (close := view.outcome(step)) is not None]
    if not pairs:
        return ""
    inside = sum(low <= close <= high for (step, close) in pairs for low, high in [bounds(step, 80)])
    if len(pairs) == 1:
        return f"The actual close is {'inside' if inside else 'outside'} its 80 % interval."
    if inside == len(pairs):
        return f"All {inside} actual closes are inside their 80 % intervals."
    return f"Of the {len(pairs)} actual closes, {inside} {'is' if inside == 1 else 'are'} inside the 80 % interval."


def _step_text(view: View, step: Step) -> str:
    low, high = bounds(step, 80)
    return (
        f"{step.label} ({step.target_session}) median {view.price(step.point)}, 80 % {view.price(low)} to "
        f"{view.price(high)}"
    )


def _row(view: View, step: Step, place: int) -> tuple[str | float | None, ...]:
    edges = [view.price(edge) for level in (50, 80, 95) for edge in bounds(step, level)]
    close, share = view.outcome(step), measured(step.coverage, 80)
    low, high = bounds(step, 80)
    inside = None if close is None else ("yes" if low <= close <= high else "no")
    return (
        str(step.target_session),
        step.label,
        view.price(step.point),
        change_text(step.point / view.answer.last_close - 1),
        *edges,
        view.price(view.walk[place].point) if place < len(view.walk) else None,
        view.price(view.other.point) if view.other is not None and place == 0 else None,
        None if share is None else share_text(share),
        step.coverage.n,
        None if close is None else view.price(close),
        inside,
    )


def _candle_text(view: View, slot: Slot, before: Slot | None) -> str:
    change = "" if before is None else f" ({change_text(slot.close / before.close - 1)})"
    return (
        f"{slot.name} · open {view.price(slot.open)} · high {view.price(slot.high)} · low {view.price(slot.low)} · "
        f"close {view.price(slot.close)}{view.unit}{change}{_volume_text(slot)}{_past_text(view, slot)}"
    )


def _volume_text(slot: Slot) -> str:
    return f" · volume {slot.volume:,.0f}" if slot.volume else ""


def _past_text(view: View, slot: Slot) -> str:
    """Return the forecast of that session and its outcome; empty without one."""
    past = view.past.of(slot.last)
    if past is None:
        return ""
    mark = {True: ", inside", False: ", outside", None: ""}[past.inside]
    return f" · forecast {view.price(past.point)}, 80 % {view.price(past.lower)} to {view.price(past.upper)}{mark}"


def _readout_text(view: View, step: Step) -> str:
    parts = [
        f"{step.target_session} · {step.label} · {view.price(step.point)}{view.unit} "
        f"({change_text(step.point / view.answer.last_close - 1)}), 80 % {_span(view, step, 80)}",
        f"50 % {_span(view, step, 50)}",
        f"95 % {_span(view, step, 95)}",
    ]
    walk = next((other for other in view.walk if other.step == step.step), None)
    if walk is not None:
        parts.append(f"random walk {view.price(walk.point)}, 80 % {_span(view, walk, 80)}")
    if step.step == 1 and view.other is not None:
        parts.append(f"{view.other_name} {view.price(view.other.point)}, 80 % {_span(view, view.other, 80)}")
    close = view.outcome(step)
    if close is not None:
        low, high = bounds(step, 80)
        parts.append(f"actual {view.price(close)}, {'inside' if low <= close <= high else 'outside'} 80 %")
    return " · ".join(parts)


def _span(view: View, step: Step, level: int) -> str:
    low, high = bounds(step, level)
    return f"{view.price(low)} to {view.price(high)}"
