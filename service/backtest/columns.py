"""Names in the backtest's file that its writer and the report share."""

from models.config import QUANTILES

METADATA_KEY = b"tplus.backtest"
"""Key of the JSON document in the file's metadata."""

QUANTILE_COLUMNS = tuple(f"q{level:.3f}".replace("0.", "").rstrip("0").ljust(3, "0") for level in QUANTILES)
"""`q025 q10 q25 q50 q75 q90 q975`: the quantiles that would be served, ascending."""

RAW_COLUMNS = tuple(f"raw_{name}" for name in QUANTILE_COLUMNS)
"""The same before calibration."""
