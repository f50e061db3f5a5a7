"""Nodes: their command lines and environment, versions that must be equal, and where tests start them."""

import os
from pathlib import Path

import pytest

from service.execution.ray.node import Node, cluster_variables, node_command
from service.execution.ray.versions import difference, installed_versions
from tests.support.ray_cluster import NotLoopback, start_node


def test_ray_is_not_started_where_other_interfaces_are(tmp_path: Path) -> None:
    if set(os.listdir("/sys/class/net")) <= {"lo"}:
        pytest.skip("this machine has loopback alone, so there is nothing to refuse")
    with pytest.raises(NotLoopback, match="on loopback alone"):
        start_node(("--ip", "127.0.0.1", "--head"), tmp_path / "token", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_versions_are_named() -> None:
    own = {"Python": "3.11", "Ray": "2.60.0", "Tplus": "0.1.0", "models": "aaaa"}
    assert difference(own, dict(own), "10.0.0.7") is None
    assert difference(own, {**own, "Ray": "2.59.0", "models": "bbbb"}, "10.0.0.7") == (
        "the node 10.0.0.7 has Ray 2.59.0 instead of 2.60.0, models bbbb instead of aaaa; "
        "install the same Tplus with the same lock file on every machine"
    )
    assert set(installed_versions()) == {"Python", "Ray", "Tplus", "numpy", "keras", "tensorflow", "models"}


def test_a_node_has_the_token_and_no_statistics(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0" * 64 + "\n")
    variables = cluster_variables(token)
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_AUTH_TOKEN_PATH"] == str(token)
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"
    head = node_command(Node("10.0.0.5:6379", "10.0.0.5", True, cpus=0))
    assert head[1:] == [
        "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--node-ip-address=10.0.0.5",
        "--head", "--port=6379", "--include-dashboard=false", "--num-cpus=0",
    ]  # fmt: skip
    worker = node_command(Node("10.0.0.5:6379", "10.0.0.6", gpus=1))
    assert worker[-3:] == ["--node-ip-address=10.0.0.6", "--address=10.0.0.5:6379", "--num-gpus=1"]
    assert not any("0" * 64 in word for word in (*head, *worker, *variables.values()))
