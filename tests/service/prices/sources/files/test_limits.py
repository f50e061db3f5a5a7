"""The limits of the reader: each is refused in one sentence, and quickly."""

import gzip
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from service.errors import SettingsError
from service.prices.sources.base import Malformed, UnknownSymbol
from service.prices.sources.files import FilesSource, limits
from service.prices.sources.files.limits import check_lines, printable, read_bytes, walk
from tests.support.price_files import ORDINARY

AT = datetime(2019, 1, 4, 23, tzinfo=UTC)


def refusal(folder: Path, symbol: str = "MADE") -> str:
    """Return why a symbol cannot be fetched, without the folder."""
    with pytest.raises(Malformed) as caught:
        FilesSource(folder, newest_year=2027).fetch(symbol, None, AT)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "MADE.csv")
    began = time.monotonic()
    assert refusal(tmp_path) == "MADE.csv: is a named pipe, only regular files are read; replace it with a file"
    assert time.monotonic() - began < 5


def test_a_link_to_an_endless_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv").symlink_to("/dev/zero")
    assert refusal(tmp_path) == "MADE.csv: is a device, only regular files are read; replace it with a file"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "MADE.csv"))
        assert refusal(tmp_path) == "MADE.csv: is a socket, only regular files are read; replace it with a file"


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "MADE.csv").open("wb") as file:
        file.write(ORDINARY.encode())
        file.truncate(200_000_001)  # a hole, without blocks on the disk
    assert refusal(tmp_path) == "MADE.csv: holds 200 MB, the limit is 200 MB; split the file"


def test_a_gzip_bomb_is_refused_after_its_ratio(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv.gz").write_bytes(gzip.compress(ORDINARY.encode() + b"\n" * 20_000_000, 1))
    packed = (tmp_path / "MADE.csv.gz").stat().st_size
    assert refusal(tmp_path) == (f"MADE.csv.gz: unpacks to more than 100 times its {packed} bytes; store it unpacked")


def test_a_file_that_unpacks_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MADE.csv.gz").write_bytes(gzip.compress(ORDINARY.encode() + os.urandom(4_000_000).hex().encode(), 1))
    monkeypatch.setattr(limits, "MOST_BYTES", 6_000_000)
    with pytest.raises(Malformed, match="unpacks to more than the limit of 200 MB; split the file"):
        read_bytes(tmp_path / "MADE.csv.gz")


def test_a_small_file_of_equal_rows_may_pack_well(tmp_path: Path) -> None:
    text = b"2019-01-04,1,1,1,1,1\n" * 20_000
    path = tmp_path / "MADE.csv.gz"
    path.write_bytes(gzip.compress(text))
    assert path.stat().st_size * 100 < len(text)
    assert read_bytes(path) == text


def test_a_parquet_file_of_repeated_values_is_refused(tmp_path: Path) -> None:
    rows = 12_600_000
    dates = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), rows), ["2018-12-31"])
    table = pa.table({"date": dates, "close": pa.repeat(1.0, rows)})
    pa_parquet.write_table(table, tmp_path / "MADE.parquet")
    assert refusal(tmp_path) == "MADE.parquet: unpacks to 202 MB, the limit is 200 MB; split it"


@pytest.mark.parametrize(("extra", "refused"), [(0, False), (1, True)])
def test_a_line_may_have_64_kilobytes(tmp_path: Path, extra: int, refused: bool) -> None:
    line = b"x" * (65_536 + extra)
    if refused:
        with pytest.raises(Malformed, match=r"MADE\.csv:2: the line is longer than 64 kB; repair the line"):
            check_lines(tmp_path / "MADE.csv", b"date,close\n" + line + b"\n")
    else:
        check_lines(tmp_path / "MADE.csv", b"date,close\n" + line + b"\n")


@pytest.mark.parametrize("name", ["MADE.csv", "manifest.csv", "actions.csv", "symbols.csv"])
def test_a_field_of_200_kilobytes_is_refused_in_every_table(tmp_path: Path, name: str) -> None:
    (tmp_path / "MADE.csv").write_text(ORDINARY)
    headers = {"MADE.csv": "date,close", "manifest.csv": "symbol,group,calendar,currency"}
    header = headers.get(name, "symbol,date,dividend,split,file")
    (tmp_path / name).write_text(f"{header}\n{'A' * 200_000},x,NYSE,USD,y\n")
    assert refusal(tmp_path) == f"{name}:2: the line is longer than 64 kB; repair the line"


def test_a_field_over_many_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv").write_text(ORDINARY)
    field = ("A" * 50_000 + "\n") * 4
    (tmp_path / "manifest.csv").write_text(f'symbol,group,calendar,currency\nMADE,"{field}",NYSE,USD\n')
    assert refusal(tmp_path).startswith("manifest.csv:")
    assert "cannot be read as CSV (field larger than field limit" in refusal(tmp_path)


@pytest.mark.parametrize(("year", "refused"), [(1899, True), (1900, False), (2027, False), (2028, True), (9999, True)])
def test_years_from_1900_to_next_year_are_read(tmp_path: Path, year: int, refused: bool) -> None:
    rows = sorted(["2018-12-31,5", f"{year}-01-02,6"])
    (tmp_path / "MADE.csv").write_text("\n".join(["date,close", *rows]))
    source = FilesSource(tmp_path, newest_year=2027)
    began = time.monotonic()
    if refused:
        line = 2 if year < 2000 else 3
        assert refusal(tmp_path) == f"MADE.csv:{line}: year {year} is outside 1900 to 2027; repair the line"
    else:
        assert source.load("MADE").series.bars[:, 3].tolist() == ([6.0, 5.0] if year < 2000 else [5.0, 6.0])
    assert time.monotonic() - began < 5


def test_next_year_is_that_of_the_clock(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv").write_text("date,close\n2018-12-31,5\n9999-01-02,6\n")
    newest = datetime.now(UTC).year + 1
    with pytest.raises(Malformed, match=f"year 9999 is outside 1900 to {newest}"):
        FilesSource(tmp_path).load("MADE")


def test_looping_links_end(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "MADE.csv").write_text(ORDINARY)
    (tmp_path / "below" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "A.csv").symlink_to("B.csv")
    (tmp_path / "B.csv").symlink_to("A.csv")
    source = FilesSource(tmp_path)
    assert len(source.fetch("MADE", None, AT).bars) == 8
    for symbol in ("A", "B"):
        assert refusal(tmp_path, symbol) == (
            f"{symbol}.csv: cannot be read (Too many levels of symbolic links); replace the file"
        )
    with pytest.raises(SettingsError, match="self: "):
        FilesSource(tmp_path / "self")


@pytest.mark.parametrize("name", ["manifest.csv", "actions.csv", "symbols.csv"])
def test_a_looping_manifest_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "MADE.csv").write_text(ORDINARY)
    (tmp_path / name).symlink_to(name)
    assert refusal(tmp_path) == f"{name}: cannot be read (Too many levels of symbolic links); replace the file"


def test_a_linked_folder_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "MADE.csv").write_text(ORDINARY)
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "one").symlink_to(tmp_path / "real")
    (tmp_path / "prices" / "two").symlink_to(tmp_path / "real")
    assert FilesSource(tmp_path / "prices").symbols() == ("MADE",)
    assert len(FilesSource(tmp_path / "prices").fetch("MADE", None, AT).bars) == 8


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A.csv", "B.csv", "C.csv"):
        (tmp_path / name).write_text(ORDINARY)
    monkeypatch.setattr(limits, "MOST_FILES", 2)
    with pytest.raises(Malformed, match="holds more than 2 files; name a folder with price files only"):
        list(walk(tmp_path, lambda error: None))


def test_a_folder_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk(tmp_path / "gone", errors.append)) == []
    assert [error.strerror for error in errors] == ["No such file or directory"]


def test_control_characters_are_escaped_in_messages(tmp_path: Path) -> None:
    assert printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    path = tmp_path / "\x1b[31m.csv"
    path.write_text("when,what\n1,2\n")
    (sentence,) = FilesSource(tmp_path).faults()
    assert "\x1b" not in sentence
    assert "\\x1b[31m.csv:1: the header needs" in sentence


@pytest.mark.parametrize(
    ("name", "content"),
    [("MADE.csv", "date,close\n2018-12-31,\n"), ("EURUSD=X.csv", "date,close\n2018-12-30,1\n")],
    ids=["no close", "Sunday evenings"],
)
def test_control_characters_of_a_folder_are_escaped_in_messages(tmp_path: Path, name: str, content: str) -> None:
    folder = tmp_path / "\x1b[31m\nred"
    folder.mkdir()
    (folder / name).write_text(content)
    source = FilesSource(folder)
    (sentence,) = source.faults()
    with pytest.raises(UnknownSymbol) as unknown:
        source.fetch("ELSE", None, AT)
    with pytest.raises(SettingsError) as missing:
        FilesSource(folder / "gone")
    for message in (sentence, str(unknown.value), str(missing.value)):
        assert "\\x1b[31m\\nred" in message
        assert message.isprintable()
