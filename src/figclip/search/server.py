"""Answers searches over HTTP: model and index stay in memory. Small requests, at a bounded rate.

Nothing of the machine can be read through it but what the index holds: the hits of sentences, with
the paths of their videos, and thumbnails.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from figclip import __version__
from figclip.errors import ConfigError, FigclipError, StoreError, printable
from figclip.search.index import Hit, Index

MAX_TEXT_CHARS, MAX_COUNTERPARTS, MAX_HITS = 1_000, 10, 100
MAX_BODY_BYTES = 64 * 1024
REQUESTS_PER_S, BURST = 20, 40
_MAX_CONNECTIONS = 64

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
    thumbnail: str = Field(description="Where the picture of the best window is, on this server.")


class SearchResponse(BaseModel):
    """What was found, best first."""

    hits: list[FoundMoment]


def build_app(index: Index, *, host: str = "127.0.0.1") -> FastAPI:
    """The application, with its OpenAPI document.

    A server for this machine alone answers to its own names only: else a page in a browser could
    have its name lead here, and read the answers.
    """
    app = FastAPI(
        title="figclip search",
        version=__version__,
        description="Moments of videos, found by a sentence.",
    )
    app.add_middleware(_Limits)
    if _is_loopback(host):
        names = ["localhost", "127.0.0.1", "[::1]"]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names)

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
    """Answer until SIGINT, which raises KeyboardInterrupt once open requests are answered.

    Args:
        index: What is searched.
        host: Name or address to listen at.
        port: Port to listen at; 0 for any that is free.
        on_start: Told the address.

    Raises:
        ConfigError: nobody can listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen there ({error.strerror})",
            where=f"--host {host} --port {port}",
            fix="Give another, or end what listens there",
        ) from error
    with listening:
        if on_start is not None:
            name = f"[{host}]" if ":" in host else host
            on_start(f"http://{name}:{listening.getsockname()[1]}/docs")
        config = uvicorn.Config(
            build_app(index, host=host), log_level="warning", limit_concurrency=_MAX_CONNECTIONS
        )
        uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class _Limits:
    """Refuses long bodies, and more requests than a bucket holds that fills at a steady rate."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._left = float(BURST)
        self._filled_s = time.monotonic()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not self._has_room():
            refusal = JSONResponse({"detail": "too many requests"}, 429, {"Retry-After": "1"})
            await refusal(scope, receive, send)
        elif (body := await _read_body(receive)) is None:
            refusal = JSONResponse({"detail": f"more than {MAX_BODY_BYTES} bytes"}, 413)
            await refusal(scope, receive, send)
        else:
            messages = [{"type": "http.request", "body": body, "more_body": False}]

            async def replay() -> Message:
                return messages.pop() if messages else await receive()

            await self._app(scope, replay, send)

    def _has_room(self) -> bool:
        """Take one request out of the bucket, if there is one."""
        now_s = time.monotonic()
        self._left = min(BURST, self._left + (now_s - self._filled_s) * REQUESTS_PER_S)
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def _read_body(receive: Receive) -> bytes | None:
    """The body of a request; None as soon as it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body
