"""Translates exceptions of yfinance into the five errors of a price source."""

import json
import re

from curl_cffi.requests import exceptions as http
from yfinance.exceptions import YFDataException, YFPricesMissingError, YFRateLimitError, YFTzMissingError

from service.errors import SourceError
from service.prices.sources.base import Malformed, NoData, RateLimited, Transient, UnknownSymbol

_UNKNOWN_REASONS = ("may be delisted", "symbol not found", "no data found for")
_NO_DATA_REASONS = ("data doesn't exist for startdate", "no data for the requested")
_CURL_REASON = re.compile(r"curl: \(\d+\) (?P<reason>.+?)\.? See https://curl\.se/")
_UNREACHABLE = (5, 6, 7)
"""curl's numbers: proxy or host not found, connection refused."""
_NOT_FOUND = 404
_TOO_MANY_REQUESTS = 429


def translate(symbol: str, error: Exception) -> SourceError:
    """Return the source error for an exception of `Ticker.history`; Malformed if the exception is unexpected.

    Args:
        symbol: The requested symbol.
        error: Exception that yfinance raises with `hide_exceptions` off.

    Returns:
        The error to raise; its message names the symbol, the cause and what to do.
    """
    if isinstance(error, YFRateLimitError):
        return _rate_limited(symbol)
    if isinstance(error, YFPricesMissingError):
        return _no_prices(symbol, error.yahoo_reason)
    if isinstance(error, YFTzMissingError):
        return _unknown(symbol)
    if isinstance(error, YFDataException):
        return _transient(symbol, "Yahoo reports that it is down")
    # IncompleteRead is an HTTPError without a status, so a temporary fault like every other OSError.
    if isinstance(error, http.HTTPError) and not isinstance(error, http.IncompleteRead):
        return _by_status(symbol, error)
    if isinstance(error, json.JSONDecodeError):
        return _transient(symbol, f"the answer is not a complete JSON document ({error.msg} at character {error.pos})")
    if isinstance(error, KeyError) and error.args == ("chart",):
        return _transient(symbol, "Yahoo refused without a reason")
    if isinstance(error, http.DNSError | http.ConnectTimeout | http.ProxyError) or _code(error) in _UNREACHABLE:
        return _transient(symbol, f"Yahoo cannot be reached ({_curl_reason(error)})")
    if isinstance(error, OSError):
        return _transient(symbol, f"the connection failed ({type(error).__name__}: {error})")
    return Malformed(
        f"{symbol}: Yahoo's answer cannot be read ({type(error).__name__}: {error}); "
        "if this lasts, look for a yfinance release that reads the new format"
    )


def _code(error: Exception) -> int | None:
    """Return curl's number of an error."""
    code = getattr(error, "code", None)
    return None if code is None else int(code)


def _curl_reason(error: Exception) -> str:
    """Return curl's reason without its number and its link: "Could not resolve host: query2.finance.yahoo.com"."""
    found = _CURL_REASON.search(str(error))
    return found["reason"] if found else f"{type(error).__name__}: {error}"


def _no_prices(symbol: str, reason: str | None) -> SourceError:
    if reason is None:
        return NoData(f"{symbol}: Yahoo gave no bars in the window and no reason; widen the window or try later")
    lowered = reason.lower()
    if any(part in lowered for part in _NO_DATA_REASONS):
        return NoData(f"{symbol}: Yahoo has no bars in the window ({reason}); widen it")
    if any(part in lowered for part in _UNKNOWN_REASONS):
        return _unknown(symbol, reason)
    return _transient(symbol, f"Yahoo answered: {reason}")


def _by_status(symbol: str, error: http.HTTPError) -> SourceError:
    status = getattr(error.response, "status_code", None)
    if status == _NOT_FOUND:
        return _unknown(symbol)
    return _rate_limited(symbol) if status == _TOO_MANY_REQUESTS else _transient(symbol, f"HTTP status {status}")


def _rate_limited(symbol: str) -> RateLimited:
    return RateLimited(f"{symbol}: rate limited by Yahoo (HTTP 429); the rest of the run is retried later")


def _unknown(symbol: str, reason: str = "not found") -> UnknownSymbol:
    return UnknownSymbol(f"{symbol}: Yahoo has no such symbol ({reason}); check its spelling and exchange suffix")


def _transient(symbol: str, cause: str) -> Transient:
    return Transient(f"{symbol}: {cause}; try again later")
