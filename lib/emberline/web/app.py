"""The requests that are answered, each from one release: lists, folding in, similar items, health
and figures.

Ids are looked up among those of the release and name no file; what is wrong is answered by 400 or
404 and one line, `{"error": "..."}`.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from emberline.errors import ConfigError, EmberlineError, NotServedError
from emberline.logs import event, one_line
from emberline.serving.because import because
from emberline.serving.lookup import Reason, Recommendation
from emberline.serving.recommender import Recommender
from emberline.web import described
from emberline.web.asked import LARGEST, Asked, events_of
from emberline.web.figures import CONTENT_TYPE, Figures

log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request], Awaitable[Mapping[str, Any]]]


class Service:
    """Handlers that share a recommender and what is counted."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender, self._figures = recommender, Figures()
        self._described = described.specification(metadata.version("emberline"))

    def app(self) -> Starlette:
        """The application, as a server of ASGI takes it."""
        asked: tuple[tuple[str, str, str, Answer], ...] = (
            ("recommend", "GET", "/users/{user_id:path}/recommendations", self._recommend),
            ("fold_in", "POST", "/recommendations", self._fold_in),
            ("similar", "GET", "/items/{item_id:path}/similar", self._similar),
            ("most_popular", "GET", "/popular", self._popular),
        )
        routes = [
            Route(path, self._counted(name, answer), methods=[method])
            for name, method, path, answer in asked
        ]
        routes += [
            Route("/healthz", self._health),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            Route("/", self._page),
            Route("/docs", self._page),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refused})

    def _counted(self, name: str, answer: Answer) -> Handler:
        """A handler that turns what went wrong into a status and a line, and counts it all."""

        async def handler(request: Request) -> Response:
            began = time.perf_counter()
            response = await _answered(request, answer)
            self._figures.count(name, response.status_code, time.perf_counter() - began)
            return response

        return handler

    async def _recommend(self, request: Request) -> Mapping[str, Any]:
        asked = Asked.of_query(request.query_params)
        user_id: str = request.path_params["user_id"]
        if not self._recommender.knows_user(user_id):
            raise NotServedError(f"there is no user {user_id!r:.60} in this release")
        if not asked.why:
            return self._list(self._recommender.recommend(user_id, asked.k))
        told = await run_in_threadpool(self._recommender.recommend, user_id, asked.k, True)
        return self._list(told, asked.why)

    async def _fold_in(self, request: Request) -> Mapping[str, Any]:
        asked, events = events_of(await _body(request))
        best = self._recommender.fold_in(events, asked.k, asked.why)
        unknown = self._recommender.unknown(events)
        if events and len(unknown) == len({_id_of(event) for event in events}):
            raise NotServedError(f"no item of the events is known, such as {unknown[0]!r:.60}")
        return {**self._list(best, asked.why), "unknown": unknown}

    async def _similar(self, request: Request) -> Mapping[str, Any]:
        asked = Asked.of_query(request.query_params)
        return self._list(self._recommender.similar(request.path_params["item_id"], asked.k))

    async def _popular(self, request: Request) -> Mapping[str, Any]:
        return self._list(self._recommender.popular(Asked.of_query(request.query_params).k))

    def _list(self, best: list[Recommendation], why: bool = False) -> dict[str, Any]:
        items = [_place(row, why) for row in best]
        return {"release": self._recommender.release, "items": items}

    async def _health(self, request: Request) -> Response:
        return _json({"status": "ok", "release": self._recommender.release})

    async def _metrics(self, request: Request) -> Response:
        text = self._figures.text(self._recommender.release or "")
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def _openapi(self, request: Request) -> Response:
        return _json(self._described)

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(described.page(self._described))


async def _answered(request: Request, answer: Answer) -> Response:
    try:
        return _json(await answer(request))
    except NotServedError as error:
        return _failed(404, str(error))
    except ConfigError as error:
        return _failed(400, str(error))
    except ClientDisconnect:
        return _failed(400, "the request ended before its body did")
    except (EmberlineError, OSError) as error:  # files of a release that is damaged, or gone
        log.error(event("not_answered", error=str(error)))
        return _failed(503, "the release cannot be read; the server's log says why")


async def _body(request: Request) -> bytes:
    """Raises ConfigError for one that is too large."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST:
            raise ConfigError(f"the body is too large; give at most {LARGEST:,} bytes")
    return bytes(content)


async def _refused(request: Request, error: Exception) -> Response:
    """Of paths and methods that there are not."""
    assert isinstance(error, HTTPException)
    return _failed(error.status_code, f"{error.detail}: GET /docs says what there is")


def _failed(status: int, message: str) -> Response:
    return _json({"error": one_line(message)}, status)


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    body = text.encode(errors="backslashreplace")
    return Response(body, status, media_type="application/json")


def _place(row: Recommendation, why: bool) -> dict[str, Any]:
    place = {
        "rank": row.rank,
        "item_id": row.item_id,
        "title": row.title,
        "score": row.score,
        "model": row.model,
    }
    if why:
        place["because"] = because(row.reasons, row.model)
        place["reasons"] = [_reason(reason) for reason in row.reasons]
    return place


def _reason(reason: Reason) -> dict[str, Any]:
    past = reason.past
    return {
        "kind": reason.kind,
        "item_id": past and past.item_id,
        "title": past and past.title,
        "attribute": reason.attribute,
        "word": reason.word,
        "contribution": reason.contribution,
        "drop": reason.drop,
    }


def _id_of(event: Any) -> str:
    return str(event if isinstance(event, str) else event[0])
