"""Loaded by Schemathesis: a refusal of schema-valid data must name what no schema can state."""

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

NOT_IN_A_SCHEMA = frozenset({"Idempotency-Key", "scope", "limit", "target"})
"""A key that was used for another request, a calendar or group that is not watched, the limit of a JSON page with
that of a table, and the host of a target that does not resolve."""


@schemathesis.check
def refusal_is_of_state(_context: Any, response: Any, case: Any) -> None:
    """Raise if schema-valid data get a 422 that the schema could have stated."""
    if response.status_code != 422 or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    named = {each["parameter"] for each in response.json().get("errors", [])}
    if not named <= NOT_IN_A_SCHEMA:
        raise AssertionError(f"schema-valid data were refused because of {', '.join(sorted(named - NOT_IN_A_SCHEMA))}")
