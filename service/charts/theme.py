"""Colours of all figures, light and dark, and their common layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.charts.chart import Json

ThemeName = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one theme; shape, fill or dash show everything that colour shows.

    Attributes:
        paper: Background.
        ink: Candles, actual closes, strong text.
        text: Text and tick labels.
        grid: Grid lines.
        band95: The widest band; one hue, strongest in the middle.
        band80: The band within it.
        band50: The innermost band.
        median: The median over the bands.
        accent: The forecast of the other strategy, and closes outside.
        walk: The random walk.
        volume: Columns of the volume.
        others: Further forecasters, in colours for colour-blind readers (Okabe and Ito).
    """

    paper: str
    ink: str
    text: str
    grid: str
    band95: str
    band80: str
    band50: str
    median: str
    accent: str
    walk: str
    volume: str
    others: tuple[str, ...]

    def band(self, level: int) -> str:
        """Return the fill of a level's band."""
        return {50: self.band50, 80: self.band80, 95: self.band95}[level]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2933",
    text="#3b4754",
    grid="#e4e8ec",
    band95="#dceaf7",
    band80="#abd0ee",
    band50="#6fb0df",
    median="#07306b",
    accent="#b34700",
    walk="#5c5148",
    volume="#b6bfc8",
    others=("#0072b2", "#b34700", "#00795a", "#a3437a", "#8a6400", "#5c5148"),
)

DARK = Theme(
    paper="#11161c",
    ink="#e6ebf0",
    text="#b9c3cd",
    grid="#29323b",
    band95="#17324b",
    band80="#1f5380",
    band50="#2f7fbf",
    median="#f2f8fd",
    accent="#ff9d4d",
    walk="#d9c9b8",
    volume="#4a5763",
    others=("#56b4e9", "#ff9d4d", "#3fcf9f", "#e59ac4", "#e6c229", "#d9c9b8"),
)

THEMES: Mapping[ThemeName, Theme] = {"light": LIGHT, "dark": DARK}


def layout(theme: Theme) -> Json:
    """Return the layout of all figures: no zoom, no tooltip, the price axis on the right, a legend below."""
    axis = {
        "fixedrange": True,
        "showgrid": True,
        "gridcolor": theme.grid,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "tickfont": {"color": theme.text, "size": 12},
    }
    return {
        "template": {"layout": {}},
        "autosize": True,
        "paper_bgcolor": theme.paper,
        "plot_bgcolor": theme.paper,
        "font": {"family": FONT, "size": 12, "color": theme.text},
        "margin": {"l": 12, "r": 8, "t": 30, "b": 62, "pad": 0},
        "dragmode": False,
        "hovermode": "x",
        "hoverdistance": -1,
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 0,
            "yanchor": "bottom",
            "yref": "container",
            "traceorder": "normal",
            "font": {"color": theme.text, "size": 12},
            "bgcolor": "rgba(0,0,0,0)",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "xaxis": {**axis, "showgrid": False, "tickangle": 0, "showline": True, "linecolor": theme.grid},
        "yaxis": {**axis, "side": "right"},
        "annotations": [],
    }


def note(theme: Theme, text: str, x: float, y: float) -> Json:
    """Return an annotation without an arrow, at shares of the plot; merge `xref`, `xanchor` and others into it."""
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"size": 12, "color": theme.text},
    }
