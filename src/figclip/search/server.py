"""Answers searches over HTTP: model and index stay in memory. Small requests, at a bounded rate.

Nothing of the machine can be read through it but what the index holds: the hits of sentences, with
the paths of their videos, and thumbnails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from figclip import __version__
from figclip.errors import FigclipError, StoreError, printable
from figclip.runtime.serving import (
    LOCAL_NAMES,
    Application,
    Message,
    Receive,
    RequestBucket,
    Send,
    is_loopback,
    read_body,
    replayed,
    serve_application,
)
from figclip.search.index import Hit, Index

MAX_TEXT_CHARS, MAX_COUNTERPARTS, MAX_HITS = 1_000, 10, 100
MAX_BODY_BYTES = 64 * 1024

Sentence = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]


class SearchRequest(BaseModel):
    """What is searched for."""

    model_config = ConfigDict(extra="forbid")

    text: Sentence = Field(examples=["a man hands a cup to a woman"])
    against: list[Sentence] = Field(
        default=[], max_length=MAX_COUNTERPARTS, description="What it must not be."
    )
    k: int = Field(default=10, ge=1, le=MAX_HITS, description="Most hits.")
    path: str | None = Field(
        default=None, max_length=300, description="Only such paths: `*.mp4`, `party/*`."
    )


class FoundMoment(BaseModel):
    """A moment of a video, times in seconds from its first displayed frame."""

    path: str
    also_at: list[str]
    start_s: float
    end_s: float
    score: float
    margin: float | None = Field(description="Score minus the best of what it must not be.")
    windows: list[int]
    best_window: int
    video: str = Field(description="SHA-256 of the file.")
    pooling: str = Field(description="How windows were compared: mean, vc or both.")
    thumbnail: str = Field(description="Where the picture of the best window is, on this server.")


class SearchResponse(BaseModel):
    """What was found, best first."""

    hits: list[FoundMoment]


def build_app(index: Index, *, host: str = "127.0.0.1") -> FastAPI:
    """The application, with its OpenAPI document; for this machine alone, under its own names."""
    app = FastAPI(
        title="figclip search",
        version=__version__,
        description="Moments of videos, found by a sentence.",
    )
    app.add_middleware(_Limits)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))

    @app.exception_handler(FigclipError)
    def explain(request: Request, error: FigclipError) -> JSONResponse:
        """What is wrong and what to do, without where: that may be a path."""
        del request
        return JSONResponse({"detail": f"{error.what}. {error.fix}"}, status_code=422)

    @app.post("/search")
    def search(wanted: SearchRequest) -> SearchResponse:
        """Find moments by what happens in them."""
        hits = index.search(
            text=wanted.text, k=wanted.k, against=wanted.against, path_glob=wanted.path
        )
        return SearchResponse(hits=[_found(hit) for hit in hits])

    @app.get("/search")
    def search_by_address(wanted: Annotated[SearchRequest, Query()]) -> SearchResponse:
        """The same, for a browser's address line."""
        return search(wanted)

    @app.get(
        "/thumbnail", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}}
    )
    def thumbnail(
        video: Annotated[str, Query(max_length=100)], window: Annotated[int, Query(ge=0, lt=2**31)]
    ) -> Response:
        """The picture of a window."""
        try:
            return Response(index.thumbnail(video, window), media_type="image/jpeg")
        except StoreError as error:
            raise HTTPException(404, "there is no such window") from error

    return app


def _found(hit: Hit) -> FoundMoment:
    """A hit as it is answered; names of files that are no UTF-8 are spelt out."""
    content = {
        **hit.as_dict(),
        "path": printable(str(hit.path)),
        "also_at": [printable(str(one)) for one in hit.also_at],
        "thumbnail": f"/thumbnail?video={quote(hit.video)}&window={hit.best_window}",
    }
    return FoundMoment(**content)


def serve(
    index: Index, *, host: str, port: int, on_start: Callable[[str], None] | None = None
) -> None:
    """Answer as `runtime.serving.serve_application` does, which says what the arguments are."""
    application = build_app(index, host=host)
    serve_application(application, host=host, port=port, path="/docs", on_start=on_start)


class _Limits:
    """Refuses long bodies, and more requests than a bucket holds that fills at a steady rate."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._bucket = RequestBucket()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not self._bucket.take():
            refusal = JSONResponse({"detail": "too many requests"}, 429, {"Retry-After": "1"})
            await refusal(scope, receive, send)
        elif (body := await read_body(receive, limit=MAX_BODY_BYTES)) is None:
            refusal = JSONResponse({"detail": f"more than {MAX_BODY_BYTES} bytes"}, 413)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, replayed(body, receive), send)
