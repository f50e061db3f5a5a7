"""The quarantine table by hand."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from service.db.tables import change_counters
from service.errors import NotFound
from service.prices.checks.row_checks import Finding
from service.prices.quarantine.row_quarantine import clear, list_quarantine, record_findings, reject
from service.prices.repository import has_bar
from tests.support.fakes import JANUARY, World, bars_frame, evening

AT = evening(JANUARY[3])
FINDING = Finding(np.datetime64("2024-01-15"), {"close": 5.0}, "not a session", "refused")


def states(world: World, *wanted: str) -> list[tuple[str, str]]:
    with world.database.reading() as connection:
        return [(record.symbol, record.state) for record in list_quarantine(connection, None, *wanted)]


def test_a_finding_is_recorded_once(world: World) -> None:
    world.instruments("AAA", "BBB")
    other = Finding(FINDING.session, FINDING.row, "the close must be positive and finite", "refused")
    with world.database.transaction() as connection:
        assert record_findings(connection, "AAA", [FINDING], AT) == 1
        assert record_findings(connection, "AAA", [FINDING, other], AT + timedelta(days=1)) == 1
        assert record_findings(connection, "BBB", [FINDING], AT) == 1
        assert record_findings(connection, "BBB", [], AT) == 0
        assert [record.reason for record in list_quarantine(connection, ["BBB"])] == ["not a session"]
    assert states(world) == [("AAA", "refused"), ("AAA", "refused"), ("BBB", "refused")]


def test_a_refused_row_is_only_ticked_off(world: World) -> None:
    world.instruments("AAA")
    with world.database.transaction() as connection:
        record_findings(connection, "AAA", [FINDING], AT)
        number = list_quarantine(connection)[0].id
        clear(connection, number, AT, "fake")
        assert not has_bar(connection, "AAA", FINDING.session.astype(object))
        assert connection.execute(select(change_counters)).all() == []
    assert states(world, "cleared") == [("AAA", "cleared")]


def test_clearing_a_suspect_raises_the_changes(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [100.0, 100.0, 100.0, 50.0])
    assert world.pull(JANUARY[3])["AAA"].state == "suspect"
    assert states(world, "open") == [("AAA", "open")]
    with world.database.transaction() as connection:
        record = clear(connection, list_quarantine(connection)[0].id, AT, "fake")
        assert (record.session, record.row["close"], record.clears) == (JANUARY[3], 50.0, False)
        assert has_bar(connection, "AAA", JANUARY[3])
        counters = {
            row[0]: row[1] for row in connection.execute(select(change_counters.c.scope, change_counters.c.counter))
        }
    assert counters == {"": 2, "AAA": 2}


def test_no_such_row(world: World) -> None:
    with world.database.transaction() as connection, pytest.raises(NotFound, match="no row 7"):
        clear(connection, 7, AT, "fake")


def test_a_rejected_bar_stays_out_while_the_source_repeats_it(world: World) -> None:
    halved = [100.0, 100.0, 100.0, 50.0, 51.0, 52.0, 53.0]
    world.source.bars["AAA"] = bars_frame(JANUARY[:7], halved)
    world.pull(JANUARY[3])
    with world.database.transaction() as connection:
        record = reject(connection, list_quarantine(connection)[0].id, AT)
        assert (record.session, record.state) == (JANUARY[3], "open")
    for session in JANUARY[4:6]:
        world.pull(session)
    assert states(world) == [("AAA", "rejected")]
    with world.database.reading() as connection:
        assert not has_bar(connection, "AAA", JANUARY[3])
        assert has_bar(connection, "AAA", JANUARY[5])
    # The source corrects the bar: it is stored, and the question is settled.
    world.source.bars["AAA"] = bars_frame(JANUARY[:7], [100.0, 100.0, 100.0, 80.0, 51.0, 52.0, 53.0])
    world.pull(JANUARY[6])
    assert states(world) == [("AAA", "cleared")]
    with world.database.reading() as connection:
        assert has_bar(connection, "AAA", JANUARY[3])


def test_another_jump_on_a_rejected_session_is_a_new_question(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [100.0, 100.0, 100.0, 50.0])
    world.pull(JANUARY[3])
    with world.database.transaction() as connection:
        reject(connection, list_quarantine(connection)[0].id, AT)
    world.source.bars["AAA"] = bars_frame(JANUARY[:5], [100.0, 100.0, 100.0, 9_900.0, 100.0])
    world.pull(JANUARY[4])
    assert states(world) == [("AAA", "rejected"), ("AAA", "open")]


def test_a_person_may_accept_what_was_rejected(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [100.0, 100.0, 100.0, 50.0])
    world.pull(JANUARY[3])
    with world.database.transaction() as connection:
        number = list_quarantine(connection)[0].id
        reject(connection, number, AT)
        with pytest.raises(NotFound, match=f"row {number} of the quarantine is rejected, not open"):
            reject(connection, number, AT)
        clear(connection, number, AT, "fake")
        assert has_bar(connection, "AAA", JANUARY[3])
    assert states(world) == [("AAA", "cleared")]
