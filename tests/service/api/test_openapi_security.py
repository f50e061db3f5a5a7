"""The OpenAPI document: who may call what, so that generated clients send a key."""

from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings

WITHOUT_KEY = {"/healthz", "/readyz"}


def document(tmp_path: Path, *, open_reads: bool) -> dict[str, Any]:
    return create_app(Settings(data_dir=tmp_path, open_reads=open_reads)).openapi()


def test_both_ways_to_show_a_key_are_declared(tmp_path: Path) -> None:
    schemes = document(tmp_path, open_reads=True)["components"]["securitySchemes"]
    assert {name: (each["type"], each.get("scheme") or each["in"]) for name, each in schemes.items()} == {
        "key": ("http", "bearer"),
        "page_session": ("apiKey", "cookie"),
    }


@pytest.mark.parametrize("open_reads", [True, False])
def test_each_route_declares_its_keys_and_their_refusals(tmp_path: Path, open_reads: bool) -> None:
    for path, operations in document(tmp_path, open_reads=open_reads)["paths"].items():
        for method, operation in operations.items():
            security = operation.get("security")
            if path in WITHOUT_KEY:
                assert security is None
                continue
            assert {"401", "403"} <= set(operation["responses"]), path
            if path != "/v1/session":
                assert operation["x-required-scope"] in ("read", "run", "admin")
                assert method == "get" or operation["x-required-scope"] != "read", path
            needs_none = (path, method) == ("/v1/session", "get") or (
                open_reads and method == "get" and path != "/v1/audit"
            )
            if (path, method) == ("/v1/session", "post"):
                assert {"key": []} in security
                assert {} in security
                continue
            assert {"key": []} in security
            assert {"page_session": []} in security
            assert ({} in security) is needs_none, (method, path)
