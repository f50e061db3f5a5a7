"""The price source `yahoo`: daily bars through yfinance, one symbol per call."""

import random
import shutil
import sqlite3
import tempfile
import threading
import time
import warnings
import weakref
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import curl_cffi.requests
import pandas as pd
import yfinance
from curl_cffi.requests.exceptions import HTTPError, IncompleteRead
from yfinance import cache
from yfinance.data import YfData
from yfinance.exceptions import YFPricesMissingError, YFTzMissingError

from service.errors import SettingsError, SourceError
from service.prices.adjustment.distributions import total_distributions
from service.prices.sources.base import (
    Action,
    ActionKind,
    FetchedPrices,
    InstrumentMeta,
    Malformed,
    NoData,
    Record,
    Transient,
)
from service.prices.sources.replay import COLUMNS
from service.prices.sources.yahoo_errors import translate

_TIMEOUT_SECONDS: Final = 15.0
_RETRIES: Final = 2
_PACE_SECONDS: Final = 0.5
_CHART: Final = "https://query2.finance.yahoo.com/v8/finance/chart/"
_METADATA_KEYS: Final = (
    "symbol",
    "longName",
    "shortName",
    "exchangeName",
    "exchangeTimezoneName",
    "currency",
    "instrumentType",
)
_WINDOW_SLACK: Final = timedelta(days=1)
_AHEAD: Final = timedelta(days=366)
"""Rows of the next days are left out; one that is further ahead shows that the dates of the answer are wrong."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class YahooSource:
    """Serves Yahoo's current daily bars; yfinance keeps one state per process, so create one source per process."""

    def __init__(
        self,
        cache_dir: Path | None = None,
        standin_url: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
        pace: float | None = None,
    ) -> None:
        """Set up yfinance; no request is made before the first fetch.

        Args:
            cache_dir: Folder in which a private cache folder is created, removed with this object; None = the system's
                temporary folder. Processes never share one, because its databases lock.
            standin_url: Address of a stand-in on this machine, for example `http://127.0.0.1:8321`, that gets every
                request instead of Yahoo; None in production.
            timeout: Seconds after which one request fails.
            pace: Minimum seconds between two fetches, plus up to half as much at random; None = 0.5 for Yahoo, 0 for a
                stand-in. Users report that Yahoo blocks them after a hundred quick symbols.

        Raises:
            SettingsError: The stand-in is not an http address on loopback, or the cache folder cannot be created.
        """
        self._timeout = timeout
        self._pace = pace if pace is not None else _PACE_SECONDS * (standin_url is None)
        self._next, self._pacing = 0.0, threading.Lock()
        self._wipes = 0
        self._wiped = False
        self._wiping = threading.Lock()
        self._session = None if standin_url is None else standin_session(standin_url)
        self._private = _private_folder(cache_dir)
        weakref.finalize(self, shutil.rmtree, self._private, ignore_errors=True)
        yfinance.set_tz_cache_location(str(self._private))
        yfinance.config.debug.hide_exceptions = False
        yfinance.config.network.retries = _RETRIES if standin_url is None else 0

    @property
    def name(self) -> str:
        """`yahoo`."""
        return "yahoo"

    @property
    def can_replay(self) -> bool:
        """False: Yahoo serves current data only."""
        return False

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the bars and actions that Yahoo serves now; see `PriceSource.fetch`.

        Args:
            symbol: Yahoo-style name.
            start: First session (inclusive); None = the whole history.
            at: Aware UTC instant; rows and actions of a later exchange-local date are left out.

        Raises:
            RateLimited, Transient, NoData, UnknownSymbol, Malformed: see their docstrings.
        """
        self._wait_turn()
        wipes = self._wipes
        try:
            return self._history(symbol, start, at)
        except SourceError:
            raise
        except Exception as error:
            if not (_is_cache_fault(error) and self._wipe(wipes)):
                raise translate(symbol, error) from error
        try:
            return self._history(symbol, start, at)
        except SourceError:
            raise
        except Exception as error:
            raise translate(symbol, error) from error

    def _wait_turn(self) -> None:
        """Wait until the pace allows the next fetch; all threads share the pace."""
        with self._pacing:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._pace * (1 + random.random() / 2)
        time.sleep(turn - now)

    def _history(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        # Set on each call, because code that resets the filters, such as a test runner, would turn these into errors.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"yfinance(\.|$)")
        # Open-ended, because yfinance caches the answers of closed windows, bad ones included.
        window: dict[str, Any] = {"period": "max"} if start is None else {"start": start.isoformat()}
        ticker = yfinance.Ticker(symbol, session=self._session)
        try:
            frame = self._frame(ticker, window)
        except (YFTzMissingError, IndexError, TypeError, HTTPError) as error:
            if isinstance(error, IncompleteRead):
                raise
            # No zone: the symbol is delisted, has no bars, or Yahoo fails; yfinance reports all three in the same way.
            raise self._chart_error(symbol) from error
        # Key by key, because iterating the mapping would make yfinance fetch intraday bars.
        answer = ticker.get_history_metadata()
        metadata = {key: answer.get(key) for key in _METADATA_KEYS}
        _require_symbol(symbol, metadata["symbol"])
        return _history(symbol, _dated(symbol, frame, start, at), metadata, at)

    def _chart_error(self, symbol: str) -> SourceError:
        """Fetch a symbol's chart directly and return the error with Yahoo's reason for the missing time zone."""
        window = {"range": "5d", "interval": "1d"}
        answer = YfData(session=self._session).get(url=f"{_CHART}{symbol}", params=window, timeout=self._timeout)
        chart = answer.json()["chart"]
        if chart["error"]:
            return translate(symbol, YFPricesMissingError(symbol, "", yahoo_reason=str(chart["error"]["description"])))
        if not chart["result"]:
            return translate(symbol, YFPricesMissingError(symbol, ""))
        return Transient(f"{symbol}: Yahoo serves bars but no time zone; try again later")

    def _frame(self, ticker: Any, window: dict[str, Any]) -> pd.DataFrame:
        frame: pd.DataFrame = ticker.history(
            **window, interval="1d", auto_adjust=False, actions=True, keepna=True,
            repair=False, prepost=False, rounding=False, timeout=self._timeout,
        )  # fmt: skip
        return frame

    def _wipe(self, wipes: int) -> bool:
        """Empty the cache folder, once per run and unless another call did; return whether to retry."""
        with self._wiping:
            if self._wipes == wipes and not self._wiped:
                self._wiped = True
                self._wipes += 1
                for path in self._private.iterdir():
                    path.unlink()
                yfinance.set_tz_cache_location(str(self._private))
                # yfinance reopens its files only when these are empty.
                cache._TzCacheManager._tz_cache = None
                # No cookie file from now on: Yahoo may again set a cookie that yfinance cannot read back.
                cache._CookieCacheManager._Cookie_cache = cache._CookieCacheDummy()
                cache._ISINCacheManager._isin_cache = None
                YfData.cache_get.cache_clear()
            return self._wipes != wipes

    def symbols(self) -> tuple[str, ...]:
        """Empty: Yahoo is not a recorded source."""
        return ()

    def record(self) -> Record | None:
        """None: Yahoo is not a recorded source."""
        return None

    def faults(self) -> tuple[str, ...]:
        """Return nothing: a live source has no files."""
        return ()

    def begin_run(self) -> None:
        """Drop the answers that yfinance caches in memory, because a bad one would be served again."""
        YfData.cache_get.cache_clear()
        self._wiped = False


def _private_folder(cache_dir: Path | None) -> Path:
    try:
        if cache_dir is not None:
            cache_dir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="yfinance-", dir=cache_dir))
    except OSError as error:
        where = "the system's temporary folder" if cache_dir is None else f"the folder {cache_dir}"
        raise SettingsError(
            f"{where} cannot hold yfinance's cache ({error.strerror}); set TPLUS_DATA_DIR to a writable folder"
        ) from error


class LoopbackSession(curl_cffi.requests.Session[curl_cffi.requests.Response]):
    """A browser-like session that sends every request to a stand-in on this machine.

    The stand-in is the proxy of every request. Only plain http shows the requested address to a proxy, so https
    becomes http; any other request would need a tunnel, which the stand-in refuses.
    """

    # Mirrors request() of the parent class; its thirty options pass through unchanged.
    def request(self, method: Any, url: str, *args: Any, **options: Any) -> curl_cffi.requests.Response:
        """Send a request as the parent does, over http."""
        return super().request(method, url.replace("https://", "http://", 1), *args, **options)


def standin_session(url: str) -> LoopbackSession:
    """Return a session that reaches a stand-in only.

    Raises:
        SettingsError: The address is not http on loopback with a port.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.port is None:
        raise SettingsError(
            f"TPLUS_YAHOO_STANDIN_URL {url!r} is not a stand-in on this machine; "
            "use http://127.0.0.1:PORT, or unset it for Yahoo itself"
        )
    return LoopbackSession(proxies={"http": url, "https": url}, impersonate="chrome", trust_env=False)


def _is_cache_fault(error: Exception) -> bool:
    """Return whether a damaged cache may be the cause: a broken database, or an incomplete cookie."""
    if error.args == ("chart",):
        return False  # an error of the vendor in JSON, not a missing key in the cache
    return isinstance(error, (sqlite3.DatabaseError, KeyError, TypeError)) or type(error).__module__ == "peewee"


def _require_symbol(symbol: str, answered: object) -> None:
    """Raise Malformed if the answer is for another symbol."""
    if answered is not None and str(answered).casefold() != symbol.casefold():
        raise Malformed(f"{symbol}: Yahoo answered with the bars of {str(answered)[:40]!r}; try again later")


def _dated(symbol: str, frame: pd.DataFrame, start: date | None, at: datetime) -> pd.DataFrame:
    """Return the data frame if each row has a date that the request allows.

    Raises:
        Malformed: a row has no date, one before the requested window, or one more than a year ahead.
    """
    if len(frame) == 0 or not isinstance(frame.index, pd.DatetimeIndex):
        return frame
    if frame.index.isna().any():
        raise Malformed(f"{symbol}: Yahoo's answer has a bar without a date; try again later")
    days = frame.index.tz_localize(None)
    oldest, newest = days.min().date(), days.max().date()
    if start is not None and oldest < start - _WINDOW_SLACK:
        raise Malformed(
            f"{symbol}: Yahoo answered a bar of {oldest}, requested were bars from {start} on; try again later"
        )
    if newest > at.date() + _AHEAD:
        raise Malformed(f"{symbol}: Yahoo answered a bar of {newest}, which is in the future; try again later")
    return frame


def _history(symbol: str, frame: pd.DataFrame, metadata: dict[str, Any], at: datetime) -> FetchedPrices:
    """Convert the data frame of yfinance."""
    missing = [name for name in ("Open", "High", "Low", "Close", "Volume") if name not in frame.columns]
    if len(frame) == 0:
        raise NoData(f"{symbol}: Yahoo gave no bars in the window; widen the window or try later")
    if missing or not isinstance(frame.index, pd.DatetimeIndex):
        raise Malformed(f"{symbol}: Yahoo's answer lacks {', '.join(missing) or 'dates'}; try again later")
    # Exchange-local dates: UTC would move the dates of Tokyo by a day.
    index = frame.index.tz_localize(None).normalize().as_unit("s").rename("session")
    bars = frame[["Open", "High", "Low", "Close", "Volume"]].astype("float64").set_axis(list(COLUMNS), axis=1)
    bars = bars.set_axis(index, axis=0)
    # yfinance writes 0 for the volume of a null row; a missing bar has none.
    bars.loc[bars[["open", "high", "low", "close"]].isna().all(axis=1), "volume"] = float("nan")
    today = at.astimezone(ZoneInfo(str(metadata["exchangeTimezoneName"]))).date()
    visible = index <= pd.Timestamp(today)
    # Only funds have capital gains, and yfinance the column for them alone.
    paid = total_distributions(_column(frame, "Dividends"), _column(frame, "Capital Gains"), bars["close"].to_numpy())
    actions = tuple(
        Action(day.date(), kind, float(value))
        for day, dividend, split in zip(
            index[visible], paid[visible], _column(frame, "Stock Splits")[visible], strict=True
        )
        for kind, value in ((ActionKind.DIVIDEND, dividend), (ActionKind.SPLIT, split))
        if value > 0
    )
    if not bool(visible.any()):
        raise NoData(f"{symbol}: Yahoo gave no bars up to {today}; use a later instant")
    return FetchedPrices(symbol, bars[visible], actions, _meta(metadata))


def _column(frame: pd.DataFrame, name: str) -> Any:
    return frame[name].fillna(0.0).to_numpy() if name in frame.columns else pd.Series(0.0, index=frame.index).to_numpy()


def _meta(metadata: dict[str, Any]) -> InstrumentMeta:
    def text(key: str) -> str | None:
        return str(metadata[key]) if metadata.get(key) else None

    return InstrumentMeta(
        name=text("longName") or text("shortName"),
        exchange=text("exchangeName"),
        currency=text("currency"),
        instrument_type=text("instrumentType") or "EQUITY",
        zone=text("exchangeTimezoneName"),
    )
