"""What is answered: three pages, none of which changes anything."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from daemon.health.gauges import Gauges, Picture, waited
from daemon.health.state import Reason

_UNAVAILABLE = 503
_INDEX = "Stock GRIP Live: /healthz, /readyz, /metrics\n"
_NO_STORE = {"Cache-Control": "no-store"}


def app_of(
    lives: Callable[[], Reason | None],
    look: Callable[[], Awaitable[Picture]],
    registry: CollectorRegistry,
    gauges: Gauges,
) -> Starlette:
    """The pages.

    Args:
        lives: why the daemon does not live, or None; asks nobody.
        look: all that is known now; waits a few seconds at the most.
        registry: of the metrics.
        gauges: in it, told of the picture before each scrape.
    """

    async def healthz(_request: Request) -> Response:
        lifeless = lives()
        return _answer({"alive": lifeless is None, "reasons": _listed([lifeless] if lifeless else [])})

    async def readyz(_request: Request) -> Response:
        picture = await look()
        vitals = picture.vitals
        return _answer(
            {
                "ready": not picture.lacking,
                "reasons": _listed(picture.lacking),
                "phase": vitals.phase.value,
                "delivery": vitals.delivery or None,
                "waiting": vitals.waiting,
                "oldest_waiting_seconds": round(waited(vitals), 1),
                "up_seconds": round(time.monotonic() - vitals.started, 1),
            }
        )

    async def metrics(request: Request) -> Response:
        gauges.picture = await look()
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": kind, **_NO_STORE})

    async def index(_request: Request) -> Response:
        return PlainTextResponse(_INDEX)

    routes = {"/": index, "/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, page) for path, page in routes.items()])


def _answer(content: dict[str, Any]) -> JSONResponse:
    return JSONResponse(content, _UNAVAILABLE if content["reasons"] else 200, headers=_NO_STORE)


def _listed(reasons: list[Reason]) -> list[dict[str, str]]:
    return [{"reason": reason.cause.value, "message": reason.said} for reason in reasons]
