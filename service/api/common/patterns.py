"""Patterns of text parameters, and what a text must be that does not match."""

from collections.abc import Mapping

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.=^-]{0,39}$"
WORD_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9_/.=^-]{0,39}$"
FORECASTER_PATTERN = r"^[a-z0-9_]{1,40}$"
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
ACTION_PATTERN = r"^[a-z][a-z_.-]{0,59}$"
ACTOR_PATTERN = r"^[A-Za-z][A-Za-z0-9 ._-]{0,59}$"

PATTERNS: Mapping[str, str] = {
    SYMBOL_PATTERN: "must be a symbol of at most 40 letters, digits and .=^- such as AAPL, 7203.T or BTC-USD",
    WORD_PATTERN: "must be a name of at most 40 letters, digits and _/.=^- such as equity or XNYS",
    FORECASTER_PATTERN: "must be served, all, or the name of a forecaster such as random_walk",
    ACTION_PATTERN: "must be an action of at most 60 small letters and ._- such as keys.create",
    ACTOR_PATTERN: "must be the name of a key, at most 60 letters, digits, spaces and ._-, or command line",
    CURSOR_PATTERN: "must be `next_cursor` of the previous page, or be omitted",
}
"""Pattern -> predicate of the message."""
