"""What a process loads when it starts, seen in a process of its own."""

import subprocess
import sys

import pytest

from tests.support.source_tree import ROOT

SCHEDULER = "import service.cli.main, service.bootstrap, service.scheduler.loop, service.prices.sources.yahoo"


def loaded(statement: str) -> set[str]:
    """Top-level modules in memory after a statement."""
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_scheduler_never_loads_tensorflow() -> None:
    # TensorFlow exports a curl of its own: loaded first, it breaks the one that yfinance asks with.
    names = loaded(SCHEDULER)
    assert "curl_cffi" in names
    assert names & {"tensorflow", "keras", "scipy"} == set()


@pytest.mark.parametrize("task", ["import models.training.tasks", "import models.forecasting.artifact"])
def test_the_forecasting_worker_starts_without_tensorflow(task: str) -> None:
    names = loaded(task)
    assert "numpy" in names
    assert names & {"tensorflow", "keras", "pandas", "scipy", "sqlalchemy", "yfinance"} == set()
