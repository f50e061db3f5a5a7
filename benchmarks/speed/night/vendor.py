"""A vendor on loopback without a rate limit: thousands of made-up symbols, in a process of its own.

It is the stand-in of the tests with other prices: each answer is made when its request comes, so that two thousand
histories need no memory. Equal names have equal prices. Volatility clusters, in the market and in each symbol; it
rises when the market falls, `^VIX` follows it and `SPY` is the market. Two symbols in three pay quarterly dividends.
Splits are rare, and some fall into the measured nights, so that histories are re-based.
"""

import multiprocessing
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.market.exchange_calendar import get_calendar
from tests.support.standin import Standin

FloatArray = NDArray[np.float64]

CALENDAR = "XNYS"
MARKET, VOLATILITY = "SPY", "^VIX"
DAILY = 0.011
"""Long-run daily volatility of the market."""
LARGEST = 0.15
"""Largest daily log return: a larger one would be a suspect bar."""
SPLIT_SHARE = 8
"""One symbol in this many splits once in its history."""
LATE_SPLIT_SHARE = 60
"""One symbol in this many splits in a measured night."""
_SPAN = 63
"""Sessions between two dividends."""


@dataclass(frozen=True, slots=True)
class Series:
    """Prices of one symbol after all its splits, `(n,)` each.

    Attributes:
        bars: Open, high, low, close and volume by name.
        dividends: Cash per share by position of the ex-date.
        splits: New shares per old share by position of the ex-date.
    """

    bars: Mapping[str, FloatArray]
    dividends: Mapping[int, float]
    splits: Mapping[int, float]


def names(count: int) -> tuple[str, ...]:
    """Return that many symbols, without the reference series."""
    return tuple(f"N{number:04d}" for number in range(count))


class Market:
    """Every series on the same sessions.

    Args:
        first: First date.
        last: Last date (inclusive).
        nights: Number of last sessions in which some symbols split.
    """

    def __init__(self, first: date, last: date, nights: int) -> None:
        table = get_calendar(CALENDAR, first, last).table(first, last)
        self.stamps = table.open_at.astype("datetime64[s]").astype(np.int64)
        self._nights = nights

    def __len__(self) -> int:
        return len(self.stamps)

    def series(self, symbol: str) -> Series:
        """Return the prices of a symbol; the same each time."""
        draw = np.random.default_rng(zlib.crc32(symbol.encode()))
        if symbol == VOLATILITY:
            noise = np.exp(0.03 * draw.standard_normal(len(self)))
            level = 100.0 * np.sqrt(252.0) * self._factor[1] * 1.1 * noise
            return Series(_bars(level, draw, volume=0.0), {}, {})
        returns, _ = self._factor
        if symbol != MARKET:
            own_volatility = 0.014 * np.exp(0.25 * draw.standard_normal()) * _clustered(len(self), draw)
            own = own_volatility * _shocks(len(self), draw)
            returns = (0.6 + 0.8 * draw.random()) * returns + own
        closes = (20.0 + 180.0 * draw.random()) * np.exp(np.cumsum(np.clip(returns, -LARGEST, LARGEST)))
        dividends = self._dividends(symbol, closes, draw)
        splits = self._splits(symbol, draw)
        return Series(_bars(closes, draw, volume=1e6), dividends, splits)

    def _splits(self, symbol: str, draw: np.random.Generator) -> dict[int, float]:
        places = []
        if symbol != MARKET and draw.integers(SPLIT_SHARE) == 0:
            places.append(int(draw.integers(len(self) // 10, len(self) - 2 * self._nights)))
        if symbol != MARKET and draw.integers(LATE_SPLIT_SHARE) == 0:
            places.append(int(draw.integers(len(self) - self._nights, len(self))))
        return {place: float(draw.choice([2.0, 3.0])) for place in places}

    def _dividends(self, symbol: str, closes: FloatArray, draw: np.random.Generator) -> dict[int, float]:
        if symbol != MARKET and draw.integers(3) == 0:
            return {}
        places = range(1 + int(draw.integers(_SPAN)), len(self), _SPAN)
        return {place: round(0.004 * float(closes[place - 1]), 4) for place in places}

    @cached_property
    def _factor(self) -> tuple[FloatArray, FloatArray]:
        """Returns and volatility of the market."""
        draw = np.random.default_rng(20)
        shocks = _shocks(len(self), draw)
        logs = np.empty(len(self))
        level = 0.0
        for day in range(len(self)):  # a fall raises the volatility of the days after it
            logs[day] = level
            level = 0.97 * level - 0.06 * shocks[day] + 0.07 * draw.standard_normal()
        volatility = DAILY * np.exp(logs - logs.var() / 2)
        return 0.0002 + volatility * shocks, volatility


def _clustered(count: int, draw: np.random.Generator) -> FloatArray:
    """Return `(count,)` volatilities around 1 that persist."""
    steps = 0.15 * draw.standard_normal(count)
    kernel = 0.95 ** np.arange(120)
    logs = np.convolve(steps, kernel)[:count]
    return np.asarray(np.exp(logs - logs.var() / 2))


def _shocks(count: int, draw: np.random.Generator) -> FloatArray:
    """Return `(count,)` independent shocks of unit variance with heavy tails."""
    return np.asarray(draw.standard_t(6, count) / np.sqrt(6 / 4))


def _bars(closes: FloatArray, draw: np.random.Generator, volume: float) -> dict[str, FloatArray]:
    spread = 0.004 * closes * (1 + draw.random(len(closes)))
    opens = np.concatenate([closes[:1], closes[:-1]]) * np.exp(0.003 * draw.standard_normal(len(closes)))
    return {
        "open": opens,
        "high": np.maximum(opens, closes) + spread,
        "low": np.minimum(opens, closes) - spread,
        "close": closes,
        "volume": np.round(volume * np.exp(0.3 * draw.standard_normal(len(closes)))),
    }


class Vendor(Standin):
    """The stand-in of the tests with the series of a `Market`.

    Args:
        market: The series.
        symbols: Names that it serves, the reference series included.
    """

    def __init__(self, market: Market, symbols: Collection[str]) -> None:
        super().__init__(dict.fromkeys(symbols), datetime.fromtimestamp(int(market.stamps[0]), UTC))  # type: ignore[arg-type]
        self._market = market

    def chart(self, symbol: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
        """Return a symbol's chart document for a window of epoch seconds, or its newest bar."""
        stamps, series = self._market.stamps, self._market.series(symbol)
        served = int(np.searchsorted(stamps, self.until.timestamp(), side="right"))
        first, last = served - 1, served
        if "period1" in query:
            first = int(np.searchsorted(stamps, int(query["period1"][0])))
            last = min(served, int(np.searchsorted(stamps, int(query["period2"][0]))))
        # Prices are those after all splits: those that are still ahead are taken back.
        ahead = float(np.prod([ratio for place, ratio in series.splits.items() if place >= served]))
        quote = {
            name: np.round(values[first:last] * (1 / ahead if name == "volume" else ahead), 6).tolist()
            for name, values in series.bars.items()
        }
        days = range(first, last)
        return {
            "meta": _meta(symbol, int(stamps[0])),
            "timestamp": stamps[first:last].tolist(),
            "events": {
                "dividends": {
                    str(stamps[day]): {"amount": round(cash * ahead, 6), "date": int(stamps[day])}
                    for day, cash in series.dividends.items() if day in days
                },
                "splits": {
                    str(stamps[day]): {"date": int(stamps[day]), "numerator": ratio, "denominator": 1}
                    for day, ratio in series.splits.items() if day in days
                },
            },
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
        }  # fmt: skip


def _meta(symbol: str, first: int) -> dict[str, Any]:
    return {
        "currency": "USD",
        "symbol": symbol,
        "exchangeName": "NYQ",
        "fullExchangeName": "NYSE",
        "instrumentType": "INDEX" if symbol == VOLATILITY else "ETF" if symbol == MARKET else "EQUITY",
        "firstTradeDate": first,
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EST",
        "gmtoffset": -18000,
        "regularMarketTime": first,
        "longName": f"Made-up Company {symbol}",
        "priceHint": 2,
        "dataGranularity": "1d",
        "validRanges": ["1d", "5d", "1mo", "1y", "max"],
    }


@dataclass(frozen=True, slots=True)
class RunningVendor:
    """A vendor in a process of its own.

    Attributes:
        url: Its address, for `TPLUS_YAHOO_STANDIN_URL`.
        pipe: This end of the pipe to the process.
    """

    url: str
    pipe: Connection

    def move(self, until: datetime) -> None:
        """Serve the bars of sessions that had opened by an instant, from now on."""
        self.pipe.send(until)
        self.pipe.recv()

    def answered(self) -> int:
        """Return how many charts it has served so far."""
        self.pipe.send(None)
        return int(self.pipe.recv())


@contextmanager
def running_vendor(market: Market, symbols: Collection[str]) -> Iterator[RunningVendor]:
    """Run a vendor for a block."""
    context = multiprocessing.get_context("spawn")
    pipe, child_pipe = context.Pipe()
    process = context.Process(target=_serve, args=(child_pipe, market, tuple(symbols)), name="vendor", daemon=True)
    process.start()
    child_pipe.close()
    try:
        yield RunningVendor(pipe.recv(), pipe)
    finally:
        pipe.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Connection, market: Market, symbols: tuple[str, ...]) -> None:
    with Vendor(market, symbols) as vendor:
        pipe.send(vendor.url)
        while True:
            try:
                until = pipe.recv()
            except EOFError:
                return
            if until is not None:
                vendor.until = until
            pipe.send(sum("/finance/chart/" in request for request in vendor.requests))
