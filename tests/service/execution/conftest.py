"""One Ray cluster for all tests of executors: a head and a node of two cores, on loopback alone."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.ray_cluster import NoNamespace, RayCluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """Yield a running cluster; skips without network namespaces, and fails if CI=true."""
    with TemporaryDirectory(prefix="ray-") as folder:  # pytest's own folders are too deep for the names of sockets
        try:
            cluster = RayCluster(Path(folder), cpus=2)
        except NoNamespace as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must test Ray in a network namespace, and {error}")
            pytest.skip(f"Ray runs in a network namespace alone, and {error}")
        try:
            yield cluster
        finally:
            cluster.close()
