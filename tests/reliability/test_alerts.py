"""Quick forms of the trials of alerts; the full ones are programs of `benchmarks.reliability`."""

from pathlib import Path

import numpy as np

from benchmarks.reliability import alert_coverage, alert_targets, alerts
from service.alerts.detection.cusum import Sums, Thresholds
from service.db.migrate import upgrade
from service.db.session import Database


def test_no_event_is_lost_at_kills_while_receivers_misbehave(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trial.db'}"
    database = Database(url)
    upgrade(database)
    database.close()
    figures = alerts.run_trial(alerts.Trial(url, tmp_path / "alerts.key", kills=2, broken_events=1))
    assert alerts.misses(figures) == []
    assert (figures["deliverer_kills"], figures["publisher_kills"]) == (2, 2)


def test_a_lost_event_is_a_miss() -> None:
    figures = dict.fromkeys(("unsettled", "out_of_order", "bad_signatures", "not_really_delivered"), 0)
    assert alerts.misses({**figures, "lost": 1, "dead": 1, "acknowledged": 9, "delivered": 8}) == ["1 events were lost"]


def test_private_addresses_redirects_and_changing_names_are_refused() -> None:
    figures = alert_targets.run(300)
    assert alert_targets.misses(figures) == []


def test_a_reached_receiver_is_a_miss() -> None:
    figures = {
        "accepted_addresses": [], "refused_public_addresses": [], "accepted_hosts": ["10.0.0.1"],
        "accepted_targets": [],
        "sent": {"loopback": {"error": None, "connections": 0}, "mixed": False},
        "redirect": {"error": "answered 307", "followed": 1},
        "control": {"webhook": None, "apprise": None, "arrived": 1, "resolved": 1},
    }  # fmt: skip
    assert [sentence.split(":")[0] for sentence in alert_targets.misses(figures)] == [
        "accepted_hosts", "loopback", "mixed", "redirect", "control",
    ]  # fmt: skip


def test_a_subscription_has_at_most_one_false_alarm_per_250_sessions_and_finds_drifts() -> None:
    calm = [alert_coverage.false_alarms(1, 0.0, 100, 1_000), alert_coverage.false_alarms(20, 0.5, 20, 1_000)]
    drifts = [alert_coverage.detection(20, 0.6, 200)]
    assert alert_coverage.misses(calm, drifts) == []
    assert all(each.alarms > 0 for each in calm)


def test_the_simulated_sums_are_those_of_the_service() -> None:
    inside = np.random.default_rng(3).random(400) < 0.7
    limits = Thresholds(20, 26)
    simulated = alert_coverage.alarms_of(inside[:, None], limits)[:, 0]
    sums, alarms = Sums(), []
    for each in inside:
        sums = sums.after(bool(each))
        alarms.append(sums.low >= limits.low or sums.high >= limits.high)
        sums = Sums() if alarms[-1] else sums
    assert simulated.tolist() == alarms
    assert sum(alarms) > 1
