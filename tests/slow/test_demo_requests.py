"""figclip demo: hostile requests get nothing, and the page goes on."""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
import zlib
from collections.abc import Generator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from figclip.demo.media import MAX_UPLOAD_BYTES
from figclip.demo.server import MAX_EVENT_BYTES
from tests.slow.demo_page import OWN, RunningPage, running_page
from tests.videos import draw_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningPage]:
    with running_page(tmp_path_factory.mktemp("page"), *OWN) as running:
        yield running


@pytest.fixture(autouse=True)
def goes_on(page: RunningPage) -> Generator[None]:
    """After each test the page is there, and its folder as it was."""
    before = sorted(page.folder.rglob("*"))
    saved = page.annotations.read_text()
    yield
    status, body, headers = ask(page, "GET", "/")
    assert status == 200 and b"gradio_config" in body
    assert "access-control-allow-origin" not in headers
    assert sorted(page.folder.rglob("*")) == before
    assert page.annotations.read_text() == saved


def ask(
    page: RunningPage,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer; the path is sent as it is."""
    connection = HTTPConnection("127.0.0.1", page.port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None and "Content-Length" not in (headers or {}):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}


def event(**changed: Any) -> bytes:
    """An event of the page, as its browser sends it."""
    content = {
        "data": ["a", "b"], "event_data": None, "fn_index": 0, "trigger_id": 1,
        "session_hash": "abc123",
    }  # fmt: skip
    return json.dumps({**content, **changed}).encode()


def join(page: RunningPage, body: bytes, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Content-Type": "application/json", **named}
    return ask(page, "POST", "/gradio_api/queue/join", body=body, headers=named)[0]


FILES = [
    "/gradio_api/file={path}",
    "/file={path}",
    "/gradio_api/file/{path}",
    "/static/../../../../../../../..{path}",
    "/static/..%2f..%2f..%2f..%2f..%2f..{path}",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{path}",
    "/static/..%252f..%252f..{path}",
    "/assets/..\\..\\..{path}",
    "/assets/..%5c..%5c..{path}",
    "/assets/....//....//..{path}",
    "/assets/%c0%ae%c0%ae/%c0%ae%c0%ae{path}",
    "//{path}",
    "/media/../..{path}",
    "/media/..%2f..%2f..%2fown.jsonl",
    "/media/%00{path}",
    "/media//etc/passwd",
    "/assets//etc/passwd",
]


@pytest.mark.parametrize("way", FILES)
def test_1_no_file_by_its_path(page: RunningPage, way: str):
    for path in ("/etc/passwd", str(page.annotations), str(page.folder / "secret.mp4")):
        status, body, _ = ask(page, "GET", way.format(path=path))
        assert status in (400, 404) and b"root:" not in body and b"pusher" not in body


@pytest.mark.parametrize("path", ["/proc/self/environ", "/dev/zero"])
def test_2_no_device(page: RunningPage, path: str):
    assert ask(page, "GET", f"/gradio_api/file={path}")[0] == 404


@pytest.mark.parametrize("token", ["a" * 16, "a" * 15, "a" * 10_000, "../../etc/pass"])
def test_3_no_medium_of_a_guessed_token(page: RunningPage, token: str):
    assert ask(page, "GET", f"/media/{token}")[0] == 404
    assert ask(page, "GET", f"/media/{token}/still")[0] == 404


@pytest.mark.parametrize("claimed", [True, False])
def test_4_no_oversized_upload(page: RunningPage, claimed: bool):
    if claimed:
        status, body, _ = ask(
            page, "POST", "/media", headers={"Content-Length": str(MAX_UPLOAD_BYTES + 1)}
        )
        assert status == 413 and b"Choose something smaller" in body
        return
    with socket.create_connection(("127.0.0.1", page.port), timeout=60) as line:
        line.sendall(
            b"POST /media HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + b"\0" * 0x100000 + b"\r\n"
        try:
            for _ in range(MAX_UPLOAD_BYTES // 0x100000 + 1):
                line.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not listen any longer
        assert b" 413 " in line.recv(1024)


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "9" * 5000])
def test_5_no_length_that_is_none(page: RunningPage, length: str):
    status = ask(page, "POST", "/media", body=b"x", headers={"Content-Length": length})[0]
    assert status in (400, 413, 431)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#!/bin/sh\nrm -rf /\n",
        b"%PDF-1.7",
        b"PK\x03\x04" + b"\0" * 64,
        b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://169.254.169.254/\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    ],
)
def test_6_nothing_but_pictures_and_clips(page: RunningPage, content: bytes):
    status, body, headers = ask(page, "POST", "/media", body=content)
    assert status == 422 and str(page.folder).encode() not in body and b"/tmp" not in body
    assert headers["content-type"] == "application/json"


def test_7_no_endless_video(page: RunningPage, tmp_path: Path):
    video = draw_video(tmp_path / "a.mkv", stamps=[0, 10 * 3600 * 24 * 365])
    status, body, _ = ask(page, "POST", "/media", body=video.read_bytes())
    assert status == 422 and b"Too-long" in body


def test_8_no_decompression_bomb(page: RunningPage):
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    bomb += chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000)) + chunk(b"IEND", b"")
    status, body, _ = ask(page, "POST", "/media", body=bomb)
    assert status == 422 and b"Too-large" in body


@pytest.mark.parametrize("name", ["../../evil.sh", "a\r\nSet-Cookie: b=c", "\x1b[2J.png", "a\0b"])
def test_9_names_of_files_are_not_looked_at(page: RunningPage, name: str):
    quoted = name.encode("unicode_escape").decode()
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Disposition": f'form-data; name="files"; filename="{quoted}"',
    }
    body = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nx\r\n'
    for path in ("/media", "/gradio_api/upload", "/upload", "/gradio_api/upload?upload_id=../a"):
        status = ask(page, "POST", path, body=body.encode(), headers=headers)[0]
        assert status == (422 if path == "/media" else 404)


ADDRESSES = ["http://127.0.0.1:{port}/secret", "file:///etc/passwd", "//169.254.169.254/"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_10_no_file_that_an_event_names_is_fetched(page: RunningPage, address: str):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        url = address.format(port=listening.getsockname()[1])
        file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}, "orig_name": "a"}
        for data in ([file], [[file]], [{"video": file}], [json.loads('{"path": "/etc/passwd"}')]):
            assert join(page, event(data=data)) == 422
        assert join(page, event(event_data={"medium": file})) == 422
        path = f"/gradio_api/proxy={url}"
        assert ask(page, "GET", path)[0] == 404
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize(
    "changed",
    [
        {"fn_index": -1},
        {"fn_index": 10_000},
        {"fn_index": "0"},
        {"fn_index": None},
        {"fn_index": True},
        {"session_hash": None},
        {"session_hash": "../../etc"},
        {"session_hash": "a" * 33},
        {"session_hash": ["a"]},
        {"trigger_id": "x"},
        {"data": None},
        {"data": {"0": "a"}},
        {"batched": True},
        {"event_id": "x"},
        {"simple_format": True},
        {"oauth_token": "x"},
        {"event_data": ["x"]},
    ],
)
def test_11_no_event_of_another_kind(page: RunningPage, changed: dict[str, Any]):
    assert join(page, event(**changed)) == 422


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"data": ["\\ud800"]}']
)
def test_12_no_event_that_is_no_json(page: RunningPage, body: bytes):
    assert join(page, body) == 422


def test_13_no_event_of_endless_text(page: RunningPage):
    assert join(page, event(data=["x" * MAX_EVENT_BYTES])) == 413
    assert join(page, event(data=["x" * (MAX_EVENT_BYTES // 2 + 1)])) == 422


METHODS = ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "DEBUG"]


@pytest.mark.parametrize("method", METHODS)
def test_14_no_other_method(page: RunningPage, method: str):
    status, _, headers = ask(page, method, "/", headers={"Origin": "http://evil.example"})
    assert status in (400, 405) and "access-control-allow-origin" not in headers


CLOSED = """
/gradio_api/info /gradio_api/openapi.json /gradio_api/call/compare /gradio_api/run/predict
/gradio_api/api/predict /gradio_api/upload_progress?upload_id=1 /gradio_api/app_id
/gradio_api/startup-events /gradio_api/stream/a/b/c/playlist.m3u8 /monitoring /monitoring/summary
/gradio_api/token /login_check /gradio_api/runs /gradio_api/deep_link /docs /openapi.json /redoc
/gradio_api/custom_component/a/client/component/index.js /gradio_api/vibe-code /logout /.git/config
/gradio_api/mcp/sse /gradio_api/dev/reload /svelte/a /pwa_icon /metrics /gradio_api/queue/status
""".split()


@pytest.mark.parametrize("path", CLOSED)
def test_15_no_other_route_of_gradio(page: RunningPage, path: str):
    for method in ("GET", "POST", "HEAD"):
        assert ask(page, method, path, body=b"{}" if method == "POST" else None)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", ""])
def test_16_no_answer_under_another_name(page: RunningPage, host: str):
    for path in ("/", "/config", "/gradio_api/queue/data?session_hash=a"):
        assert ask(page, "GET", path, headers={"Host": host})[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Content-Type": "text/plain"},
    ],
)
def test_17_no_event_of_another_page(page: RunningPage, headers: dict[str, str]):
    for path in ("/media", "/gradio_api/queue/join"):
        assert ask(page, "POST", path, body=event(), headers=headers)[0] == 403


def test_18_no_flood(page: RunningPage):
    statuses = {ask(page, "POST", "/media", body=b"x")[0] for _ in range(60)}
    statuses |= {join(page, b"x") for _ in range(120)}
    assert 429 in statuses and statuses <= {422, 429}
    time.sleep(2.5)


def test_19_no_page_around_the_page_and_no_script_from_afar(page: RunningPage):
    _, body, headers = ask(page, "GET", "/")
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "connect-src 'self'" in policy
    assert "http" not in policy and headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    for secret in (str(page.folder), "/root", "secret.mp4"):
        assert secret not in body.decode().replace(str(page.folder / "run"), "")


def test_20_half_requests_do_not_hold_the_page(page: RunningPage):
    lines = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(30)]
    for line in lines:
        line.sendall(b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-")
    assert ask(page, "GET", "/")[0] == 200
    for line in lines:
        line.close()


def test_ctrl_c_ends_it_though_a_browser_listens(page: RunningPage):
    with running_page(page.folder) as other:
        assert join(other, event(data=["", "a"])) == 200
        listening = HTTPConnection("127.0.0.1", other.port, timeout=30)
        listening.request("GET", "/gradio_api/heartbeat/abc123")
        other.process.send_signal(signal.SIGINT)
        assert other.process.wait(timeout=30) == 0
        assert other.process.stdout is not None and other.process.stdout.read() == "Stopped.\n"
        listening.close()
