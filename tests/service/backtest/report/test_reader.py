"""Files of a backtest: reading them, and errors of invalid files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.backtest.forecast_table import UNKNOWN
from service.backtest.columns import METADATA_KEY
from service.backtest.report.reader import ReportError, read_files
from tests.support.backtest_factory import Maker, rows_of, simulate, table_from, write_backtest, write_frame

PANEL = simulate(symbols=2, sessions=20)  # 16 as_of sessions
WALK = Maker("random_walk", lookback=1)
LSTM = Maker("lstm", refit=8)


def test_a_written_file_is_read(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", PANEL, [WALK, LSTM])
    contents = read_files([path])
    expected = table_from(PANEL, WALK, LSTM)
    assert (contents.has_raw, contents.has_folds, contents.has_seeds, contents.notices) == (True, True, False, ())
    assert sorted(contents.table.entries) == sorted(expected.entries)
    assert contents.table.symbols == ("S00", "S01")
    np.testing.assert_array_equal(contents.table.quantiles, expected.quantiles)
    np.testing.assert_array_equal(contents.table.as_of, expected.as_of)
    np.testing.assert_array_equal(contents.table.keys(), expected.keys())
    assert set(contents.table.fold[:96]) == {UNKNOWN}
    assert len(set(contents.table.fold[96:])) == 2


def test_several_files_are_joined(tmp_path: Path) -> None:
    first = write_backtest(tmp_path / "a.parquet", PANEL, [WALK])
    second = write_backtest(tmp_path / "b.parquet", PANEL, [replace(LSTM, seed=4)])
    contents = read_files([first, second])
    assert len(contents.table) == 192
    assert set(contents.table.seed) == {UNKNOWN, 4}
    assert contents.has_seeds


def test_only_the_named_forecasters_are_read(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", PANEL, [WALK, LSTM])
    assert [entry.forecaster for entry in read_files([path], ["lstm"]).table.entries] == ["lstm"]
    with pytest.raises(ReportError, match="has no row of garch"):
        read_files([path], ["garch"])


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK)
    bare = frame.drop(columns=[name for name in frame if name.startswith("raw_")] + ["lookback", "last_adj_close"])
    contents = read_files([write_frame(tmp_path / "a.parquet", bare)])
    assert (contents.has_raw, contents.has_folds, contents.has_seeds) == (False, False, False)
    assert np.isnan(contents.table.raw).all()
    assert contents.table.entries[0].label == "random_walk multi_step"


def test_fitted_until_distinguishes_folds(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK)
    late = frame["as_of"] > PANEL.sessions[6]
    frame["fitted_until"] = np.where(late, "2015-01-08", "2014-12-31")
    contents = read_files([write_frame(tmp_path / "a.parquet", frame)])
    assert contents.has_folds
    assert len(set(contents.table.fold[late])) == len(set(contents.table.fold[~late])) == 1
    assert len(set(contents.table.fold)) == 2


def test_unknown_outcomes_and_targets_are_kept(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK)
    frame.loc[:2, "actual"] = np.nan
    frame.loc[:2, "target_session"] = pd.NaT
    table = read_files([write_frame(tmp_path / "a.parquet", frame)]).table
    assert np.isnan(table.actual).sum() == np.isnat(table.target_session).sum() == 3


def test_the_notes_of_the_backtest_are_read(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", PANEL, [WALK])
    document = json.dumps({"notes": ["fold 1 is skipped", 7]}).encode()
    pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA_KEY: document}), path)
    assert read_files([path]).notices == ("fold 1 is skipped",)
    pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA_KEY: b"{nonsense"}), path)
    assert read_files([path]).notices == ()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"there is no file .*none\.parquet; use one"):
        read_files([tmp_path / "none.parquet"])


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("symbol,as_of\n")
    with pytest.raises(ReportError, match=r"a\.parquet cannot be read as Parquet"):
        read_files([path])


def test_missing_columns_are_named(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK).drop(columns=["q50", "sigma"])
    with pytest.raises(ReportError, match="lacks the columns sigma, q50; use one"):
        read_files([write_frame(tmp_path / "a.parquet", frame)])


def test_columns_of_another_kind_are_refused(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK).assign(sigma="wide")
    with pytest.raises(ReportError, match=r"a\.parquet cannot be read"):
        read_files([write_frame(tmp_path / "a.parquet", frame)])


def test_rows_without_a_key_are_refused(tmp_path: Path) -> None:
    frame = rows_of(PANEL, WALK).assign(symbol=None)
    with pytest.raises(ReportError, match="96 rows have no symbol"):
        read_files([write_frame(tmp_path / "a.parquet", frame)])
    with pytest.raises(ReportError, match=r"steps are from 0 to 2"):
        read_files(
            [write_frame(tmp_path / "b.parquet", rows_of(PANEL, WALK).assign(step=lambda rows: rows["step"] - 1))]
        )


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", PANEL, [WALK])
    pq.write_table(pa.Table.from_batches([], schema=pq.read_schema(path)), path)
    with pytest.raises(ReportError, match="has no row;"):
        read_files([path])
