"""The compose profile `cluster` without an engine: private, with a token in a file, and laid over the scheduler."""

import re

import pytest

from service.cli.main import COMMANDS
from service.settings import load_settings
from tests.support.compose import ROOT, handed_on, in_memory, laid_over, order, read, seconds, size
from tests.support.dockerfile import stages

STACK, CLUSTER = read("docker-compose.yml"), read("docker-compose.cluster.yml")
JOINED = laid_over(STACK, CLUSTER)
NODES = {name: service for name, service in CLUSTER["services"].items() if name.startswith("ray-")}
SCHEDULER = JOINED["services"]["scheduler"]


def test_the_nodes_belong_to_a_profile_and_the_head_comes_first() -> None:
    assert {name: service["profiles"] for name, service in NODES.items()} == {
        "ray-head": ["cluster"],
        "ray-worker": ["cluster"],
    }
    assert order(NODES) == ["ray-head", "ray-worker"]
    assert NODES["ray-worker"]["depends_on"] == {"ray-head": {"condition": "service_healthy"}}


def test_nothing_of_the_cluster_is_reached_from_outside() -> None:
    assert CLUSTER["networks"] == {"cluster": {"internal": True}}
    assert {name: service["networks"] for name, service in NODES.items()} == {key: ["cluster"] for key in NODES}
    published = [name for name, each in CLUSTER["services"].items() if {"ports", "expose", "network_mode"} & set(each)]
    assert published == []
    assert set(SCHEDULER["networks"]) == {*STACK["services"]["scheduler"]["networks"], "cluster"}
    others = {name for name, each in JOINED["services"].items() if "cluster" in each["networks"]}
    assert others == {*NODES, "scheduler"}


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_no_more_rights_than_it_needs_and_limits(name: str) -> None:
    node = NODES[name]
    assert (node["read_only"], node["cap_drop"], node["init"]) == (True, ["ALL"], True)
    assert node["security_opt"] == ["no-new-privileges:true"]
    assert node["user"] == SCHEDULER["user"] == "10001:10001"
    assert in_memory(node)["/tmp"] == {}
    assert in_memory(node)["/var/lib/tplus"]["uid"] == "10001"
    assert size(node["shm_size"]) < size(node["mem_limit"]) <= 2**33
    assert node["pids_limit"] > 0
    assert node["restart"] == "unless-stopped"
    assert {"max-size", "max-file"} == set(node["logging"]["options"])
    assert node["healthcheck"]["test"] == ["CMD", "tplus", "health", "ray"]
    assert seconds(node["healthcheck"]["start_period"]) >= 30


@pytest.mark.parametrize("name", NODES)
def test_an_object_store_fits_into_the_shared_memory_of_its_node(name: str) -> None:
    command = NODES[name]["command"]
    assert command[:2] == ["tplus", "ray-node"]
    assert "ray-node" in COMMANDS
    assert int(command[command.index("--store") + 1]) * 2**20 < size(NODES[name]["shm_size"])


@pytest.mark.parametrize("name", CLUSTER["services"])
def test_the_token_is_a_file_and_nowhere_else(name: str) -> None:
    service = JOINED["services"][name]
    assert "ray_token" in service["secrets"]
    assert service["environment"]["TPLUS_RAY_TOKEN_FILE"] == "/run/secrets/ray_token"
    assert [each for each in service["environment"] if "TOKEN" in each] == ["TPLUS_RAY_TOKEN_FILE"]
    assert CLUSTER["secrets"] == {"ray_token": {"file": "./secrets/ray_token"}}
    # The nodes hold no other secret: whoever reaches the cluster can read what its workers can.
    assert name == "scheduler" or service["secrets"] == ["ray_token"]


@pytest.mark.parametrize("name", CLUSTER["services"])
def test_all_name_the_same_cluster_and_image(name: str) -> None:
    service = JOINED["services"][name]
    known = {key: value for key, value in service["environment"].items() if key.startswith("TPLUS_RAY")}
    settings = load_settings(known | {"TPLUS_EXECUTOR": service["environment"]["TPLUS_EXECUTOR"]})
    assert settings.ray_address == "ray-head:6379"
    assert service["image"] == "tplus-trainer-ray"
    assert handed_on("docker-compose.cluster.yml") >= {"TPLUS_RAY_CPUS", "TPLUS_RAY_GPUS"}


def test_the_scheduler_keeps_what_it_has() -> None:
    before = STACK["services"]["scheduler"]
    assert set(before["environment"]) < set(SCHEDULER["environment"])
    assert set(before["secrets"]) < set(SCHEDULER["secrets"])
    assert (SCHEDULER["read_only"], SCHEDULER["volumes"]) == (True, before["volumes"])
    assert SCHEDULER["build"]["args"]["TRAINER_LOCK"] == "ray"
    assert (ROOT / "requirements" / "ray.txt").exists()
    assert SCHEDULER["build"]["target"] in stages((ROOT / "Dockerfile").read_text())


def test_the_guide_shows_how_to_start_it() -> None:
    guide = (ROOT / "docs" / "scaling.md").read_text()
    assert "-f docker-compose.yml -f docker-compose.cluster.yml --profile cluster up" in guide
    assert "openssl rand -hex 32 > secrets/ray_token" in guide
    assert set(re.findall(r"\btplus ([a-z][a-z-]+)", guide)) <= set(COMMANDS)
