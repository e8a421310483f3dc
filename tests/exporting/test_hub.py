"""Pushing to a hub, which a small local server stands in for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from figclip.errors import ConfigError, OutputError
from figclip.exporting.export import export
from figclip.exporting.hub import push
from tests.small_runs import write_tiny_clip


class Hub(ThreadingHTTPServer):
    """Keeps what is committed to it; `status` is what it answers where it refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.messages: list[str] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    """As much of the hub's interface as `create_repo` and `upload_folder` use."""

    server: Hub

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.status != 200:
            return self._answer({"error": "no"})
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self._answer({"url": f"{self.server.address}/me/mine"})
        if self.path == "/api/validate-yaml":  # the head of the card
            return self._answer({"errors": [], "warnings": []})
        if re.search("/preupload/main", self.path):
            files = json.loads(body)["files"]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            return self._answer({"files": [{"path": one["path"], **plain} for one in files]})
        assert "/commit/main" in self.path, self.path
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.server.messages.append(value["summary"])
            else:
                self.server.files[value["path"]] = base64.b64decode(value["content"])
        return self._answer(
            {"commitUrl": f"{self.server.address}/me/mine/commit/c0ffee", "commitOid": "c0ffee"}
        )

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    with Hub() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_made_up")
        yield server
        server.shutdown()
        thread.join()


def test_all_files_arrive(hub: Hub, tmp_path: Path):
    write_tiny_clip(tmp_path / "clip")
    done = export(tmp_path / "clip", to="hf", out=tmp_path / "out", push="me/mine")
    assert done.address == f"{hub.address}/me/mine"
    [created] = hub.created
    assert (created["name"], created["organization"], created["visibility"]) == (
        "mine",
        "me",
        "private",
    )
    assert hub.messages == ["figclip export --to hf"]
    written = {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
    assert hub.files == written and {"README.md", "model.safetensors"} <= written.keys()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_with_what_to_do(hub: Hub, tmp_path: Path, status: int):
    (tmp_path / "README.md").write_text("a card")
    hub.status = status
    with pytest.raises(OutputError, match=r"cannot be pushed .*hf auth login"):
        push(tmp_path, "me/mine", message="first")
    assert not hub.files


def test_a_hub_that_is_not_there(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match="cannot be pushed"):
        push(tmp_path, "me/mine", message="first")


def test_a_wrong_name_is_refused_first(tmp_path: Path):
    with pytest.raises(ConfigError, match="is no name of a repository"):
        export("no/such/model", to="hf", out=tmp_path / "out", push="a/b/c")
