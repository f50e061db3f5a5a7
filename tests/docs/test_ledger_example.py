"""The example in docs/ledger.md that verifies an export without Tplus."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.db.session import Database
from service.hash_chains.export import write_export
from tests.support.chain_factory import fill_chains
from tests.support.paths import ROOT


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_example_accepts_an_export_and_refuses_an_altered_one(database: Database, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "ledger.md").read_text(), re.DOTALL)
    fill_chains(database, tmp_path)
    path = tmp_path / "ledger.jsonl"
    with database.reading() as connection:
        write_export(connection, path, {})
    script = tmp_path / "example.py"
    script.write_text(code)

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run().returncode == 0
    path.write_text(path.read_text().replace('"pinball":0.002', '"pinball":0.001', 1))
    assert "AssertionError: 1" in run().stderr
