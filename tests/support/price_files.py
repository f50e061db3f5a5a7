"""The same eight bars in the forms of vendors, programs and countries, as small files."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import pandas as pd

DAYS = (
    "2018-12-24", "2018-12-26", "2018-12-27", "2018-12-28", "2018-12-31", "2019-01-02", "2019-01-03", "2019-01-04",
)  # fmt: skip
OPENS = (1046.15, 1048.30, 1055.84, 1057.50, 1058.53, 1054.89, 1043.98, 1044.53)
HIGHS = (1051.55, 1057.23, 1056.77, 1058.52, 1059.36, 1058.85, 1045.72, 1048.55)
LOWS = (1046.05, 1046.72, 1050.07, 1054.55, 1056.48, 1054.23, 1042.00, 1043.80)
CLOSES = (1046.83, 1057.17, 1056.15, 1056.23, 1057.74, 1057.92, 1042.19, 1048.26)
VOLUMES = (37100000, 58500000, 53100000, 42200000, 35000000, 37000000, 91300000, 58600000)
OTHER_CLOSES = (94.13, 100.56, 101.18, 100.39, 101.57, 101.12, 97.40, 101.93)

BARS = tuple(zip(DAYS, OPENS, HIGHS, LOWS, CLOSES, VOLUMES, strict=True))


@dataclass(frozen=True)
class Form:
    """A way to write the bars.

    Attributes:
        name: File name; the symbol in it is MADE where the file names none.
        content: The file's bytes.
        adjustment: What the reader has to state.
        columns: Number of columns of prices, volume included; the others are empty.
    """

    name: str
    content: bytes
    adjustment: str = "unknown"
    columns: int = 5


def lines(header: str, row: Callable[[str, float, float, float, float, int], str], end: str = "\n") -> str:
    """Return a text of a header and a line per bar."""
    return end.join([header, *(row(*bar) for bar in BARS)]) + end


def german(value: float) -> str:
    """Return 1046.15 as `1.046,15`."""
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def day_first(day: str, mark: str = ".") -> str:
    """Return 2018-12-24 as `24.12.2018`."""
    return mark.join(reversed(day.split("-")))


def month_first(day: str) -> str:
    """Return 2018-12-24 as `12/24/2018`."""
    year, month, rest = day.split("-")
    return f"{month}/{rest}/{year}"


def plain(day: str, o: float, h: float, low: float, c: float, v: int) -> str:
    """Return an ordinary line."""
    return f"{day},{o},{h},{low},{c},{v}"


def frame(days: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    """Return the bars as yfinance returns them, one symbol."""
    index = pd.DatetimeIndex(pd.to_datetime(list(DAYS)), name="Date") if days is None else days
    return pd.DataFrame(
        {"Close": CLOSES, "High": HIGHS, "Low": LOWS, "Open": OPENS, "Volume": VOLUMES}, index=index, dtype=float
    )


def zoned(zone: str, name: str = "Date") -> pd.DatetimeIndex:
    """Return the dates as midnights of a zone."""
    return pd.DatetimeIndex(pd.to_datetime(list(DAYS)).tz_localize(zone), name=name)


def levels(*symbols: str, by_ticker: bool = False, days: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    """Return the bars of several symbols with two levels of columns, as `yfinance.download` does."""
    whole = pd.concat({symbol: frame(days) for symbol in symbols}, axis=1, names=["Ticker", "Price"])
    return whole if by_ticker else whole.swaplevel(axis=1).sort_index(axis=1)


def unix(day: str, hours: float = 0.0) -> int:
    """Return seconds since 1970 of a date's midnight UTC plus hours."""
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * 86400 + int(hours * 3600)


def parquet(table: pd.DataFrame) -> bytes:
    """Return a frame as Parquet."""
    buffer = BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def european(header: str, date_of: Callable[[str], str] = day_first) -> str:
    """Return the bars with semicolons, decimal commas and dates by a function."""
    return lines(
        header,
        lambda day, o, h, low, c, v: ";".join(
            [date_of(day), *(f"{x:.2f}".replace(".", ",") for x in (o, h, low, c)), str(v)]
        ),
    )


ORDINARY = lines("Date,Open,High,Low,Close,Volume", plain)
ALPHA = "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"
STOOQ = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
NEWEST_FIRST = "\n".join([ORDINARY.splitlines()[0], *reversed(ORDINARY.splitlines()[1:])])
GERMAN = european("Datum;Eröffnung;Hoch;Tief;Schluss;Volumen")


def _nasdaq() -> str:
    rows = lines(
        "Date,Close/Last,Volume,Open,High,Low",
        lambda day, o, h, low, c, v: f"{month_first(day)},${c:.2f},{v},${o:.2f},${h:.2f},${low:.2f}",
    ).splitlines()
    return "\n".join([rows[0], *reversed(rows[1:])]) + "\n"


def _investing() -> str:
    rows = lines(
        '"Date","Price","Open","High","Low","Vol.","Change %"',
        lambda day, o, h, low, c, v: ",".join(
            f'"{cell}"'
            for cell in (month_first(day), *(f"{x:,.2f}" for x in (c, o, h, low)), f"{v / 1e6:.1f}M", "-0.51%")
        ),
    ).splitlines()
    return "\n".join([rows[0], *reversed(rows[1:])])


def _investing_german() -> str:
    return "\ufeff" + lines(
        '"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"',
        lambda day, o, h, low, c, v: ",".join(
            f'"{cell}"'
            for cell in (day_first(day), *(german(x) for x in (c, o, h, low)), f"{german(v / 1e6)}M", "-0,51%")
        ),
    )


def _alpha(day: str, o: float, h: float, low: float, c: float, v: int) -> str:
    return f"{day},{o},{h},{low},{c},{c},{v},0.0000,1.0"


def _history() -> str:
    table = frame(zoned("America/New_York"))[["Open", "High", "Low", "Close", "Volume"]]
    return str(table.assign(**{"Dividends": 0.0, "Stock Splits": 0.0}).to_csv())


FORMS: Mapping[str, Form] = {
    "ordinary": Form("MADE.csv", ORDINARY.encode()),
    "lower case and another order": Form(
        "made.csv",
        lines("volume,close,DATE,low,high,open", lambda day, o, h, lo, c, v: f"{v},{c},{day},{lo},{h},{o}").encode(),
    ),
    "date and close": Form(
        "MADE.csv", lines("Date,Close", lambda day, o, h, lo, c, v: f"{day},{c}").encode(), columns=1
    ),
    "adjusted close alone": Form(
        "MADE.csv", lines("Date,Adj Close", lambda day, o, h, lo, c, v: f"{day},{c}").encode(), "total", 1
    ),
    "Yahoo download": Form(
        "MADE.csv",
        lines(
            "Date,Open,High,Low,Close,Adj Close,Volume", lambda d, o, h, lo, c, v: f"{d},{o},{h},{lo},{c},{c},{v}"
        ).encode(),
        "split",
    ),
    "yfinance, one symbol": Form("X.csv", levels("MADE").to_csv().encode(), "total"),
    "yfinance, several symbols": Form("X.csv", levels("MADE", "ELSE").to_csv().encode(), "total"),
    "yfinance by ticker": Form("X.csv", levels("MADE", "ELSE", by_ticker=True).to_csv().encode(), "total"),
    "yfinance, old names": Form(
        "X.csv", levels("MADE", "ELSE").rename_axis(columns=[None, None]).to_csv().encode(), "total"
    ),
    "yfinance, zone-aware": Form(
        "X.csv", levels("MADE", "ELSE", days=zoned("Europe/Berlin", "Datetime")).to_csv().encode(), "total"
    ),
    "yfinance history": Form("MADE.csv", _history().encode(), "total"),
    "yfinance, one level": Form("MADE.csv", frame(zoned("Asia/Tokyo")).to_csv().encode()),
    "Stooq web": Form("made_us_d.csv", ORDINARY.encode(), "total"),
    "Stooq bulk": Form(
        "whatever.txt",
        lines(
            STOOQ, lambda d, o, h, lo, c, v: f"MADE.US,D,{d.replace('-', '')},000000,{o},{h},{lo},{c},{v},0"
        ).encode(),
        "total",
    ),
    "Alpha Vantage": Form("daily_adjusted_MADE.csv", lines(ALPHA, _alpha).encode(), "split"),
    "Alpha Vantage, numbered": Form(
        "MADE.csv", lines("date,1. open,2. high,3. low,4. close,5. volume", plain).encode()
    ),
    "Nasdaq.com": Form("MADE.csv", _nasdaq().encode(), "split"),
    "Investing.com": Form("MADE Historical Data.csv", _investing().encode(), "split"),
    "Investing.com, German": Form("MADE.csv", _investing_german().encode(), "split"),
    "German": Form("MADE.csv", GERMAN.encode()),
    "German, cp1252": Form("MADE.csv", GERMAN.encode("cp1252")),
    "German, thousands": Form(
        "MADE.csv",
        lines(
            "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen",
            lambda d, o, h, lo, c, v: ";".join([d, *map(german, (o, h, lo, c)), f"{v:,}".replace(",", "."), "1,5"]),
        ).encode(),
    ),
    "French": Form(
        "MADE.csv", european("Date;Ouverture;Plus haut;Plus bas;Clôture;Volume", lambda d: day_first(d, "/")).encode()
    ),
    "Spanish": Form(
        "MADE.csv",
        european("Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen", lambda d: day_first(d, "/")).encode("latin-1"),
    ),
    "Italian": Form(
        "MADE.csv", european("Data;Apertura;Massimo;Minimo;Chiusura;Volume", lambda d: day_first(d, "-")).encode()
    ),
    "semicolons and English words": Form("MADE.csv", european("date;open;high;low;close;volume").encode()),
    "thousands": Form(
        "MADE.csv",
        lines(
            "date,open,high,low,close,volume",
            lambda d, o, h, lo, c, v: f'{d},"{o:,.2f}","{h:,.2f}","{lo:,.2f}","{c:,.2f}","{v:,}"',
        ).encode(),
    ),
    "compact dates": Form(
        "MADE.csv", lines("date,open,high,low,close,volume", lambda d, *f: plain(d.replace("-", ""), *f)).encode()
    ),
    "unix seconds at the open": Form(
        "MADE.csv", lines("time,open,high,low,close,volume", lambda d, *f: plain(str(unix(d, 14.5)), *f)).encode()
    ),
    "unix milliseconds at midnight": Form(
        "MADE.csv", lines("unix,open,high,low,close,volume", lambda d, *f: plain(str(unix(d) * 1000), *f)).encode()
    ),
    "month names": Form(
        "MADE.csv",
        lines("Date,Open,High,Low,Close,Volume", lambda d, *f: plain(f"{date.fromisoformat(d):%d-%b-%y}", *f)).encode(),
    ),
    "newest first": Form("MADE.csv", NEWEST_FIRST.encode()),
    "CR": Form("MADE.csv", ORDINARY.replace("\n", "\r").encode()),
    "CRLF": Form("MADE.csv", ORDINARY.replace("\n", "\r\n").encode()),
    "BOM": Form("MADE.csv", ORDINARY.encode("utf-8-sig")),
    "UTF-16": Form("MADE.csv", ORDINARY.encode("utf-16")),
    "UTF-16 without a mark": Form("MADE.csv", ORDINARY.encode("utf-16-be")),
    "tabs": Form("MADE.tsv", ORDINARY.replace(",", "\t").encode()),
    "txt": Form("MADE.TXT", ORDINARY.encode()),
    "gzip": Form("MADE.csv.gz", gzip.compress(ORDINARY.encode())),
    "Excel": Form(
        "MADE.csv", ("sep=;\r\n" + european("Date;Open;High;Low;Close;Volume").replace("\n", "\r\n")).encode()
    ),
    "title above the header": Form("MADE.csv", ("Prices of Made Inc., in USD\n\n" + ORDINARY).encode()),
    "empty fields at the end": Form("MADE.csv", "\n".join(line + "," for line in ORDINARY.splitlines()).encode()),
    "Parquet": Form("MADE.parquet", parquet(frame())),
    "Parquet, zone-aware": Form("MADE.parquet", parquet(frame(zoned("Asia/Tokyo")))),
    "Parquet, two levels": Form("X.parquet", parquet(levels("MADE", "ELSE")), "total"),
    "Parquet, gzip": Form("MADE.parquet.gz", gzip.compress(parquet(frame()))),
    "wide": Form(
        "closes.csv",
        "".join(
            [
                "Date,MADE,ELSE\n",
                *(f"{d},{c},{o}\n" for d, c, o in zip(DAYS, CLOSES, OTHER_CLOSES, strict=True)),
            ]
        ).encode(),
        columns=1,
    ),
    "long": Form(
        "all.csv",
        lines(
            "date,open,high,low,close,volume,Name",
            lambda d, *f: f"{plain(d, *f)},ELSE\n{plain(d, *f)},MADE",
        ).encode(),
    ),
}
"""Every form by a name for people."""


def write_form(folder: Path, form: Form) -> Path:
    """Write a file in a form."""
    path = folder / form.name
    path.write_bytes(form.content)
    return path
