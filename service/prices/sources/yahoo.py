"""The price source `yahoo`: daily bars through yfinance, one symbol a call."""

import random
import shutil
import sqlite3
import tempfile
import threading
import time
import warnings
import weakref
from datetime import date, datetime
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
_TOLD: Final = ("longName", "shortName", "exchangeName", "exchangeTimezoneName", "currency", "instrumentType")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class YahooSource:
    """Yahoo's daily bars as served now; yfinance keeps one state per process, so make one source per process."""

    def __init__(
        self,
        cache_dir: Path | None = None,
        standin_url: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
        pace: float | None = None,
    ) -> None:
        """Set yfinance up; nothing is asked before the first fetch.

        Args:
            cache_dir: Existing or new folder for a private cache folder, removed with this object; the
                system's temporary folder where None. Two processes never share one: its databases lock.
            standin_url: Address of a stand-in on this machine, for example `http://127.0.0.1:8321`, that gets
                every request instead of Yahoo; None in production.
            timeout: Seconds after which one request is given up.
            pace: Least seconds between two fetches, half as much again by chance; None = 0.5 for Yahoo itself and
                0 for a stand-in. Users report being blocked after a hundred quick symbols.

        Raises:
            SettingsError: The stand-in is not an http address on loopback, or the cache folder cannot be made.
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
        """False: Yahoo answers as of now alone."""
        return False

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Bars and actions as Yahoo serves them now; see `PriceSource.fetch`.

        Args:
            symbol: Yahoo-style name.
            start: First session wanted (inclusive); None for the whole history.
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
            if not (_spoilt(error) and self._wipe(wipes)):
                raise translate(symbol, error) from error
        try:
            return self._history(symbol, start, at)
        except SourceError:
            raise
        except Exception as error:
            raise translate(symbol, error) from error

    def _wait_turn(self) -> None:
        """Hold a fetch back until its turn; turns are given out in order, among all threads."""
        with self._pacing:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._pace * (1 + random.random() / 2)
        time.sleep(turn - now)

    def _history(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        # Set on each call: whoever resets the filters (a test runner does) would turn these into errors.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"yfinance(\.|$)")
        # Open-ended on purpose: yfinance keeps answers of closed windows, bad ones too, and replays them.
        window: dict[str, Any] = {"period": "max"} if start is None else {"start": start.isoformat()}
        ticker = yfinance.Ticker(symbol, session=self._session)
        try:
            frame = self._frame(ticker, window)
        except (YFTzMissingError, IndexError, TypeError, HTTPError) as error:
            if isinstance(error, IncompleteRead):
                raise
            # No zone: the symbol is gone, or has no bars, or Yahoo is unwell; yfinance says the same of all three.
            raise self._reason(symbol) from error
        # Key by key: walking the whole mapping would make yfinance ask for intraday bars.
        metadata = ticker.get_history_metadata()
        told = {key: metadata.get(key) for key in _TOLD}
        return _history(symbol, frame, told, at)

    def _reason(self, symbol: str) -> SourceError:
        """Ask for a symbol's chart by hand, to hear in Yahoo's own words why it told no time zone."""
        window = {"range": "5d", "interval": "1d"}
        answer = YfData(session=self._session).get(url=f"{_CHART}{symbol}", params=window, timeout=self._timeout)
        chart = answer.json()["chart"]
        if chart["error"]:
            return translate(symbol, YFPricesMissingError(symbol, "", yahoo_reason=str(chart["error"]["description"])))
        if not chart["result"]:
            return translate(symbol, YFPricesMissingError(symbol, ""))
        return Transient(f"{symbol}: Yahoo has bars of it and told no time zone; try again later")

    def _frame(self, ticker: Any, window: dict[str, Any]) -> pd.DataFrame:
        frame: pd.DataFrame = ticker.history(
            **window, interval="1d", auto_adjust=False, actions=True, keepna=True,
            repair=False, prepost=False, rounding=False, timeout=self._timeout,
        )  # fmt: skip
        return frame

    def _wipe(self, wipes: int) -> bool:
        """Empty the cache folder, once a run, if nobody has since a call began; returns whether to ask again."""
        with self._wiping:
            if self._wipes == wipes and not self._wiped:
                self._wiped = True
                self._wipes += 1
                for path in self._private.iterdir():
                    path.unlink()
                yfinance.set_tz_cache_location(str(self._private))
                # yfinance opens its files again when it finds these empty, and not before.
                cache._TzCacheManager._tz_cache = None
                # No cookie file from now on: Yahoo may hand out a cookie again that yfinance cannot read back.
                cache._CookieCacheManager._Cookie_cache = cache._CookieCacheDummy()
                cache._ISINCacheManager._isin_cache = None
                YfData.cache_get.cache_clear()
            return self._wipes != wipes

    def symbols(self) -> tuple[str, ...]:
        """Empty: Yahoo is no record."""
        return ()

    def record(self) -> Record | None:
        """None: Yahoo is no record."""
        return None

    def begin_run(self) -> None:
        """Drop the answers yfinance keeps in memory: a bad one would be replayed without asking again."""
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
            f"{where} cannot hold yfinance's cache ({error.strerror}); set TPLUS_DATA_DIR to one that can be written to"
        ) from error


class LoopbackSession(curl_cffi.requests.Session[curl_cffi.requests.Response]):
    """A browser-like session whose requests all end at a stand-in on this machine.

    The stand-in is the proxy of every request. Only plain http shows a proxy the address asked for, so https
    becomes http; whatever escaped that would ask the stand-in for a tunnel, which it refuses.
    """

    # Mirrors the parent's request(), whose thirty options pass through untouched.
    def request(self, method: Any, url: str, *args: Any, **options: Any) -> curl_cffi.requests.Response:
        """Send a request; the same as the parent's but for the scheme."""
        return super().request(method, url.replace("https://", "http://", 1), *args, **options)


def standin_session(url: str) -> LoopbackSession:
    """Session that reaches nothing but a stand-in.

    Raises:
        SettingsError: The address is not http on loopback with a port.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.port is None:
        raise SettingsError(
            f"TPLUS_YAHOO_STANDIN_URL {url!r} is not a stand-in on this machine; "
            "give http://127.0.0.1:PORT, or unset it to ask Yahoo itself"
        )
    return LoopbackSession(proxies={"http": url, "https": url}, impersonate="chrome", trust_env=False)


def _spoilt(error: Exception) -> bool:
    """Whether a cache folder that went bad may be the cause: a broken database, or a cookie without its parts."""
    if error.args == ("chart",):
        return False  # a refusal in JSON, not a missing part of ours
    return isinstance(error, (sqlite3.DatabaseError, KeyError, TypeError)) or type(error).__module__ == "peewee"


def _history(symbol: str, frame: pd.DataFrame, told: dict[str, Any], at: datetime) -> FetchedPrices:
    """Turn yfinance's frame into ours."""
    lacking = [name for name in ("Open", "High", "Low", "Close", "Volume") if name not in frame.columns]
    if len(frame) == 0:
        raise NoData(f"{symbol}: Yahoo gave no bars in the window; widen the window or try later")
    if lacking or not isinstance(frame.index, pd.DatetimeIndex):
        raise Malformed(f"{symbol}: Yahoo's answer lacks {', '.join(lacking) or 'dates'}; try again later")
    # Dates as the exchange writes them: going through UTC would move Tokyo by a day.
    index = frame.index.tz_localize(None).normalize().as_unit("s").rename("session")
    bars = frame[["Open", "High", "Low", "Close", "Volume"]].astype("float64").set_axis(list(COLUMNS), axis=1)
    bars = bars.set_axis(index, axis=0)
    # yfinance writes 0 for the volume of a null row; a hole has none.
    bars.loc[bars[["open", "high", "low", "close"]].isna().all(axis=1), "volume"] = float("nan")
    today = at.astimezone(ZoneInfo(str(told["exchangeTimezoneName"]))).date()
    seen = index <= pd.Timestamp(today)
    actions = tuple(
        Action(day.date(), kind, float(value))
        for day, dividend, split in zip(
            index[seen], _column(frame, "Dividends")[seen], _column(frame, "Stock Splits")[seen], strict=True
        )
        for kind, value in ((ActionKind.DIVIDEND, dividend), (ActionKind.SPLIT, split))
        if value > 0
    )
    if not bool(seen.any()):
        raise NoData(f"{symbol}: Yahoo gave no bars up to {today}; ask for a later instant")
    return FetchedPrices(symbol, bars[seen], actions, _meta(told))


def _column(frame: pd.DataFrame, name: str) -> Any:
    return frame[name].fillna(0.0).to_numpy() if name in frame.columns else pd.Series(0.0, index=frame.index).to_numpy()


def _meta(told: dict[str, Any]) -> InstrumentMeta:
    def text(key: str) -> str | None:
        return str(told[key]) if told.get(key) else None

    return InstrumentMeta(
        name=text("longName") or text("shortName"),
        exchange=text("exchangeName"),
        currency=text("currency"),
        instrument_type=text("instrumentType") or "EQUITY",
    )
