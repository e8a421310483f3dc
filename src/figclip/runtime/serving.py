"""What servers of this machine share: where they listen, how long a body and how many requests."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from figclip.errors import ConfigError

REQUESTS_PER_S, BURST = 20, 40
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""What a server for this machine alone is called: else a page in a browser could have its own name
lead here, and read the answers."""

_MAX_CONNECTIONS = 64
_LAST_ANSWERS_S = 5
"""How long open answers may take at the end: streams would go on for ever."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def serve_application(
    application: Application,
    *,
    host: str,
    port: int,
    path: str = "/",
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Answer until SIGINT, which raises KeyboardInterrupt once open requests are answered.

    Args:
        application: What answers.
        host: Name or address to listen at.
        port: Port to listen at; 0 for any that is free.
        path: What `on_start` is told beside where it listens.
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
            on_start(f"http://{name}:{listening.getsockname()[1]}{path}")
        config = uvicorn.Config(
            application,
            log_level="warning",
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RequestBucket:
    """So many requests at once, and so many a second."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._filled_s = time.monotonic()

    def take(self) -> bool:
        """Take one request out, if there is one."""
        now_s = time.monotonic()
        self._left = min(BURST, self._left + (now_s - self._filled_s) * REQUESTS_PER_S)
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def read_body(receive: Receive, *, limit: int) -> bytes | None:
    """The body of a request; None as soon as it has more bytes than the limit."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read once more, and then goes on."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
