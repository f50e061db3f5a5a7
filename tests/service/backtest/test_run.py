"""`tplus backtest` on the command line: its file, its messages, and resuming after a kill."""

import gzip
import json
import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pa_parquet
import pytest

from service.backtest.run import Backtest, BacktestRequest
from service.market.exchange_calendar import get_calendar
from service.runtime.progress import SilentReporter
from service.settings import Settings
from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.paths import ROOT
from tests.support.recorded import RecordedWalks, Walk

COLUMNS = [
    "symbol", "as_of", "step", "strategy", "forecaster", "lookback", "target_session", "last_adj_close", "sigma",
    "q025", "q10", "q25", "q50", "q75", "q90", "q975",
    "raw_q025", "raw_q10", "raw_q25", "raw_q50", "raw_q75", "raw_q90", "raw_q975", "actual", "fold", "seed",
]  # fmt: skip
BASELINES = ("--baselines", "random_walk,drift,historical", "--networks", "")


def write_prices(folder: Path, symbol: str, seed: int, first: str = "2009-01-01", flat: bool = False) -> None:
    """Write a simulated NYSE history to the end of 2013."""
    start, end = np.datetime64(first).astype(object), np.datetime64("2013-12-31").astype(object)
    days = get_calendar("XNYS", start, end).sessions(start, end)
    moves = np.random.default_rng(seed).normal(0, 0.01, len(days))
    close = np.full(len(days), 20.0) if flat else 20 * np.exp(np.cumsum(moves))
    lines = ["date,open,high,low,close,adj_close,volume"]
    lines += [f"{day},{c},{c * 1.01},{c * 0.99},{c},{c},1000" for day, c in zip(days, close.round(4), strict=True)]
    (folder / f"{symbol}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prices")
    for seed, symbol in enumerate(("AAA", "BBB", "CCC")):
        write_prices(folder, symbol, seed)
    write_prices(folder, "LATE", 7, first="2013-05-01")
    write_prices(folder, "FLAT", 8, flat=True)
    return folder


def arguments(prices: Path, out: Path, *more: str, symbols: str = "AAA,BBB,CCC") -> tuple[str, ...]:
    return (
        "backtest", "--source", f"files:{prices}", "--symbols", symbols, "--from", "2012-01-03", "--to", "2013-12-31",
        "--refit", "40", "--out", str(out), *more,
    )  # fmt: skip


def test_the_file_has_all_forecasts_and_outcomes(prices: Path, tmp_path: Path) -> None:
    line = CommandLine(tmp_path, {})
    answer = line.run(*arguments(prices, tmp_path / "x.parquet", *BASELINES, "--json", "--jobs", "1"))
    assert answer.status == 0, answer.error[-2000:]
    table = pa_parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == COLUMNS
    # 502 sessions of 2012 and 2013, three symbols, three baselines, one step and three steps
    assert table.num_rows == answer.document["rows"] == 502 * 3 * 3 * 4
    assert answer.document["training_seconds"] == 0.0  # no network
    rows = table.to_pandas()
    keys = ["symbol", "as_of", "step", "strategy", "forecaster", "lookback"]
    assert not rows.duplicated(keys).any()
    assert set(rows["strategy"]) == {"one_step", "multi_step"}
    assert rows["fold"].nunique() == answer.document["folds"] == 13
    one = rows[(rows.symbol == "AAA") & (rows.forecaster == "random_walk") & (rows.strategy == "multi_step")]
    three = one[one.as_of.astype(str) == "2012-12-21"]
    assert three.target_session.astype(str).tolist() == ["2012-12-24", "2012-12-26", "2012-12-27"]
    later = one[(one.as_of.astype(str) == "2012-12-27") & (one.step == 1)].last_adj_close.iloc[0]
    np.testing.assert_allclose(three.actual.iloc[2], np.log(later / three.last_adj_close.iloc[0]), rtol=1e-9)
    newest = one[one.as_of.astype(str) == "2013-12-30"]
    assert newest.actual.isna().tolist() == [False, True, True]
    assert newest.target_session.astype(str).tolist() == ["2013-12-31", "2014-01-02", "2014-01-03"]
    quantiles = rows[[name for name in COLUMNS if name.startswith("q")]].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    # Calibration starts on the first fold's validation span, so that the first rows are calibrated already.
    first = rows[(rows.as_of == rows.as_of.min()) & (rows.step == 1)]
    assert not np.allclose(first.q975, first.raw_q975, rtol=1e-3)
    assert rows.seed.isna().all()
    document = json.loads(table.schema.metadata[b"tplus.backtest"])
    assert len(document["folds"]) == 13
    assert document["request"]["refit"] == 40


def test_it_says_how_long_it_takes_and_what_is_left_out(prices: Path, tmp_path: Path) -> None:
    line, out = CommandLine(tmp_path, {}), tmp_path / "x.parquet"
    plain = arguments(prices, out, "--networks", "", "--strategies", "one_step", "--jobs", "1", symbols="AAA")
    answer = line.run(*plain)
    assert answer.status == 0, answer.error[-2000:]
    said = answer.error
    # 13 folds with three baselines at 0.1 s
    assert "to do: 13 folds with 3 forecasters; with 1 process about 4 s: a rough estimate" in said
    assert "; the other 12 folds take about" in said
    assert said.index("to do: 13 folds") < said.index("the other 12 folds")
    add = "--baselines random_walk,drift,historical,garch"
    assert f"the baseline garch is left out, since it is slow; name it with {add}" in said
    assert set(pa_parquet.read_table(out).to_pandas().forecaster) == {"random_walk", "drift", "historical"}
    named = line.run(*plain, *add.split(), "--json")
    assert (named.document["left_out"], named.document["made"]) == ([], 13)
    assert "garch" in set(pa_parquet.read_table(out).to_pandas().forecaster)


def test_without_arch_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arch", None)  # as without the package
    source = RecordedWalks([Walk("AAA", date(2009, 1, 1), date(2013, 12, 31))])
    request = BacktestRequest(
        ("AAA",), date(2013, 12, 2), date(2013, 12, 31), 252, 63, (), 1, (5,), ("random_walk", "garch"), ("one_step",)
    )
    backtest = Backtest(request, Settings(reference_symbols=()), SilentReporter())
    summary = backtest.run(source, datetime(2014, 1, 7, tzinfo=UTC), tmp_path / "x.parquet", 1)
    [note] = summary.notes
    assert (
        "the baseline garch is left out: it needs the arch package; run `make setup-backtest` in the checkout" in note
    )
    targets = (ROOT / "Makefile").read_text()
    assert re.search(r"^setup-backtest:.*##", targets, re.MULTILINE)


def test_a_killed_run_resumes_and_gives_the_same_bytes(prices: Path, tmp_path: Path) -> None:
    line = CommandLine(tmp_path, {})
    whole = line.run(*arguments(prices, tmp_path / "whole.parquet", *BASELINES, "--json", "--jobs", "1"))
    out = tmp_path / "killed.parquet"
    started = line.start(*arguments(prices, out, *BASELINES, "--json", "--jobs", "1"), log=tmp_path / "log")
    parts = tmp_path / "killed.parquet.parts"
    wait_for(lambda: len(list(parts.glob("*.npz"))) >= 5)
    kill_group(started)
    finished = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.npz")}
    assert 5 <= len(finished) < 13 * 6
    assert not out.exists()
    (parts / "half.npz.1.unfinished").write_bytes(b"half a result")
    damaged = sorted(finished)[0]
    (parts / damaged).write_bytes(b"PK\x03\x04 torn")
    again = line.run(*arguments(prices, out, *BASELINES, "--json", "--jobs", "1"))
    assert again.status == 0, again.error[-2000:]
    assert again.document["found"] == len(finished) - 1
    assert again.document["made"] == whole.document["made"] - len(finished) + 1
    kept = {name for name, stamp in finished.items() if (parts / name).stat().st_mtime_ns == stamp}
    assert kept == set(finished) - {damaged}
    assert not list(parts.glob("*.unfinished"))
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_other_options_make_other_fold_results(prices: Path, tmp_path: Path) -> None:
    line, out = CommandLine(tmp_path, {}), tmp_path / "x.parquet"
    plain = ("--baselines", "random_walk", "--networks", "", "--json", "--jobs", "1", "--strategies", "one_step")
    first = line.run(*arguments(prices, out, *plain))
    second = line.run(*arguments(prices, out, *plain))
    other = line.run(*arguments(prices, out, *plain, "--validation", "200"))
    assert [each.document["made"] for each in (first, second, other)] == [13, 0, 13]


def test_what_cannot_be_forecast_is_noted_and_the_rest_continues(prices: Path, tmp_path: Path) -> None:
    answer = CommandLine(tmp_path, {}).run(
        "backtest", "--source", f"files:{prices}", "--symbols", "AAA,LATE,FLAT,NONE", "--from", "2009-12-01", "--to",
        "2011-12-30", "--refit", "252", "--stop", "252", "--networks", "lstmm,lstm",
        "--baselines", "random_walk,naive,garch",
        "--strategies", "multi_step", "--out", str(tmp_path / "x.parquet"), "--json", "--seeds", "1", "--jobs", "1",
    )  # fmt: skip
    assert answer.status == 0, answer.error[-2000:]
    notes = "\n".join(answer.document["notes"])
    assert "NONE is left out: NONE: no file" in notes
    assert "no network named 'lstmm'" in notes
    assert "no baseline named 'naive'" in notes
    assert "equity fold 1 (2009-12-01..2010-11-30) is skipped: there are 230 sessions before" in notes
    # 482 sessions before: 79 before the first window, 3 and 3 purged between the spans
    assert "lstm multi_step in fold 2 is left out: 397 distinct as_of dates" in notes
    assert "garch multi_step in fold 3: FLAT is left out: its price never changed" in notes
    rows = pa_parquet.read_table(tmp_path / "x.parquet").to_pandas()
    assert set(rows.forecaster) == {"random_walk", "garch"}
    assert set(rows.symbol) == {"AAA", "FLAT"}


def test_a_file_that_cannot_be_written_is_an_error(prices: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 245)  # the folder of parts can be created next to it, the unfinished file cannot
    plain = ("--baselines", "random_walk", "--networks", "", "--strategies", "one_step", "--jobs", "1", "--json")
    answer = CommandLine(tmp_path, {}).run(*arguments(prices, long, *plain, symbols="AAA"))
    assert answer.status == 1
    assert f"all forecasts are kept in {long.name}.parts" in answer.sentence


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--from", "2012-13-01"), "'--from': '2012-13-01' is not a date; write it as 2015-01-02"),
        (("--from", "2014-01-02", "--to", "2013-01-02"), "swap them"),
        (("--from", "2030-01-02", "--to", "2031-01-02"), "no session from 2030-01-02"),
        (("--lookbacks", "5,0"), "--lookbacks '0' must be a whole number from 1 to 60"),
        (("--refit", "-3"), "'--refit': must be 1 or more"),
        (("--refits", "3"), "No such option: --refits"),
        (("--strategies", "two_step"), "no strategy named 'two_step'"),
        (("--networks", "transformer", "--baselines", ""), "no forecaster is left"),
        (("--out", "."), "is a folder; name a file in it for --out"),
    ],
)
def test_an_invalid_request_is_an_error(prices: Path, tmp_path: Path, more: tuple[str, ...], sentence: str) -> None:
    answer = CommandLine(tmp_path, {}).run(*arguments(prices, tmp_path / "x.parquet", *BASELINES, *more, "--json"))
    assert answer.status in (1, 2)
    assert sentence in answer.sentence
    assert not (tmp_path / "x.parquet").exists()
