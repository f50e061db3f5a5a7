"""A stand-in for Yahoo on loopback: an HTTP proxy that answers the cookie, crumb and chart routes itself.

It serves generated symbols as Yahoo serves real ones: split-adjusted bars up to an instant that the test sets,
dividends and splits as events, and any fault that a test configures.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import yfinance
from yfinance import base, cache
from yfinance.data import SingletonMeta, YfData

from service.market.exchange_calendar import MarketCalendar, get_calendar


class Fault(StrEnum):
    """A fault of an answer."""

    RATE_LIMIT = "rate_limit"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    BAD_GATEWAY = "bad_gateway"
    CHART_ERROR = "chart_error"
    NO_START = "no_start"
    EMPTY_RESULT = "empty_result"
    CUT_JSON = "cut_json"
    SHORT_BODY = "short_body"
    RESET = "reset"
    HANG = "hang"
    DOWN = "down"
    NO_VOLUME = "no_volume"
    NO_CURRENCY = "no_currency"
    UNEQUAL = "unequal"
    EMPTY_BODY = "empty_body"
    EMPTY_JSON = "empty_json"
    NULL_RESULT = "null_result"
    DUPLICATE_LAST = "duplicate_last"
    DAY_EARLY = "day_early"


COOKIE, CRUMB = "cookie", "crumb"
"""Targets of faults other than symbols."""


@dataclass(frozen=True)
class StandinSymbol:
    """A generated symbol: a seeded random walk on its exchange's sessions.

    Attributes:
        first: First session.
        calendar: Calendar name.
        dividends: Cash per share as paid, by ex-date.
        gains: Capital gains per share as paid, by ex-date: yfinance reads them for funds alone, see `meta`.
        paid: Cash that leaves the price from an ex-date on; the walk itself does not fall with dividends.
        splits: New shares per old one, by ex-date.
        nulls: Sessions whose figures are all null.
        unannounced: Ex-dates of splits that move the bars and are not among the events.
        unapplied: Ex-dates of splits that are among the events and have not moved the bars.
        scaled: Factors of the prices of single sessions: corrections and wrong units.
        meta: Fields of the answer's `meta` that differ from a US stock's.
        seed: Seed of the walk.
    """

    first: date
    calendar: str = "XNYS"
    dividends: Mapping[date, float] = field(default_factory=dict)
    gains: Mapping[date, float] = field(default_factory=dict)
    paid: Mapping[date, float] = field(default_factory=dict)
    splits: Mapping[date, float] = field(default_factory=dict)
    nulls: frozenset[date] = frozenset()
    unannounced: frozenset[date] = frozenset()
    unapplied: frozenset[date] = frozenset()
    scaled: Mapping[date, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def sessions(self, until: datetime) -> list[date]:
        """Return the sessions that had opened by an instant."""
        opened = self.market(until).newest_opened(until)
        return [] if opened is None or opened < self.first else self.market(until).sessions(self.first, opened)

    def market(self, until: datetime) -> MarketCalendar:
        """Return the calendar that covers the symbol up to an instant."""
        return get_calendar(self.calendar, self.first, until.date())

    def traded(self, count: int) -> list[dict[str, float]]:
        """Return as-traded bars of the first `count` sessions, before splits: exact binary fractions."""
        steps = np.random.default_rng(self.seed).integers(-8, 9, size=count)
        closes = 128.0 + np.cumsum(steps) / 8.0
        return [
            {"open": c - 0.25, "high": c + 0.5, "low": c - 0.75, "close": c, "volume": 1000.0 + 10 * k}
            for k, c in enumerate(map(float, closes))
        ]

    def served(self, until: datetime) -> dict[date, dict[str, float]]:
        """Return bars as Yahoo serves them at an instant: adjusted to the newest split visible then."""
        days = self.sessions(until)
        bars: dict[date, dict[str, float]] = {}
        for day, bar in zip(days, self.traded(len(days)), strict=True):
            ahead = self.ahead(day, days[-1])
            scale = self.scaled.get(day, 1.0) / ahead
            paid = sum(cash for ex, cash in self.paid.items() if ex <= day)
            bars[day] = {
                name: value * ahead if name == "volume" else (value - paid) * scale for name, value in bar.items()
            }
        return bars

    def adjusted(self, bars: Mapping[date, Mapping[str, float]]) -> dict[date, float]:
        """Return Adj Close of served bars: Close times 1 - dividend / previous close, over all later ex-dates."""
        days = list(bars)
        factor, adjusted = 1.0, {}
        for k in reversed(range(len(days))):
            adjusted[days[k]] = bars[days[k]]["close"] * factor
            if k and days[k] in self.dividends:
                cash = self.dividends[days[k]] / self.ahead(days[k], days[-1])
                factor *= 1 - cash / bars[days[k - 1]]["close"]
        return adjusted

    def ahead(self, day: date, newest: date) -> float:
        """Return the product of the splits after a session, up to the newest one."""
        applied = {ex: ratio for ex, ratio in self.splits.items() if ex not in self.unapplied}
        return float(np.prod([ratio for ex, ratio in applied.items() if day < ex <= newest]))


class Standin:
    """The running stand-in; a context manager. `until` may be moved forward while it runs.

    `rewritten` holds functions by symbol that make the whole body of an answer from a correct chart document.
    """

    def __init__(self, symbols: Mapping[str, StandinSymbol], until: datetime) -> None:
        self.symbols = dict(symbols)
        self.until = until
        self.cookie = _COOKIE
        self.requests: list[str] = []
        self.rewritten: dict[str, Callable[[dict[str, Any]], bytes]] = {}
        self._faults: dict[str, list[tuple[Fault, int | None]]] = {}
        self._lock = threading.Lock()
        standin = self

        class Handler(_Handler):
            owner = standin

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "Standin":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Address to give to the source."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, target: str, fault: Fault, times: int | None = None) -> None:
        """Make the next `times` answers for a symbol, COOKIE or CRUMB fail; all for None."""
        with self._lock:
            self._faults.setdefault(target, []).append((fault, times))

    def heal(self) -> None:
        """Drop all faults."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, target: str) -> Fault | None:
        """Return the fault of the next answer, None for a correct one."""
        with self._lock:
            queue = self._faults.get(target)
            if not queue:
                return None
            fault, times = queue[0]
            if times is not None:
                queue[0] = (fault, times - 1)
                if times <= 1:
                    queue.pop(0)
            return fault

    def chart(self, symbol: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
        """Return a symbol's chart document for a window of epoch seconds, or its newest bar."""
        spec = self.symbols[symbol]
        market, bars = spec.market(self.until), spec.served(self.until)
        stamps = {day: int(market.open_at(day).timestamp()) for day in bars}
        if "period1" in query:
            first, last = int(query["period1"][0]), int(query["period2"][0])
            days = [day for day in bars if first <= stamps[day] < last]
        else:
            days = list(bars)[-1:]
        quote = {
            name: [None if day in spec.nulls else bars[day][name] for day in days]
            for name in ("open", "high", "low", "close", "volume")
        }
        newest, adjusted = max(bars, default=spec.first), spec.adjusted(bars)
        shown = [None if day in spec.nulls else adjusted[day] for day in days]
        return {
            "meta": {**_META, "symbol": symbol, "firstTradeDate": stamps.get(spec.first, 0), **spec.meta},
            "timestamp": [stamps[day] for day in days],
            "events": {
                "dividends": {
                    str(stamps[ex]): {"amount": cash / spec.ahead(ex, newest), "date": stamps[ex]}
                    for ex, cash in spec.dividends.items() if ex in days
                },
                "capitalGains": {
                    str(stamps[ex]): {"amount": cash, "date": stamps[ex]}
                    for ex, cash in spec.gains.items() if ex in days
                },
                "splits": {
                    str(stamps[ex]): {"date": stamps[ex], "numerator": ratio, "denominator": 1}
                    for ex, ratio in spec.splits.items() if ex in days and ex not in spec.unannounced
                },
            },
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": shown}]},
        }  # fmt: skip


_META: dict[str, Any] = {
    "currency": "USD",
    "exchangeName": "NMS",
    "fullExchangeName": "NasdaqGS",
    "instrumentType": "EQUITY",
    "exchangeTimezoneName": "America/New_York",
    "timezone": "EST",
    "gmtoffset": -18000,
    "regularMarketTime": 1543593600,
    "longName": "Made-up Company, Inc.",
    "priceHint": 2,
    "dataGranularity": "1d",
    "validRanges": ["1d", "5d", "1mo", "1y", "max"],
}


class _Handler(BaseHTTPRequestHandler):
    owner: Standin
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the owner records the requests."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.owner.requests.append(f"{parts.hostname}{parts.path}")
        if parts.hostname == "fc.yahoo.com":
            self._answer(self.owner.next_fault(COOKIE), b"", "text/html", {"Set-Cookie": self.owner.cookie})
        elif parts.path.endswith("/getcrumb"):
            self._answer(self.owner.next_fault(CRUMB), b"made.up.crumb", "text/plain")
        elif "/finance/chart/" in parts.path:
            self._chart(unquote(parts.path.rpartition("/")[2]), parse_qs(parts.query))
        elif parts.hostname in ("guce.yahoo.com", "consent.yahoo.com"):
            self._send(200, b"<html></html>", "text/html")
        else:
            self._send(404, b"{}", "application/json")

    def _chart(self, symbol: str, query: Mapping[str, list[str]]) -> None:
        if symbol not in self.owner.symbols:
            self._send(404, _chart_error("Not Found", "No data found, symbol may be delisted"), "application/json")
            return
        result = self.owner.chart(symbol, query)
        if symbol in self.owner.rewritten:
            self._send(200, self.owner.rewritten[symbol](result), "application/json")
            return
        fault = self.owner.next_fault(symbol)
        _spoil(result, fault)
        self._answer(fault, json.dumps({"chart": {"result": [result], "error": None}}).encode(), "application/json")

    def _answer(self, fault: Fault | None, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        if fault in _DOCUMENTS:
            self._send(*_DOCUMENTS[fault])
        elif fault is Fault.CUT_JSON:
            self._send(200, body[: len(body) // 2], kind)
        elif fault is Fault.SHORT_BODY:
            self._send(200, body[: len(body) // 2], kind, {"Content-Length": str(len(body))})
        elif fault is Fault.RESET:
            self.close_connection = True
        elif fault is Fault.HANG:
            time.sleep(30)
        else:
            self._send(200, body, kind, headers)

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if headers and int(headers.get("Content-Length", 0)) > len(body):
            self.close_connection = True


_COOKIE = "A3=made-up; Domain=.yahoo.com; Path=/; Expires=Fri, 01 Jan 2038 00:00:00 GMT"


def _spoil(result: dict[str, Any], fault: Fault | None) -> None:
    """Corrupt a chart document so that it is still a document."""
    quote, stamps = result["indicators"]["quote"][0], result["timestamp"]
    if fault is Fault.NO_VOLUME:
        del quote["volume"]
    elif fault is Fault.NO_CURRENCY:
        del result["meta"]["currency"]
    elif fault is Fault.UNEQUAL:
        quote["close"] = quote["close"][:-1]
    elif fault is Fault.DUPLICATE_LAST:
        for column in (*quote.values(), *(each["adjclose"] for each in result["indicators"]["adjclose"])):
            column.append(column[-1])
        quote["close"][-1] += 0.125  # the price moved later in the day, by an eighth like every price here
        stamps.append(stamps[-1] + 3600)
    elif fault is Fault.DAY_EARLY:
        stamps[:] = [stamp - 86_400 for stamp in stamps]


def _chart_error(code: str, text: str) -> bytes:
    return json.dumps({"chart": {"result": None, "error": {"code": code, "description": text}}}).encode()


_DOCUMENTS: dict[Fault | None, tuple[int, bytes, str]] = {
    Fault.RATE_LIMIT: (429, b"Too Many Requests", "text/plain"),
    Fault.UNAUTHORISED: (401, b'{"finance": {"error": {"code": "Unauthorized"}}}', "application/json"),
    Fault.FORBIDDEN: (403, b"<html>Forbidden</html>", "text/html"),
    Fault.BAD_GATEWAY: (502, b"<html>Bad gateway</html>", "text/html"),
    Fault.CHART_ERROR: (500, _chart_error("Internal", "Something broke inside"), "application/json"),
    Fault.NO_START: (
        400,
        _chart_error("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"),
        "text/json",
    ),
    Fault.NULL_RESULT: (200, b'{"chart": {"result": null, "error": null}}', "application/json"),
    Fault.EMPTY_BODY: (200, b"", "application/json"),
    Fault.EMPTY_JSON: (200, b"{}", "application/json"),
    Fault.EMPTY_RESULT: (200, b'{"chart": {"result": [], "error": null}}', "application/json"),
    Fault.DOWN: (200, b"<html>Will be right back</html>", "text/html"),
}


def forget_session() -> None:
    """Make yfinance begin a new session, as a new process over the same cache folder does."""
    YfData.cache_get.cache_clear()
    SingletonMeta._instances.pop(YfData, None)


def reset_yfinance() -> None:
    """Reset yfinance to the state of a new process; only this function uses its private names."""
    cache._TzCacheManager._tz_cache = None
    cache._CookieCacheManager._Cookie_cache = None
    cache._ISINCacheManager._isin_cache = None
    forget_session()
    base._tz_info_fetch_ctr = 0
    yfinance.config._load_option()


def instant(day: date, hour: int = 23) -> datetime:
    """Return the aware UTC instant of an hour on a date."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
