"""GET /metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.common.schemas import problems
from service.api.metrics.exposition import Metrics

router = APIRouter(tags=["health"])


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        **problems(),
        200: {
            "description": "Prometheus's text format, or OpenMetrics if the Accept header prefers it",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        },
    },
)
def get_metrics(request: Request, metrics: Annotated[Metrics, Depends(_metrics)]) -> Response:
    """Return requests, runs, ages, leases, outcomes and track records as numbers; none of them is per symbol."""
    body, media_type = metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
