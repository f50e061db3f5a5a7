"""Prometheus and Grafana of the compose file: what they name exists in a scrape of a real server with data."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import insert

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import runs, schedulers
from tests.support import promql
from tests.support.api.ledger_factory import FRIDAY, add_record, at, fill
from tests.support.api.scrape import Scrape
from tests.support.compose import ROOT, read
from tests.support.dashboard.server import serving
from tests.support.postgres import free_port

FOLDER = ROOT / "deploy" / "observability"
SERVICES = read("docker-compose.yml")["services"]
PROMETHEUS, GRAFANA = SERVICES["prometheus"], SERVICES["grafana"]
OF_PROMETHEUS = {"job", "instance", "alertname"}
"""Labels that Prometheus adds; `up` is its own metric."""


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "grafana" / "tplus.json").read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Return every expression by where it is."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        found |= {f"panel {panel['title']}, {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


def labels_named() -> dict[str, set[str]]:
    """Return the labels that texts of alerts and legends show, by where they are."""
    found = {
        f"alert {rule['alert']}": set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        for rule in rules()
    }
    for panel in panels():
        for target in panel["targets"]:
            names = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
            found[f"panel {panel['title']}, {target['refId']}"] = names
    return found


def add_data(database: Database) -> None:
    """Write a ledger with every kind of row that a metric is made of."""
    fill(database)
    now = datetime.now(UTC)
    with database.transaction() as connection:
        add_record(connection, "equity", "multi_step", 2, scope_kind="group")
        row = {"id": "s", "name": "host:1", "heartbeat_at": now, "lease_until": now, "token": 1}
        connection.execute(insert(schedulers).values(**row))
        connection.execute(
            insert(runs).values(
                id=50, job="train", scope="equity", scheduled_for=at(FRIDAY, 21, 30), sequence=0, session=FRIDAY,
                state="done", attempt=1, token=1, counts={}, started_at=now, finished_at=now + timedelta(seconds=9),
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    """A scrape of a real server's own port, after answers of every status class."""
    file = tmp_path_factory.mktemp("observability") / "data.db"
    database = Database(f"sqlite:///{file}")
    upgrade(database)
    add_data(database)
    database.close()
    port = free_port()
    with serving(file, {"TPLUS_METRICS_PORT": str(port)}) as server:
        statuses = [httpx.get(f"{server.url}/v1/forecasts/{symbol}").status_code for symbol in ("AAPL", "MSFT", "ZZZZ")]
        assert statuses == [200, 503, 404]
        yield Scrape(httpx.get(f"http://127.0.0.1:{port}/metrics").text)


def test_no_metric_has_a_label_that_prometheus_adds(scrape: Scrape) -> None:
    # Prometheus would rename it to exported_job.
    assert [name for name, labels in scrape.names().items() if labels & OF_PROMETHEUS] == []


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=list(expressions()))
def test_every_metric_label_and_value_of_an_expression_is_in_a_real_scrape(
    scrape: Scrape, where: str, expression: str
) -> None:
    names = scrape.names()
    needed = promql.read(expression)
    assert needed.selectors
    available: set[str] = set()
    for selector in needed.selectors:
        if selector.metric == "up":
            available |= OF_PROMETHEUS
            continue
        assert selector.metric in names, f"{where}: there is no metric {selector.metric}"
        available |= names[selector.metric] | OF_PROMETHEUS
        for label, operator, value in selector.matchers:
            values = {each.labels.get(label) for each in scrape.samples if each.name == selector.metric}
            wanted = set(value.split("|")) if operator == "=~" else {value}
            assert wanted <= values, f"{where}: {selector.metric} has no {label} of {wanted - values}"
    assert needed.labels <= available, f"{where}: {needed.labels - available}"
    assert labels_named()[where] <= available, f"{where}: {labels_named()[where] - available}"


def test_every_metric_of_the_service_is_on_the_dashboard_or_in_an_alert(scrape: Scrape) -> None:
    used = {selector.metric for text in expressions().values() for selector in promql.read(text).selectors}
    names = {re.sub("_(bucket|sum|count)$", "", name) for name in scrape.names() if name.startswith("tplus_")}
    used = {re.sub("_bucket$", "", name) for name in used}
    assert names - used == {"tplus_build_info"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch("Tplus[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert f"`{rule['alert']}`" in (ROOT / "docs" / "monitoring.md").read_text()


def test_the_files_refer_to_each_other() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    environment = SERVICES["api"]["environment"]
    assert job["static_configs"] == [{"targets": [f"api:{environment['TPLUS_METRICS_PORT']}"]}]
    assert environment["TPLUS_METRICS_HOST"] == "0.0.0.0"
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    used = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert used == {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    inside = {
        volume.split(":")[1]: ROOT / volume.split(":")[0] for volume in PROMETHEUS["volumes"] + GRAFANA["volumes"]
    }
    mounted = {path: file for path, file in inside.items() if path.startswith("/etc/")}
    assert [path for path, file in mounted.items() if not file.is_file()] == []
    assert all(volume.endswith(":ro") for volume in PROMETHEUS["volumes"] + GRAFANA["volumes"] if ":/etc/" in volume)
    assert set(config["rule_files"]) <= set(mounted)
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/tplus.json" in mounted
    assert GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted


def test_the_profile_starts_by_itself_only_when_named_and_is_as_closed_as_the_rest() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["observability"]} == {
        "prometheus",
        "grafana",
    }
    assert "ports" not in PROMETHEUS
    assert GRAFANA["ports"] == ["127.0.0.1:3000:3000"]
    # Neither reaches the database, and the metrics' port is on a network without outside access.
    networks = read("docker-compose.yml")["networks"]
    assert (PROMETHEUS["networks"], GRAFANA["networks"]) == (["monitoring"], ["monitoring", "outside"])
    assert networks["monitoring"] == {"internal": True}
    assert re.fullmatch(r"prom/prometheus:v3\.\d+\.\d+", PROMETHEUS["image"])
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", GRAFANA["image"])
    assert GRAFANA["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    assert GRAFANA["secrets"] == ["grafana_password"]


def test_panels_do_not_overlap() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in json.loads((FOLDER / "grafana" / "tplus.json").read_text())["panels"]:
        at_ = panel["gridPos"]
        cells = {(at_["x"] + x, at_["y"] + y) for x in range(at_["w"]) for y in range(at_["h"])}
        assert at_["x"] + at_["w"] <= 24
        assert not cells & seen, panel["title"]
        seen |= cells


def test_the_reader_of_expressions_finds_names_and_faults() -> None:
    text = 'sum by (job, le) (rate(a_total{x=~"p|q", y="1"}[5m])) / on (z) group_left_is_no_word > 0.5'
    found = promql.read(text)
    assert [selector.metric for selector in found.selectors] == ["a_total", "group_left_is_no_word"]
    assert found.selectors[0].matchers == (("x", "=~", "p|q"), ("y", "=", "1"))
    assert found.labels == {"job", "le", "z"}
    for fault in ("rate(a[5m]", "nothing(a)", "a{x=1}", "a # b", 'a{x="1"'):
        with pytest.raises(ValueError, match=r"PromQL|brackets|unknown|matchers"):
            promql.read(fault)


def test_the_folder_holds_nothing_else() -> None:
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert files == {
        "prometheus.yml", "alerts.yml", "grafana/datasources.yml", "grafana/dashboards.yml", "grafana/tplus.json"
    }  # fmt: skip


def test_the_guide_lists_every_metric_with_its_labels(scrape: Scrape) -> None:
    listed: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "monitoring.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(tplus_\w+)`", cells[0]) if line.startswith("| `tplus_") else ():
            listed[name] = set(re.findall(r"`(\w+)`", cells[1]))
    found: dict[str, set[str]] = {}
    for name, labels in scrape.names().items():
        if name.startswith("tplus_"):
            found.setdefault(re.sub("_(bucket|sum|count)$", "", name), set()).update(labels - {"le", "version"})
    assert listed == found
