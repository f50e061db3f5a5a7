"""Writes log lines as JSON, one event per line, for any collector."""

import json
import logging
import re
import sys
from contextlib import nullcontext
from typing import Any, TextIO

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


_VERBOSE = ("alembic", "exchange_calendars", "peewee", "yfinance", "asyncio", "urllib3")
"""Libraries whose info lines do not help users."""


_SECRETS = re.compile(
    r"(?P<before>\w+://[^\s:/@?#]*:)[^\s@]+(?=@)"  # user:password@ of a URL; a password may have a slash
    r"|(?P<parameter>(?<![A-Za-z])(?:ssl)?password=)(?:'[^']*'|[^\s&;,'\"]+)"  # of a URL, or of libpq
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<key>\btplus_)[A-Za-z0-9_-]{40,}"
    r"|(?P<webhook>\bwhsec_)[A-Za-z0-9+/=_-]{16,}",
    re.IGNORECASE,
)
_MASK = "***"
_HARMLESS = re.compile(r"[0-9A-Za-z.:/{}-]*", re.ASCII)
"""A text without @, =, _ and spaces, one of which every secret has: found in a fraction of the time."""


def mask_secrets(text: str) -> str:
    """Return a text with passwords of URLs, credentials of headers, and keys replaced by `***`."""
    if _HARMLESS.fullmatch(text):
        return text
    return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}{_MASK}", text)


def _mask_secrets(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Mask secrets in every text of a line: messages of drivers and libraries can hold them."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = mask_secrets(value)
    return event


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's events to a stream as JSON lines.

    Args:
        level: debug, info, warning or error.
        stream: Target; None = standard error. A terminal gets plain lines without info, which tables and bars
            show.
    """
    target = stream or sys.stderr
    is_terminal = target.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    if is_terminal:
        renderer = structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(target)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_secrets, renderer],
    )
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    global _json_handler
    _json_handler = None if is_terminal or _LEVELS[level] > logging.INFO else handler
    root.setLevel(logging.WARNING if is_terminal and level == "info" else _LEVELS[level])
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
    # It warns at each request without a network; the pull reports the same once, with what to do.
    logging.getLogger("yfinance").setLevel(max(_LEVELS[level], logging.ERROR))


_json_handler: "logging.StreamHandler[TextIO] | None" = None
"""The handler of JSON lines, if lines of level info are written."""

_add_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def write_info(event: dict[str, Any]) -> bool:
    """Write an info line as structlog would, in a tenth of its time; returns False if the long way must.

    The busy API writes thousands of lines a second.

    Args:
        event: The fields of the line, `event` among them; changed.
    """
    handler, root = _json_handler, logging.getLogger()
    if handler is None or root.handlers != [handler]:
        return False
    event["level"] = "info"
    event = dict(_mask_secrets(None, "info", _add_timestamp(None, "info", event)))
    text = json.dumps(event, default=repr) + "\n"
    try:
        with handler.lock or nullcontext():
            handler.stream.write(text)
            handler.flush()
    except (OSError, ValueError):
        return False  # the stream is closed: `logging` deals with it, and no request fails for it
    return True
