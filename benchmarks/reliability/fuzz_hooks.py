"""Loaded by Schemathesis: what a schema cannot state, a rejection of schema-valid data and a 503, must name itself."""

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

NOT_IN_A_SCHEMA = frozenset({"Idempotency-Key", "scope", "limit", "target", "known_at", "first"})
"""A key that was used for another request, a calendar or group that is not watched, the limit of a JSON page with that
of a table, the host of a target that does not resolve, an instant after market time, a range in the wrong order."""

NOT_YET = "there is no forecast of "
"""Start of the one reason for a 503 over a database that can be read."""


@schemathesis.check
def rejection_is_of_state(_context: Any, response: Any, case: Any) -> None:
    """Raise if schema-valid data get a 422 that the schema could have stated."""
    if response.status_code != 422 or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    named = {each["parameter"] for each in response.json().get("errors", [])}
    if not named <= NOT_IN_A_SCHEMA:
        raise AssertionError(f"schema-valid data were rejected because of {', '.join(sorted(named - NOT_IN_A_SCHEMA))}")


@schemathesis.check
def data_are_not_there_yet(_context: Any, response: Any, _case: Any) -> None:
    """Raise if a 503 has another reason than a forecast that is not there yet, or does not say when to try again."""
    if response.status_code != 503:
        return
    detail = response.json().get("detail", "")
    if not detail.startswith(NOT_YET) or "retry-after" not in response.headers:
        raise AssertionError(f"a 503 for another reason: {detail[:200]}")
