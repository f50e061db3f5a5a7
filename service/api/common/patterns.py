"""Patterns of text parameters, and what a text must be that does not match."""

from collections.abc import Mapping

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.=^-]{0,39}$"
WORD_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9_/.=^-]{0,39}$"
FORECASTER_PATTERN = r"^[a-z0-9_]{1,40}$"
NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$"
TARGET_PATTERN = r"^[\x21-\x7e]+$"
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"

PATTERNS: Mapping[str, str] = {
    SYMBOL_PATTERN: "must be a symbol of at most 40 letters, digits and .=^- such as AAPL, 7203.T or BTC-USD",
    WORD_PATTERN: "must be a name of at most 40 letters, digits and _/.=^- such as equity or XNYS",
    FORECASTER_PATTERN: "must be served, all, or the name of a forecaster such as random_walk",
    NAME_PATTERN: "must have no control characters",
    TARGET_PATTERN: "must be a URL of printable ASCII characters without spaces; percent-encode all others",
    CURSOR_PATTERN: "must be `next_cursor` of the previous page, or be omitted",
}
"""Pattern -> predicate of the message."""
