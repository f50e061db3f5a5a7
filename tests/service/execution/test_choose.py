"""The executor that the settings choose, and what stops the start; no part of Ray is started here."""

import sys
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.execution.choose import cluster_config, fold_executors, training_executor
from service.execution.local import KeptChild
from service.execution.ray.cluster import ClusterConfig
from service.execution.ray.executor import ClusterUnreachable, RayExecutor
from service.settings import load_settings
from tests.support import execution_tasks as tasks


def test_a_cluster_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    # Nothing of Ray is started: the connection is refused before it is imported.
    token = tmp_path / "token"
    token.write_text("0" * 64)
    executor = RayExecutor(ClusterConfig("127.0.0.1:9", token, connect_seconds=20.0), 60.0)
    with pytest.raises(ClusterUnreachable, match=r"at 127.0.0.1:9 cannot be reached .*`tplus ray-node --head`"):
        executor.run(tasks.whereabouts, None)
    executor.close()


def test_without_the_extra_the_start_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("0" * 64)
    settings = {"TPLUS_EXECUTOR": "ray:10.0.0.5:6379", "TPLUS_RAY_TOKEN_FILE": str(tmp_path / "token")}
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(SettingsError, match=r"TPLUS_EXECUTOR=ray:10.0.0.5:6379 needs the extra ray; install it with"):
        training_executor(load_settings(settings), tmp_path / "log", 0.0)


@pytest.mark.parametrize(
    ("token", "reason"), [(None, "No such file"), ("short", "at least 32"), ("0 " * 40, "one token")]
)
def test_a_bad_token_file_stops_the_start(tmp_path: Path, token: str | None, reason: str) -> None:
    if token is not None:
        (tmp_path / "token").write_text(token)
    settings = {"TPLUS_EXECUTOR": "ray:10.0.0.5:6379", "TPLUS_RAY_TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(SettingsError, match=reason):
        training_executor(load_settings(settings), tmp_path / "log", 0.0)


def test_the_settings_choose(tmp_path: Path) -> None:
    local = load_settings({})
    assert cluster_config(local) is None
    assert isinstance(training_executor(local, tmp_path / "log", 0.0), KeptChild)
    assert len(fold_executors(local, 3, tmp_path / "log")) == 3
    token = tmp_path / "token"
    token.write_text("0" * 64)
    settings = load_settings(
        {
            "TPLUS_EXECUTOR": "ray:head:6379", "TPLUS_RAY_TOKEN_FILE": str(token), "TPLUS_RAY_CPUS": "2",
            "TPLUS_RAY_GPUS": "0.25", "TPLUS_RAY_CONNECT_SECONDS": "5",
        }
    )  # fmt: skip
    assert cluster_config(settings) == ClusterConfig("head:6379", token, 2, 0.25, 5.0)
    assert isinstance(training_executor(settings, tmp_path / "log", 0.0), RayExecutor)


@pytest.mark.parametrize("address", ["ray", "ray:", "ray:host", "ray:host:0", "ray:host:65536", "ray:a b:1", "RAY:h:1"])
def test_an_address_is_checked(address: str) -> None:
    with pytest.raises(SettingsError, match=r"must be local or ray:HOST:PORT"):
        load_settings({"TPLUS_EXECUTOR": address, "TPLUS_RAY_TOKEN_FILE": "/token"})


def test_a_cluster_without_a_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs TPLUS_RAY_TOKEN_FILE"):
        load_settings({"TPLUS_EXECUTOR": "ray:host:6379"})


def test_a_share_of_gpus_is_below_one_or_a_whole_number() -> None:
    assert load_settings({"TPLUS_RAY_GPUS": "0.5"}).ray_gpus == 0.5
    assert load_settings({"TPLUS_RAY_GPUS": "2"}).ray_gpus == 2
    with pytest.raises(SettingsError, match="a share below 1 or a whole number"):
        load_settings({"TPLUS_RAY_GPUS": "1.5"})
