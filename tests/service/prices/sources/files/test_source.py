"""A folder of price files as a source, with small files that the tests write."""

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from service.errors import SettingsError
from service.prices.sources.base import Action, ActionKind, InstrumentMeta, Malformed, NoData, Record, UnknownSymbol
from service.prices.sources.files import FilesSource

HEADER = "date,open,high,low,close,adj_close,volume\n"
ROWS = (
    "2018-12-11,10,12,9,11.00,10.45,500\n"
    "2018-12-12,11,13,10,12.00,11.40,600\n"
    "2018-12-13,12,14,11,13.00,13.00,700\n"
    "2018-12-14,13,15,12,14.00,14.00,800\n"
)
AT = datetime(2018, 12, 14, 22, tzinfo=UTC)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def source(folder: Path) -> FilesSource:
    return FilesSource(folder)


@pytest.mark.parametrize("name", ["MADE.csv", "below/deeper/MADE.csv.gz"])
def test_a_csv_file_is_a_symbol(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, HEADER + ROWS)

    history = source(tmp_path).fetch("MADE", None, AT)

    assert history.bars["close"].tolist() == [11.0, 12.0, 13.0, 14.0]
    assert history.bars.iloc[1].tolist() == [11.0, 13.0, 10.0, 12.0, 600.0]
    # 10.45 / 11 = 11.40 / 12 = 0.95 before, 1 from the 13th on.
    (step,) = history.actions
    assert (step.ex_date, step.kind) == (date(2018, 12, 13), ActionKind.FACTOR)
    assert step.value == pytest.approx(0.95, abs=1e-3)
    assert history.meta == InstrumentMeta(calendar="XNYS", instrument_type="EQUITY")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dates", ["date", "text", "stamp", "zoned"])
def test_a_parquet_file_is_a_symbol(tmp_path: Path, packed: bool, dates: str) -> None:
    days = [date(2018, 12, 13), date(2018, 12, 14)]
    midnights = [datetime(day.year, day.month, day.day) for day in days]  # noqa: DTZ001
    column = {
        "date": pa.array(days),
        "text": pa.array([day.isoformat() for day in days]),
        "stamp": pa.array(midnights, pa.timestamp("ns")),
        # Midnight in Tokyo is the day before in UTC.
        "zoned": pa.array([at.timestamp() * 1e6 - 9 * 3600e6 for at in midnights])
        .cast(pa.int64())
        .cast(pa.timestamp("us", "Asia/Tokyo")),
    }[dates]
    path = tmp_path / "7001.T.parquet"
    pa_parquet.write_table(pa.table({"Date": column, "Close": [13, 14], "Adj Close": [13.0, None]}), path)
    if packed:
        (tmp_path / "7001.T.parquet.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    history = source(tmp_path).fetch("7001.T", None, AT)

    assert [str(day)[:10] for day in history.bars.index] == ["2018-12-13", "2018-12-14"]
    assert history.bars["close"].tolist() == [13.0, 14.0]
    assert history.meta.calendar == "XTKS"


def test_a_file_with_closes_only_has_nan_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "^MADE.csv", HEADER + "2018-12-13,,,,2650.5,2650.5,\n2018-12-14,,,,,,\n")

    history = source(tmp_path).fetch("^MADE", None, AT)

    assert history.bars.drop(columns="close").isna().all(axis=None)
    assert history.bars["close"].isna().tolist() == [False, True]
    assert history.meta.instrument_type == "INDEX"


def test_listed_actions_have_priority_over_adjusted_closes(tmp_path: Path) -> None:
    write(tmp_path / "stocks" / "MADE.csv", HEADER + ROWS)
    write(tmp_path / "OTHER.csv", HEADER + ROWS)
    write(
        tmp_path / "actions.csv.gz",
        "symbol,date,dividend,split\nMADE,2018-12-13,0.0,2.0\nMADE,2018-12-12,0.5,1.0\nMADE,2019-06-03,0.5,1.0\n",
    )

    folder = source(tmp_path)

    assert folder.symbols() == ("MADE", "OTHER")
    assert folder.fetch("MADE", None, AT).actions == (
        Action(date(2018, 12, 12), ActionKind.DIVIDEND, 0.5),
        Action(date(2018, 12, 13), ActionKind.SPLIT, 2.0),
    )
    eve = folder.fetch("MADE", None, datetime(2018, 12, 12, 22, tzinfo=UTC))
    assert eve.bars["close"].tolist() == [22.0, 24.0]
    assert eve.bars["volume"].tolist() == [250.0, 300.0]
    assert eve.actions == (Action(date(2018, 12, 12), ActionKind.DIVIDEND, 1.0),)
    assert [action.kind for action in folder.fetch("OTHER", None, AT).actions] == [ActionKind.FACTOR]


def test_adjusted_closes_are_optional_with_listed_actions(tmp_path: Path) -> None:
    write(tmp_path / "MADE.csv", "date,close\n2018-12-13,13\n2018-12-14,14\n")
    write(tmp_path / "actions.csv", "symbol,date,dividend,split\nMADE,2018-12-14,0.1,1\n")
    assert len(source(tmp_path).fetch("MADE", None, AT).actions) == 1


def test_a_manifest_gives_calendar_currency_and_type(tmp_path: Path) -> None:
    for symbol in ("FUND", "REL.L", "EURUSD", "BTC-USD", "^VOL", "SHARE"):
        write(tmp_path / f"{symbol}.csv", HEADER + ROWS)
    write(
        tmp_path / "manifest.csv",
        "symbol,file,group,calendar,currency,note\nFUND,x,us_etfs_indices,NYSE,USD,\nREL.L,x,other,LSE,GBP,\n"
        "EURUSD,x,other,FX (Sun-Fri),USD per EUR,\nBTC-USD,x,other,24/7,USD,\n"
        '^VOL,x,us_etfs_indices,CBOE,index points,"a, b"\n',
    )
    folder = source(tmp_path)

    metas = {symbol: folder.fetch(symbol, None, AT).meta for symbol in folder.symbols()}

    assert {symbol: (meta.calendar, meta.currency, meta.instrument_type) for symbol, meta in metas.items()} == {
        "FUND": ("XNYS", "USD", "ETF"),
        "REL.L": ("XLON", "GBP", "EQUITY"),
        "EURUSD": ("24/5", "USD", "CURRENCY"),
        "BTC-USD": ("24/7", "USD", "CRYPTOCURRENCY"),
        "^VOL": ("XNYS", None, "INDEX"),
        "SHARE": ("XNYS", None, "EQUITY"),
    }


def test_sunday_evenings_are_merged_into_mondays_bar(tmp_path: Path) -> None:
    # 2 and 9 December 2018 were Sundays; the second has no Monday.
    text = (
        HEADER + "2018-11-30,1.10,1.20,1.00,1.15,1.15,5\n2018-12-02,1.16,1.30,1.11,1.17,1.17,\n"
        "2018-12-03,1.17,1.25,1.12,1.20,1.20,7\n2018-12-09,1.18,1.19,1.17,1.18,1.18,\n2018-12-11,1.19,1.2,1.1,1.15,1.15,1\n"
    )
    write(tmp_path / "EURUSD=X.csv", text)

    bars = source(tmp_path).fetch("EURUSD=X", None, AT).bars

    assert [str(day)[:10] for day in bars.index] == ["2018-11-30", "2018-12-03", "2018-12-11"]
    assert bars.iloc[1].tolist() == [1.16, 1.30, 1.11, 1.20, 7.0]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("when,open,close\n2018-12-14,1,1\n", ":1:", "needs one column date"),
        ("date,open,high,low\n2018-12-14,1,1,1\n", ":1:", "one column close, it has 'date, open, high, low'"),
        ("date,close,Close,adj_close\n2018-12-14,1,1,1\n", ":1:", "one column close"),
        ("date,close,adj_close,Adj Close\n2018-12-14,1,1,1\n", ":1:", "adj_close twice"),
        (HEADER + ROWS + "14/12/2018,1,1,1,1,1,1\n", ":6:", "date '14/12/2018' is not an ISO date"),
        (HEADER + ROWS + ",1,1,1,1,1,1\n", ":6:", "date is empty"),
        (HEADER + "\n\n" + ROWS + "2018-12-14,1,1,1,1,1,1\n", ":8:", "date 2018-12-14 is there twice"),
        (HEADER + "2018-12-10,1,1,1,one,1,1\n" + ROWS, ":2:", "close 'one' is not a number"),
        (HEADER + ROWS + "2018-12-17,1,1,1\n", ":6:", "4 fields where the header has 7"),
        (HEADER + ROWS + "2018-12-14,1,1,1,1,1,1\n", ":6:", "date 2018-12-14 is there twice"),
        (HEADER + "2018-12-17,1,1,1,1,1,1\n" + ROWS, ":3:", "date 2018-12-11 comes after 2018-12-17"),
    ],
)
def test_an_invalid_file_is_reported_with_line_and_reason(tmp_path: Path, text: str, where: str, words: str) -> None:
    path = write(tmp_path / "BAD.csv", text)
    with pytest.raises(Malformed) as caught:
        source(tmp_path).fetch("BAD", None, AT)
    assert str(caught.value).startswith(f"{path}{where} ")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", HEADER, HEADER.strip()])
def test_an_empty_file_has_no_data(tmp_path: Path, text: str) -> None:
    write(tmp_path / "BARE.csv.gz", text)
    with pytest.raises(NoData, match=r"BARE\.csv\.gz"):
        source(tmp_path).fetch("BARE", None, AT)


def test_files_in_another_format_are_malformed(tmp_path: Path) -> None:
    (tmp_path / "CUT.csv.gz").write_bytes(gzip.compress((HEADER + ROWS).encode())[:-20])
    (tmp_path / "FAKE.parquet").write_bytes(b"date,close\n")
    folder = source(tmp_path)
    for symbol in ("CUT", "FAKE"):
        with pytest.raises(Malformed, match=f"{symbol}.* cannot be read"):
            folder.fetch(symbol, None, AT)


@pytest.mark.parametrize(
    "row", ["MADE,soon,0.1,1", "MADE,2018-12-14,-0.1,1", "MADE,2018-12-14,0,nan", "MADE,2018-12-14,x,1"]
)
def test_an_invalid_list_of_actions_is_reported_with_its_line(tmp_path: Path, row: str) -> None:
    write(tmp_path / "MADE.csv", HEADER + ROWS)
    write(tmp_path / "actions.csv", f"symbol,date,dividend,split\nMADE,2018-12-13,0.1,1\n{row}\n")
    with pytest.raises(Malformed, match=r"actions\.csv:3: "):
        source(tmp_path).fetch("MADE", None, AT)


def test_an_unknown_symbol_is_reported_with_the_number_of_symbols(tmp_path: Path) -> None:
    write(tmp_path / "MADE.csv", HEADER + ROWS)
    write(tmp_path / ".hidden.csv", HEADER + ROWS)
    with pytest.raises(UnknownSymbol, match=r"^NOSUCH: no file .* it holds 1 symbols"):
        source(tmp_path).fetch("NOSUCH", None, AT)


def test_two_files_for_one_symbol_are_reported(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "MADE.csv", HEADER + ROWS)
    second = write(tmp_path / "b" / "MADE.csv.gz", HEADER + ROWS)
    with pytest.raises(Malformed) as caught:
        source(tmp_path).fetch("MADE", None, AT)
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_the_record_spans_all_readable_files(tmp_path: Path) -> None:
    write(tmp_path / "MADE.csv", HEADER + ROWS)
    write(tmp_path / "LATE.csv", HEADER + "2019-01-02,1,1,1,1,1,1\n")
    write(tmp_path / "BARE.csv", HEADER)
    folder = source(tmp_path)
    assert folder.record() == Record(date(2018, 12, 11), date(2019, 1, 2))

    empty = tmp_path / "empty"
    empty.mkdir()
    assert source(empty).record() is None
    assert source(empty).symbols() == ()


def test_a_changed_file_is_read_again_and_a_new_one_is_found_at_the_next_run(tmp_path: Path) -> None:
    path = write(tmp_path / "MADE.csv", HEADER + ROWS)
    folder = source(tmp_path)
    assert len(folder.fetch("MADE", None, AT).bars) == 4
    assert folder.record() == Record(date(2018, 12, 11), date(2018, 12, 14))

    write(path, HEADER + "2018-12-10,9,9,9,9,9,9\n" + ROWS)
    os.utime(path, ns=(1, 1))
    assert len(folder.fetch("MADE", None, AT).bars) == 5

    folder.begin_run()
    assert folder.record() == Record(date(2018, 12, 10), date(2018, 12, 14))

    write(tmp_path / "NEW.csv", HEADER + "2018-12-07,9,9,9,9,9,9\n")
    with pytest.raises(UnknownSymbol):
        folder.fetch("NEW", None, AT)
    folder.begin_run()
    assert len(folder.fetch("NEW", None, AT).bars) == 1
    assert folder.record() == Record(date(2018, 12, 7), date(2018, 12, 14))

    write(tmp_path / "actions.csv", "symbol,date,dividend,split\nMADE,2018-12-13,0.1,1\n")
    folder.begin_run()
    assert [action.kind for action in folder.fetch("MADE", None, AT).actions] == [ActionKind.DIVIDEND]


def test_all_files_are_served_with_a_small_cache(tmp_path: Path) -> None:
    for symbol in ("A", "B", "C"):
        write(tmp_path / f"{symbol}.csv", HEADER + ROWS)
    folder = FilesSource(tmp_path, cached=1)
    assert [len(folder.fetch(symbol, None, AT).bars) for symbol in ("A", "B", "C", "A")] == [4, 4, 4, 4]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such folder"):
        FilesSource(tmp_path / "nowhere")
