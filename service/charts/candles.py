"""Candles: hollow if a session closed above its open, filled if below, in one colour; and the volume below."""

from collections.abc import Sequence

from service.charts.axis import Slot
from service.charts.chart import Json
from service.charts.theme import Theme

_TRANSPARENT = "rgba(0,0,0,0)"


def candles(slots: Sequence[Slot], theme: Theme, sessions: int) -> Json:
    """Return the candlestick trace.

    Args:
        slots: One candle each.
        theme: Colours.
        sessions: Sessions in them; more than slots if a slot has several.
    """
    line = {"width": 1, "color": theme.ink}
    return {
        "type": "candlestick",
        "name": "open, high, low, close",
        "x": list(range(len(slots))),
        "open": [slot.open for slot in slots],
        "high": [slot.high for slot in slots],
        "low": [slot.low for slot in slots],
        "close": [slot.close for slot in slots],
        "increasing": {"line": line, "fillcolor": _TRANSPARENT},
        "decreasing": {"line": line, "fillcolor": theme.ink},
        "whiskerwidth": 0,
        "showlegend": False,
        "hoverinfo": "none",
        "meta": {"role": "candles", "sessions": sessions, "last": str(slots[-1].last)},
    }


def volume(slots: Sequence[Slot], theme: Theme) -> list[Json]:
    """Return the volume as columns on the second price axis; nothing if the vendor gives none."""
    if not any(slot.volume for slot in slots):
        return []
    return [
        {
            "type": "bar",
            "name": "volume",
            "x": list(range(len(slots))),
            "y": [slot.volume or 0 for slot in slots],
            "yaxis": "y2",
            "marker": {"color": theme.volume, "line": {"width": 0}},
            "showlegend": False,
            "hoverinfo": "none",
            "meta": {"role": "volume"},
        }
    ]
