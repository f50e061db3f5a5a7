"""Durations and ends of options."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from service.cli.access.durations import end_of, parse_duration, parse_end

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("90d", 7_776_000)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "1 day", "-1d", "1.5h", "24H", "3651d", "9999999d", "\u0661d", "1d\n"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not a duration; write it as 24h|is too long; use at most 3650d"):
        parse_duration(text)


def test_an_end_is_a_duration_from_now_or_the_start_of_a_date_in_utc() -> None:
    assert end_of(parse_end("90d"), NOW) == datetime(2027, 2, 25, 12, 0, tzinfo=UTC)
    assert end_of(parse_end("2027-06-30"), NOW) == datetime(2027, 6, 30, tzinfo=UTC)
    assert end_of(None, NOW) is None


@pytest.mark.parametrize("text", ["2026-11-27", "2020-01-01", "0d", "2036-11-26", "9999-12-31"])
def test_an_end_that_has_passed_or_is_far_away_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"would never be accepted|may last at most 3650 days"):
        end_of(parse_end(text), NOW)


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'soon' is neither a duration of at most 3650d nor a date"):
        parse_end("soon")
