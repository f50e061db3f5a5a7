"""Symbols from file names, tickers and vendors' names: `aapl.us`, `daily_adjusted_AAPL`, `vod_uk_d`."""

import re
from dataclasses import dataclass
from typing import Final

SUFFIXES: Final = tuple(f".{end}{packed}" for packed in (".gz", "") for end in ("csv", "txt", "tsv", "parquet"))
"""Endings of a price file in lower case; the longer ones first."""

SYMBOL: Final = re.compile(r"[A-Za-z0-9.=^-]{1,40}")
"""Characters of a symbol, as the watchlist accepts them."""

STOOQ: Final = "Stooq"

# Stooq's market suffix -> Yahoo's.
_STOOQ_MARKETS: Final = {
    "us": "", "uk": ".L", "de": ".DE", "jp": ".T", "hk": ".HK", "pl": ".WA", "hu": ".BD",
}  # fmt: skip

_NOT_PRICES: Final = re.compile(r"(?:readme|licen[cs]e|notice|changelog|copying|requirements)\b.*", re.IGNORECASE)

_AFFIXES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<s>.*?) ?\(\d+\)",  # a browser's second download
        r"(?P<s>.+?) - copy",
        r"(?:time_series_)?daily(?:_adjusted)?_(?P<s>.+)",  # Alpha Vantage
        r"(?P<s>.+?)_daily(?:_adjusted)?",
        r"(?P<s>.*?)[ _-]*historical[ _-]?(?:data|prices?|quotes?)(?:[ _-]?\d{6,})?",  # Nasdaq.com, Investing.com
        r"(?:nasdaq|nyse|amex|bats)_(?P<s>[^,]+), 1d",  # TradingView
        r"(?:yahoo|yfinance|stooq)[_-](?P<s>.+)",
        r"(?P<s>.+?)(?:[_-]\d{4}-?\d\d-?\d\d){1,2}",  # a span of dates
        r"(?P<s>.+?)_(?:1d|eod|ohlcv?|prices?|stock(?:_data|_prices?)?|data|history)",
    )
)
_STOOQ_WEB: Final = re.compile(r"(?P<s>\^?[A-Za-z0-9.-]+)_(?P<market>[A-Za-z]{2})_d", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a file says.

    Attributes:
        symbol: The symbol; empty if the name holds none.
        vendor: `Stooq` if the name has its form, else empty.
    """

    symbol: str
    vendor: str = ""


def price_suffix(name: str) -> str | None:
    """Return the ending of a price file's name, None for other files."""
    lower = name.lower()
    if _NOT_PRICES.fullmatch(name):
        return None
    return next((name[-len(end) :] for end in SUFFIXES if lower.endswith(end) and lower != end), None)


def parse_name(name: str) -> FileName:
    """Return the symbol in a price file's name, without its ending and known vendors' affixes."""
    suffix = price_suffix(name)
    stem = name.removesuffix(suffix) if suffix else name
    for _ in range(len(_AFFIXES)):
        stripped = next((found["s"] for affix in _AFFIXES if (found := affix.fullmatch(stem))), stem)
        if stripped == stem:
            break
        stem = stripped
    web = _STOOQ_WEB.fullmatch(stem)
    if web and web["market"].lower() in _STOOQ_MARKETS:
        return FileName(_stooq_symbol(web["s"], web["market"]), STOOQ)
    base, _, market = stem.rpartition(".")
    if base and stem.islower() and market in _STOOQ_MARKETS:
        return FileName(_stooq_symbol(base, market), STOOQ)
    return FileName(normalise_symbol(stem))


def normalise_symbol(text: str, vendor: str = "") -> str:
    """Return a ticker as a Yahoo-style symbol in capitals; empty if it is none.

    Args:
        text: A ticker of a column, header or file name; `AAPL.US` is AAPL.
        vendor: `Stooq` where its own market suffixes are expected.
    """
    symbol = text.strip().replace("/", "-")  # BTC/USD
    if not SYMBOL.fullmatch(symbol):
        return ""
    base, _, market = symbol.rpartition(".")
    if base and (market.lower() == "us" or (vendor == STOOQ and market.lower() in _STOOQ_MARKETS)):
        return _stooq_symbol(base, market)
    return symbol.upper()


def _stooq_symbol(base: str, market: str) -> str:
    return base.upper() + _STOOQ_MARKETS[market.lower()]
