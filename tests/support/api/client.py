"""The test client, imported in one place: Starlette warns at its import about httpx."""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient as _TestClient


class TestClient(_TestClient):
    """A client that names the service by an address that it accepts, as a browser on this machine does."""

    __test__ = False

    def __init__(self, app: Any, base_url: str = "http://127.0.0.1", **options: Any) -> None:
        super().__init__(app, base_url, **options)


__all__ = ["TestClient"]
