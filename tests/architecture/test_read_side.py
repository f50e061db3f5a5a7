"""An API process stays small: what it must never load."""

import json
import subprocess
import sys

HEAVY = (
    "keras",
    "tensorflow",
    "yfinance",
    "exchange_calendars",
    "pandas",
    "models",
    "alembic",
    "plotly",
    "pyarrow",
    "scipy",
)


def test_the_api_loads_nothing_heavy() -> None:
    code = "import json, sys, service.app; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    loaded = set(json.loads(done.stdout))
    assert "fastapi" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded & set(HEAVY))
