"""The compose files without an engine: the rules of a production stack, and every setting in them known."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.app import SHUTDOWN_SECONDS as API_SHUTDOWN_SECONDS
from service.cli.main import COMMANDS
from service.cli.serve.health import API_SECONDS
from service.cli.serve.up import SHUTDOWN_SECONDS
from service.settings import Settings, load_settings
from tests.support.compose import ROOT, handed_on, in_memory, laid_over, order, read, seconds, size, variables
from tests.support.dockerfile import stages

FILES = ("docker-compose.yml", "docker-compose.gpu.yml", "docker-compose.cluster.yml")
STACK = read("docker-compose.yml")
ALL_SERVICES = STACK["services"]
SERVICES = {name: service for name, service in ALL_SERVICES.items() if "profiles" not in service}
OBSERVABILITY = {name: service for name, service in ALL_SERVICES.items() if "profiles" in service}
OURS = ("migrate", "api", "scheduler")
LASTING = ("db", "api", "scheduler")
SECRET = "/run/secrets/database_password"
API_KEY = "/run/secrets/api_key"
SET_BY_THE_FILE = {
    "DATABASE_URL", "DATABASE_PASSWORD_FILE", "DATA_DIR", "HOST", "PORT", "METRICS_HOST", "METRICS_PORT",
    "API_KEY_FILE", "ALERT_KEY_FILE",
}  # fmt: skip
SET_BY_THE_CLUSTER_FILE = {"EXECUTOR", "RAY_TOKEN_FILE"}
WITHOUT_USE_IN_A_CONTAINER = {"BROWSER", "YAHOO_STANDIN_URL"}
"""The images have no browser, and the stand-in for Yahoo is for tests."""


def test_the_services_come_up_in_order() -> None:
    assert order(SERVICES) == ["db", "migrate", "api", "scheduler"]
    assert "depends_on" not in SERVICES["db"]
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    migrated = {"db": {"condition": "service_healthy"}, "migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["api"]["depends_on"] == SERVICES["scheduler"]["depends_on"] == migrated


def test_migrating_happens_once_and_everything_else_comes_back() -> None:
    assert {name: service["restart"] for name, service in SERVICES.items()} == {
        "migrate": "no",
        **dict.fromkeys(LASTING, "unless-stopped"),
    }


def test_only_the_api_is_published_and_on_the_hosts_loopback_alone() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api": ["127.0.0.1:8000:8000"]
    }
    assert [name for name, service in SERVICES.items() if service.get("network_mode") or service.get("expose")] == []


def test_the_database_is_reached_from_inside_alone() -> None:
    assert STACK["networks"]["inside"] == {"internal": True}
    networks = {name: service["networks"] for name, service in SERVICES.items()}
    assert (networks["db"], networks["migrate"]) == (["inside"], ["inside"])
    assert networks["api"] == ["inside", "outside", "monitoring"]
    assert networks["scheduler"] == ["inside", "outside"]


@pytest.mark.parametrize("name", ALL_SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = ALL_SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("root", "0")
    assert "/tmp" in service["tmpfs"]


@pytest.mark.parametrize("name", ALL_SERVICES)
def test_a_service_has_limits_and_its_log_too(name: str) -> None:
    service = ALL_SERVICES[name]
    assert 2**28 <= size(service["mem_limit"]) <= 2**33
    assert service["pids_limit"] > 0
    assert {"max-size", "max-file"} == set(service["logging"]["options"])


@pytest.mark.parametrize("name", [*LASTING, *OBSERVABILITY])
def test_a_lasting_service_has_a_health_check_that_gives_it_time_to_start(name: str) -> None:
    check = ALL_SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert seconds(check["start_period"]) >= 30
    assert seconds(check["interval"]) >= seconds(check["timeout"])
    assert check["retries"] >= 3
    assert seconds(SERVICES["api"]["healthcheck"]["timeout"]) > API_SECONDS


def test_the_health_checks_are_the_services_own_words() -> None:
    assert SERVICES["api"]["healthcheck"]["test"] == ["CMD", "tplus", "health", "api"]
    assert SERVICES["scheduler"]["healthcheck"]["test"] == ["CMD", "tplus", "health", "scheduler"]
    assert SERVICES["db"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in SERVICES["db"]["healthcheck"]["test"]


def test_every_service_has_more_time_to_end_than_it_takes() -> None:
    assert seconds(SERVICES["scheduler"]["stop_grace_period"]) >= SHUTDOWN_SECONDS + 15
    assert seconds(SERVICES["api"]["stop_grace_period"]) >= API_SHUTDOWN_SECONDS + 10
    assert seconds(SERVICES["db"]["stop_grace_period"]) >= 60
    assert SERVICES["db"]["stop_signal"] == "SIGINT"
    assert all(SERVICES[name]["init"] is True for name in OURS)


@pytest.mark.parametrize("name", SERVICES)
def test_the_password_is_a_file_and_nowhere_else(name: str) -> None:
    service = SERVICES[name]
    key = "POSTGRES_PASSWORD_FILE" if name == "db" else "TPLUS_DATABASE_PASSWORD_FILE"
    more = {"migrate": ["api_key"], "api": ["alert_key"], "scheduler": ["alert_key"]}
    assert service["secrets"] == ["database_password", *more.get(name, [])]
    assert service["environment"][key] == SECRET
    named = [each for each in service["environment"] if re.search("(?i)password|secret|token", each)]
    assert named == [key]
    assert STACK["secrets"]["database_password"] == {"file": "./secrets/database_password"}
    for secret in ("api_key", "alert_key"):
        assert STACK["secrets"][secret] == {"file": f"./secrets/{secret}"}


def test_the_first_key_is_a_file_of_the_service_that_stores_its_hash() -> None:
    assert {name: each["environment"].get("TPLUS_API_KEY_FILE") for name, each in SERVICES.items()} == {
        "db": None, "migrate": API_KEY, "api": None, "scheduler": None,
    }  # fmt: skip


def test_the_reads_of_the_stack_need_a_key_unless_set(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p")
    environment = SERVICES["api"]["environment"] | {"TPLUS_DATABASE_PASSWORD_FILE": str(secret)}
    assert not load_settings(environment).has_open_reads
    assert load_settings(environment | {"TPLUS_OPEN_READS": "true"}).has_open_reads


def test_a_secret_in_the_checkout_is_never_committed() -> None:
    assert {"secrets/", ".env"} <= set((ROOT / ".gitignore").read_text().splitlines())


@pytest.mark.parametrize("name", OURS)
def test_the_environment_holds_settings_that_are_known(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p/w:d@\n")
    settings = load_settings(SERVICES[name]["environment"] | {"TPLUS_DATABASE_PASSWORD_FILE": str(secret)})
    assert settings.url == "postgresql://tplus:p%2Fw%3Ad%40@db:5432/tplus"  # audit: planted
    assert (settings.source, settings.clock) == ("sample", "replay")
    assert settings.reference_symbols == ("SPY", "^VIX")
    assert settings.host == ("0.0.0.0" if name == "api" else "127.0.0.1")


def test_every_setting_is_handed_on_but_those_named_here() -> None:
    known = {field.upper() for field in Settings.model_fields}
    names = handed_on("docker-compose.yml") | handed_on("docker-compose.cluster.yml")
    handed = {name.removeprefix("TPLUS_") for name in names if name.startswith("TPLUS_")}
    assert known - handed == SET_BY_THE_FILE | SET_BY_THE_CLUSTER_FILE | WITHOUT_USE_IN_A_CONTAINER
    assert handed <= known
    api = {name.removeprefix("TPLUS_") for name in SERVICES["api"]["environment"]}
    assert api == SET_BY_THE_FILE - {"API_KEY_FILE"} | {"SOURCE", "CLOCK", "SYMBOLS", "REFERENCE_SYMBOLS", "LOG_LEVEL"}


def test_the_database_and_its_clients_name_the_same_user_and_database() -> None:
    environment = SERVICES["db"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == ("tplus", "tplus")


def test_the_database_sorts_names_as_the_embedded_one_does() -> None:
    # The order of symbols decides the hash of what a model was trained on.
    words = SERVICES["db"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert {"--encoding=UTF8", "--locale=C", "--data-checksums"} == set(words)


def test_what_must_last_lies_on_volumes() -> None:
    assert SERVICES["db"]["volumes"] == ["database:/var/lib/postgresql/data"]
    assert SERVICES["scheduler"]["volumes"] == ["artifacts:/var/lib/tplus"]
    assert SERVICES["scheduler"]["environment"]["TPLUS_DATA_DIR"] == "/var/lib/tplus"
    assert set(STACK["volumes"]) == {"database", "artifacts", "metrics", "grafana"}
    assert all("/var/lib/tplus" in in_memory(SERVICES[name]) for name in ("migrate", "api"))


@pytest.mark.parametrize("name", OURS)
def test_what_lies_in_memory_over_a_folder_of_ours_belongs_to_who_runs_there(name: str) -> None:
    # The engine mounts memory as root's with the mode of the image's folder below, 0750: nobody else would get in.
    user, group = SERVICES[name]["user"].split(":")
    folders = in_memory(SERVICES[name])
    assert folders.pop("/tmp") == {}  # 1777 in every image
    assert [each for each in folders.values() if (each.get("uid"), each.get("gid")) != (user, group)] == []


@pytest.mark.parametrize("name", OURS)
def test_an_image_is_built_from_a_target_of_the_dockerfile(name: str) -> None:
    target = "trainer" if name == "scheduler" else "api"
    base = {"PYTHON_IMAGE": "python:3.11-slim-bookworm"}
    assert SERVICES[name]["build"] == {"context": ".", "target": target, "args": base}
    assert target in stages((ROOT / "Dockerfile").read_text())
    assert SERVICES[name]["image"] == f"tplus-{target}"


def test_the_databases_image_has_a_version_and_can_be_pinned() -> None:
    # From 18 on the image refuses a volume at this folder.
    assert re.fullmatch(r"postgres:1[5-7][\w.-]*", SERVICES["db"]["image"])
    assert SERVICES["db"]["volumes"] == ["database:/var/lib/postgresql/data"]
    assert variables("docker-compose.yml")["POSTGRES_IMAGE"] == SERVICES["db"]["image"]


@pytest.mark.parametrize("name", FILES)
def test_every_variable_has_a_default(name: str) -> None:
    found = variables(name)
    assert found
    assert [variable for variable, default in found.items() if default is None] == []
    # A variable of ours that is no setting would be refused by every tplus started from the same shell.
    known = {f"TPLUS_{field.upper()}" for field in Settings.model_fields}
    assert {variable for variable in found if variable.startswith("TPLUS_")} <= known


def test_the_gpu_file_changes_the_scheduler_alone_and_takes_nothing_away() -> None:
    over = read("docker-compose.gpu.yml")["services"]
    assert set(over) == {"scheduler"}
    joined = laid_over(STACK, read("docker-compose.gpu.yml"))["services"]["scheduler"]
    lock = joined["build"]["args"]["TRAINER_LOCK"]
    assert (ROOT / "requirements" / f"{lock}.txt").exists()
    assert joined["build"]["target"] == "trainer"
    assert joined["image"] != SERVICES["scheduler"]["image"]
    (device,) = joined["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert set(SERVICES["scheduler"]["environment"]) < set(joined["environment"])
    assert joined["read_only"] is True


def test_the_guide_names_every_variable_and_no_command_or_service_that_is_not_there() -> None:
    guide = (ROOT / "docs" / "production.md").read_text()
    named = set().union(*(set(variables(file)) for file in FILES), *(handed_on(file) for file in FILES))
    assert [name for name in sorted(named) if f"`{name}`" not in guide] == []
    commands = set(re.findall(r"\btplus ([a-z][a-z-]+)", guide))
    assert {"health", "db", "symbols", "schedule"} <= commands <= set(COMMANDS)
    services = set(re.findall(r"docker compose (?:exec|run|stop)(?: -\S+)* ([a-z]+)", guide))
    assert {"db", "scheduler", "api"} <= services <= set(SERVICES)


def test_the_guide_puts_the_password_into_no_command_line() -> None:
    # `printf` is the shell's own: only programs have a command line that others can read.
    guide = (ROOT / "docs" / "production.md").read_text()
    assert "$(cat secrets/" in guide
    assert re.findall(r"(?m)^(?!printf ).*\$\(cat secrets/.*$|\|.*\$\(cat secrets/", guide) == []


@pytest.mark.parametrize("names", [FILES[:1], FILES[:2], FILES[::2]])
def test_an_installed_compose_accepts_the_files(names: tuple[str, ...]) -> None:
    program = compose_program()
    if program is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed; the other tests hold the rules")
    files = [word for name in names for word in ("-f", str(ROOT / name))]
    done = subprocess.run([*program, *files, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def compose_program() -> list[str] | None:
    """How compose is called on this machine; None where it is not there."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True)
        if asked.returncode == 0:
            return ["docker", "compose"]
    return None
