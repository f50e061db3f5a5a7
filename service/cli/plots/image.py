"""Draws a figure as a picture with the Chromium or Chrome of this machine; nothing is downloaded."""

import logging
import os
import shutil
import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import kaleido  # type: ignore[import-untyped]
from choreographer.browsers.chromium import Chromium
from choreographer.errors import BrowserClosedError, BrowserFailedError, ChannelClosedError, ChromeNotFoundError
from kaleido.errors import KaleidoError  # type: ignore[import-untyped]

from service.api.figures.schemas import FigureAnswer
from service.errors import SettingsError, TplusError

Format = Literal["png", "svg"]

SCALE = 2
"""Pixels of a PNG per pixel of the drawing."""

_SECONDS = 60.0
_ABOVE, _EDGE, _LINE, _LETTER = 70, 16, 18, 7
"""Pixels above the plot, at the edges, of a line of the caption, and of a letter in it."""
_MIN_PLOT = 60
"""Least pixels between title and legend: with fewer there is nothing to see, and Plotly may refuse to draw."""
_ADVICE = (
    "install chromium (Debian, Ubuntu, Fedora and Homebrew have it under that name) or set TPLUS_BROWSER to the path "
    "of a Chromium or Chrome; --out with .html needs none"
)


class PictureError(TplusError):
    """The browser is missing or failed."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a drawing in pixels."""

    width: int = 1000
    height: int = 560


def find_browser(named: str | None) -> str:
    """Return the path of the browser.

    Args:
        named: A path or program name; None or empty = BROWSER_PATH, else the system's browser.

    Raises:
        SettingsError: the named browser is not a program on this machine.
        PictureError: there is no browser.
    """
    if named:
        path = shutil.which(named)
        if path is None:
            raise SettingsError(f"TPLUS_BROWSER names {named}, which is not a program on this machine; {_ADVICE}")
        return path
    found = Chromium.find_browser(skip_local=False)
    if found is None:
        raise PictureError(f"no Chromium or Chrome was found for pictures; {_ADVICE}")
    if not os.access(found, os.X_OK):
        raise PictureError(f"BROWSER_PATH names {found}, which is not a program on this machine; {_ADVICE}")
    return found


def picture(answer: FigureAnswer, form: Format, size: Size, browser: str | None) -> bytes:
    """Return the figure as PNG or SVG, with its title above and its caption below.

    Args:
        answer: The figure.
        form: `png` or `svg`.
        size: Of the drawing; a PNG has twice as many pixels each way.
        browser: Path or name of the browser; None = the system's.

    Raises:
        SettingsError: the size is too small for title, caption and plot, or the named browser is not a program.
        PictureError: there is no browser, or it failed.
    """
    drawing = _titled(answer, size)
    path = find_browser(browser)
    # No browser sandbox, which root and most containers do not support: it draws this figure and opens no address.
    # MathJax off: it would be loaded from the network.
    chosen = {"path": path, "mathjax": False, "timeout": _SECONDS, "enable_sandbox": False}
    for name in ("choreographer", "kaleido", "browser_proc"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options = {"format": form, "width": size.width, "height": size.height, "scale": SCALE if form == "png" else 1}
    try:
        image: bytes = kaleido.calc_fig_sync(drawing, options, kopts=chosen)
    except TimeoutError as error:
        raise PictureError(f"{path} took longer than {_SECONDS:.0f} s for the picture; {_ADVICE}") from error
    except (BrowserClosedError, BrowserFailedError, ChannelClosedError, ChromeNotFoundError, OSError) as error:
        raise PictureError(f"{path} ended before the picture was drawn; {_ADVICE}") from error
    except KaleidoError as error:
        raise PictureError(f"{path} could not draw the picture: {' '.join(str(error).split())}; {_ADVICE}") from error
    return image


def _titled(answer: FigureAnswer, size: Size) -> dict[str, Any]:
    """Return the figure with its title above and its caption below."""
    plain = answer.figure.layout
    lines = textwrap.wrap(answer.caption, size.width // _LETTER, break_long_words=False, break_on_hyphens=False)
    margin = {**plain["margin"], "t": _ABOVE + _LINE * len(lines), "l": _EDGE, "r": _EDGE}
    least = margin["t"] + margin["b"] + _MIN_PLOT
    if size.height < least:
        raise SettingsError(
            f"plot: --height {size.height} is too small for the plot and its caption; with --width {size.width} "
            f"use {least} or more"
        )
    title = {
        "text": answer.title,
        "subtitle": {"text": "<br>".join(lines), "font": {"size": 12, "color": plain["font"]["color"]}},
        "x": _EDGE / size.width,
        "xanchor": "left",
        "y": 1 - _EDGE / size.height,
        "yanchor": "top",
        "font": {"size": 17},
    }
    return {"data": answer.figure.data, "layout": {**plain, "margin": margin, "title": title}}
