"""Routes of the API's documentation at `/docs`: Swagger UI from packaged files, under a policy that fits it."""

import base64
import hashlib
import re
from importlib import resources

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

STATIC = "/static-offline-docs"

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

_PARAMETERS = {"dom_id": "#swagger-ui", "layout": "BaseLayout", "deepLinking": True, "validatorUrl": None}
"""`validatorUrl`: the page must not send the document's address to another site."""


def add_documentation(app: FastAPI, root_path: str = "") -> None:
    """Add the routes of the documentation.

    Args:
        app: The application.
        root_path: Path below which a proxy publishes the service; empty = `/`.
    """
    static = f"{root_path}{STATIC}"
    body = bytes(
        get_swagger_ui_html(
            openapi_url=f"{root_path}/openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{static}/swagger-ui-bundle.js",
            swagger_css_url=f"{static}/swagger-ui.css",
            swagger_favicon_url=f"{static}/favicon.png",
            swagger_ui_parameters=_PARAMETERS,
        ).body
    )
    headers = {
        "Content-Security-Policy": content_security_policy(body),
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    }

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def docs(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/html; charset=utf-8")

    files = str(resources.files("fastapi_offline").joinpath("static"))
    app.mount(STATIC, StaticFiles(directory=files), name="static-offline-docs")


def content_security_policy(page: bytes) -> str:
    """Return the policy of a page of Swagger UI: its own files, and the inline scripts that it has now."""
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    hashes = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *hashes)),
            "style-src 'self' 'unsafe-inline'",  # Swagger UI writes style attributes
            "img-src 'self' data:",  # icons of Swagger UI
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
