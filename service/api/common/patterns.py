"""Patterns of text parameters, and what a text must be that does not match."""

from collections.abc import Mapping

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.=^-]{0,39}$"
SYMBOLS_PATTERN = r"^( *,)* *[A-Za-z0-9^][A-Za-z0-9.=^-]{0,39} *(, *([A-Za-z0-9^][A-Za-z0-9.=^-]{0,39} *)?){0,499}$"
WORD_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9_/.=^-]{0,39}$"
FORECASTER_PATTERN = r"^[a-z0-9_]{1,40}$"
NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$"
TARGET_PATTERN = r"^[\x21-\x7e]+$"
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
ACTION_PATTERN = r"^[a-z][a-z_.-]{0,59}$"
ACTOR_PATTERN = r"^[A-Za-z][A-Za-z0-9 ._-]{0,59}$"
GROUP_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
CALENDAR_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_/.-]{0,19}$"
IDEMPOTENCY_PATTERN = r"^[!-~]{1,200}$"
REASON_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,500}$"

PATTERNS: Mapping[str, str] = {
    SYMBOL_PATTERN: "must be a symbol of at most 40 letters, digits and .=^- such as AAPL, 7203.T or BTC-USD",
    WORD_PATTERN: "must be a name of at most 40 letters, digits and _/.=^- such as equity or XNYS",
    FORECASTER_PATTERN: "must be served, all, or the name of a forecaster such as random_walk",
    ACTION_PATTERN: "must be an action of at most 60 small letters and ._- such as keys.create",
    ACTOR_PATTERN: "must be the name of a key, at most 60 letters, digits, spaces and ._-, or command line",
    GROUP_PATTERN: "must be a name of at most 40 lower-case letters, digits and _ such as equity",
    CALENDAR_PATTERN: "must be a calendar of at most 20 letters, digits and _/.- such as XNYS or 24/7",
    IDEMPOTENCY_PATTERN: "must be 1 to 200 visible ASCII characters without spaces, such as a UUID",
    REASON_PATTERN: "must be one line of 1 to 500 characters",
    NAME_PATTERN: "must have no control characters",
    TARGET_PATTERN: "must be a URL of printable ASCII characters without spaces; percent-encode all others",
    CURSOR_PATTERN: "must be `next_cursor` of the previous page, or be omitted",
}
"""Pattern -> predicate of the message."""
