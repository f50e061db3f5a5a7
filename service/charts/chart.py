"""Result of a figure builder: the figure with its text alternative, table and readout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.forecasts.schemas import MIN_SESSIONS

Json = dict[str, Any]
"""A JSON object: text, finite numbers, booleans, None, lists and objects."""

CONFIG: Mapping[str, Any] = {
    "displayModeBar": False,
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
}
"""Plotly's config of every figure: no tool bar, no tips, full width."""

SIGNIFICANT = 0.05
"""A difference from the random walk is significant if its p is below this."""


@dataclass(frozen=True, slots=True)
class Table:
    """The figure as a table.

    Attributes:
        caption: Its title.
        columns: Column heads.
        rows: Cells, one per column; None for an empty cell.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """The readout at one position of the figure.

    Attributes:
        x: Position on the index axis.
        text: The line.
    """

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its texts.

    Attributes:
        title: Title.
        caption: What the figure shows, in one to three sentences.
        alt: Text alternative.
        table: The numbers as a table.
        readout: A line for each position, by x.
        figure: Plotly's `data`, `layout` and `config`.
        empty: Whether there is nothing to draw yet; the caption says why.
    """

    title: str
    caption: str
    alt: str
    table: Table
    readout: Sequence[Line]
    figure: Json
    empty: bool = False


def figure(data: list[Json], layout: Json) -> Json:
    """Return a Plotly figure."""
    return {"data": data, "layout": layout, "config": dict(CONFIG)}


def not_enough_history(n: int) -> str:
    """Return the sentence for a track record that is too short."""
    return f"Not enough history yet ({n} of {MIN_SESSIONS} scored sessions)."


def join_and(parts: Sequence[str]) -> str:
    """Return parts as one enumeration: `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
