"""The script that makes the sample, on literal rows."""

import pandas as pd
import pytest

from tools.build_sample import convert, corporate_actions


def rows(closes: list[float], adjusted: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Ticker": "MADE",
            "Date": [f"2018-12-{10 + day}" for day in range(len(closes))],
            "Open": closes,
            "High": closes,
            "Low": closes,
            "Close": closes,
            "Volume": [100] * len(closes),
            "Adj Close": adjusted,
        }
    )


# A dividend of 1.00 with an ex-date close of 99 is 99 / 100; then a 2:1 split; then a constant 3 from later actions.
SOURCE = rows([100.0, 99.0, 50.0, 51.0], [100 * 0.99 * 3 / 2, 99.0 * 3 / 2, 50.0 * 3, 51.0 * 3])


def test_dividends_and_splits_are_distinguished() -> None:
    actions = corporate_actions(SOURCE)
    assert actions["dividend"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert actions["split"].tolist() == [1.0, 1.0, 2.0, 1.0]


def test_prices_are_on_the_basis_of_the_last_row() -> None:
    made = convert(SOURCE)
    assert made["close"].tolist() == [50.0, 49.5, 50.0, 51.0]
    assert made["volume"].tolist() == [200, 200, 100, 100]
    assert made["dividend"].tolist() == [0.0, 0.5, 0.0, 0.0]
    assert list(made.columns) == ["symbol", "date", "open", "high", "low", "close", "volume", "dividend", "split"]


@pytest.mark.parametrize(
    ("closes", "adjusted", "words"),
    [
        ([100.0, 99.0], [50.0, 99.0], "raw close moved by"),  # a split whose jump is missing
        ([100.0, 99.0], [99.004, 99.0], "no dividend"),  # not in whole cents
        ([100.0, 99.0], [101.0, 99.0], "no dividend"),
    ],
)
def test_an_unexplained_step_stops_the_script(closes: list[float], adjusted: list[float], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        corporate_actions(rows(closes, adjusted))
