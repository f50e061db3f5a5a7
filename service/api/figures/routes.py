"""GET /v1/figures/{symbol}."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.common import etag
from service.api.common.dependencies import ReaderDependency
from service.api.common.parameters import AsOf, SymbolPath
from service.api.common.schemas import Strategy, problems
from service.api.figures.read_figure import FigureQuery, read_figure
from service.api.figures.schemas import FigureAnswer, FigureKind, FigureRange
from service.charts.theme import ThemeName

router = APIRouter(prefix="/v1/figures", tags=["figures"])


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a figure."""

    symbol: SymbolPath
    kind: Annotated[FigureKind, Query(description="candles with the forecast, forecasts versus closes, or skill")] = (
        "forecast"
    )
    as_of: AsOf = None
    span: Annotated[FigureRange, Query(alias="range", description="range of the candles")] = "3m"
    theme: Annotated[ThemeName, Query(description="colours")] = "light"
    strategy: Annotated[Strategy, Query(description="whose forecasts")] = "multi_step"
    step: Annotated[int, Query(ge=1, le=3, description="of kind=versus: 1 = T, 2 = T+1, 3 = T+2")] = 1


@router.get(
    "/{symbol}",
    summary="A figure of one symbol",
    response_model=FigureAnswer,
    responses={**etag.NOT_MODIFIED, **problems(404)},
)
def get_figure(
    request: Request, response: Response, reader: ReaderDependency, parameters: Annotated[Parameters, Depends()]
) -> FigureAnswer | Response:
    """A Plotly figure with its caption, text alternative, table and readout.

    With `as_of` it shows the forecast of that session, and the closes after it.
    """
    query = FigureQuery(
        parameters.symbol,
        parameters.kind,
        parameters.as_of,
        parameters.span,
        parameters.theme,
        parameters.strategy,
        parameters.step,
    )
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot)
        if etag.matches(request, tag):
            return etag.not_modified(tag)
        answer = read_figure(snapshot, reader.settings, query)
    response.headers["ETag"] = tag
    return answer
