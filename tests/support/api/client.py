"""The test client, imported once: Starlette warns at its import that it would rather have a successor of httpx."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

__all__ = ["TestClient"]
