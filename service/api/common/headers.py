"""Headers that every answer has, so that a browser takes it for nothing but what it is."""

from collections.abc import Mapping

API_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of an answer that sets none of its own; one with an ETag may be kept and is checked before each use."""

REVALIDATED = "private, no-cache"
"""Cache-Control of an answer with an ETag."""
