"""Serves a page: what its browser needs, and nothing else of what gradio could do.

gradio has routes for uploads, files, proxies, streams and an API, which take paths and addresses
from the browser. None of them is let through: files come and go by tokens, here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import Headers, MutableHeaders

from figclip.demo.media import MAX_UPLOAD_BYTES, Shelf
from figclip.demo.page import load_gradio, theme
from figclip.demo.rendering import style, told
from figclip.errors import ConfigError, FigclipError
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
)

MAX_EVENT_BYTES = 512 * 1024
_MAX_TEXT_CHARS = 256 * 1024
_MAX_DIGITS = 18
_TOKEN = "[A-Za-z0-9_-]{16}"
_SESSION = "[a-z0-9]{1,32}"
_ROUTES = {
    "GET": re.compile(
        r"/|/favicon\.ico|/manifest\.json|/theme\.css|/config|/static/[\w./-]+|/assets/[\w./-]+"
        rf"|/gradio_api/queue/data|/gradio_api/heartbeat/{_SESSION}|/media/{_TOKEN}(?:/still)?"
    ),
    "POST": re.compile(r"/gradio_api/queue/join|/media"),
}
_ROUTES["HEAD"] = re.compile(rf"/|/media/{_TOKEN}(?:/still)?")
_EVENT_KEYS = {"data", "event_data", "fn_index", "trigger_id", "session_hash"}
# gradio makes functions of the page's own script; nothing is loaded from anywhere else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build_application(page: Any, shelf: Shelf, *, host: str = "127.0.0.1") -> FastAPI:
    """The application of a page of `demo.page`; for this machine alone, under its own names."""
    gradio = load_gradio()
    app = FastAPI(openapi_url=None)
    app.add_middleware(_Guard, num_events=len(page.fns))
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))

    @app.exception_handler(FigclipError)
    def explain(request: Request, error: FigclipError) -> JSONResponse:
        """What is wrong and what to do, without where: that may be a path."""
        del request
        status = 404 if isinstance(error, ConfigError) else 422
        return JSONResponse({"detail": told(error)}, status_code=status)

    @app.post("/media")
    async def receive(request: Request) -> Response:
        """Take a picture or clip; its name is not asked for."""
        upload = shelf.new_upload()
        num_bytes = 0
        with upload.open("wb") as file:
            async for chunk in request.stream():
                num_bytes += len(chunk)
                if num_bytes > MAX_UPLOAD_BYTES:
                    break
                await to_thread.run_sync(file.write, chunk)
        if num_bytes > MAX_UPLOAD_BYTES:
            upload.unlink()
            return _too_large(MAX_UPLOAD_BYTES)
        return JSONResponse({"token": await to_thread.run_sync(shelf.accept, upload)})

    @app.api_route("/media/{token}", methods=["GET", "HEAD"])
    def medium(token: str) -> Response:
        """The copy of a picture or clip."""
        return FileResponse(shelf.copy(token), headers={"Cache-Control": "private"})

    @app.api_route("/media/{token}/still", methods=["GET", "HEAD"])
    def still(token: str) -> Response:
        """A picture of it."""
        return FileResponse(shelf.copy(token, still=True), headers={"Cache-Control": "private"})

    return gradio.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        show_error=False,
        theme=theme(gradio),
        css=style(),
    )


class _Guard:
    """Refuses what the page does not ask for, and tells the browser to load nothing from afar."""

    def __init__(self, app: Application, num_events: int) -> None:
        self._app, self._num_events = app, num_events
        self._bucket = RequestBucket()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            safely = partial(_send_safely, send)
            answer = await self._checked(scope, receive)
            if isinstance(answer, Response):
                await answer(scope, receive, safely)
            else:
                await self._app(scope, answer, safely)

    async def _checked(self, scope: Message, receive: Receive) -> Response | Receive:
        """What the application is to read; a refusal instead of it."""
        method, path = scope["method"], scope["path"]
        if method not in _ROUTES:
            return _refusal(405, "not allowed")
        if not _ROUTES[method].fullmatch(path) or ".." in path or "//" in path:
            return _refusal(404, "not found")
        if method != "POST":
            return receive
        headers = Headers(scope=scope)
        if not _is_own(headers):
            return _refusal(403, "only the page itself may send")
        if not self._bucket.take():
            return JSONResponse({"detail": "too many requests"}, 429, {"Retry-After": "1"})
        limit = MAX_UPLOAD_BYTES if path == "/media" else MAX_EVENT_BYTES
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > _MAX_DIGITS:
            return _refusal(400, "no length")
        if int(length) > limit:
            return _too_large(limit)
        if path == "/media":
            return receive
        body = await read_body(receive, limit=limit)
        if body is None:
            return _too_large(limit)
        if not self._is_event(body):
            return _refusal(422, "no event of this page")
        return replayed(body, receive)

    def _is_event(self, body: bytes) -> bool:
        """Whether a body is an event of the page: texts and numbers, to one of its functions."""
        try:
            event: object = json.loads(body)
            json.dumps(event, ensure_ascii=False).encode()  # halves of surrogate pairs
        except (ValueError, RecursionError):
            return False
        if not _is_object(event) or not event.keys() <= _EVENT_KEYS:
            return False
        number, session, data = event.get("fn_index"), event.get("session_hash"), event.get("data")
        said = event.get("event_data") or {}
        return (
            type(number) is int
            and 0 <= number < self._num_events
            and isinstance(session, str)
            and re.fullmatch(_SESSION, session) is not None
            and isinstance(data, list)
            and all(map(_is_plain, data))
            and _is_object(said)
            and all(map(_is_plain, said.values()))
            and type(event.get("trigger_id")) in (int, type(None))
        )


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_plain(value: object) -> bool:
    """Neither a list nor an object, which gradio might take for a file."""
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT_CHARS
    return value is None or isinstance(value, int | float)


def _is_own(headers: Mapping[str, str]) -> bool:
    """Whether a page of this server sends, as far as a browser says who does."""
    origin = headers.get("origin")
    is_same_site = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return is_same_site and (origin is None or urlsplit(origin).netloc == headers.get("host"))


def _refusal(status: int, why: str) -> Response:
    return JSONResponse({"detail": why}, status)


def _too_large(limit: int) -> Response:
    return _refusal(413, f"That is more than {limit // 1024:,} KiB. Choose something smaller.")


async def _send_safely(send: Send, message: Message) -> None:
    """An answer with the headers of this server, and without those that let others read it."""
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        for name in [name for name in headers if name.startswith("access-control-")]:
            del headers[name]
        headers.update(_HEADERS)
    await send(message)
