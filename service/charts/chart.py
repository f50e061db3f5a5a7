"""What a figure builder gives: the figure with everything that stands for it where it cannot be seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.forecasts.schemas import MIN_SESSIONS

Json = dict[str, Any]
"""A JSON object: text, finite numbers, booleans, None, lists and objects."""

CONFIG: Mapping[str, Any] = {"displayModeBar": False, "displaylogo": False, "responsive": True}
"""How Plotly draws every figure: no tool bar, as wide as its place."""

SIGNIFICANT = 0.05
"""A difference from the random walk is called one where its p is below this; else it may be chance."""


@dataclass(frozen=True, slots=True)
class Table:
    """The figure as a table.

    Attributes:
        caption: What it holds.
        columns: Heads.
        rows: Cells, as many a row as there are heads; None where there is nothing to say.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What the readout says over one place of the figure.

    Attributes:
        x: Where on the index axis.
        text: The line.
    """

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure and its words.

    Attributes:
        title: What is drawn.
        caption: What it says, in one to three sentences.
        alt: The text alternative of the drawing.
        table: Its numbers.
        readout: A line for each place, by x.
        figure: Plotly's `data`, `layout` and `config`.
    """

    title: str
    caption: str
    alt: str
    table: Table
    readout: Sequence[Line]
    figure: Json


def figure(data: list[Json], layout: Json) -> Json:
    """A Plotly figure."""
    return {"data": data, "layout": layout, "config": dict(CONFIG)}


def too_little(n: int) -> str:
    """The sentence for a record that is too short to be measured."""
    return f"Not enough history yet ({n} of {MIN_SESSIONS} scored sessions)."


def listed(parts: Sequence[str]) -> str:
    """Parts as one enumeration: `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
