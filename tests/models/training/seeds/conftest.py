"""One training with Keras on JAX for all tests of this folder: a process has one backend."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.jax_training import JaxRun, jax_variables


@pytest.fixture(scope="package")
def jax_run(tmp_path_factory: pytest.TempPathFactory) -> JaxRun:
    path = tmp_path_factory.mktemp("jax")
    variables = jax_variables(path)
    words = [sys.executable, "-m", "tests.support.jax_training", str(path)]
    subprocess.run(words, check=True, env={**os.environ, **variables})
    return JaxRun(path, json.loads((path / "facts.json").read_text()), variables)
