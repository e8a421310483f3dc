"""The HTTP endpoint: what it answers, what it refuses, and that it tells nothing else."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from figclip import Index
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from figclip.runtime import serving
from figclip.search import server
from figclip.search.server import build_app, serve
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip

PUSH, PULL = "a man pushes a woman", "a woman pulls a cat"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    model = FiGCLIP.from_pretrained(write_tiny_clip(folder / "clip"))
    shown = {"a.mp4": [PULL, PUSH], "b\udcff.mp4": [PULL]}
    return Index.open(write_index(folder / "my.index", model, shown), model=model)


@pytest.fixture
def client(index: Index) -> TestClient:
    return TestClient(build_app(index), base_url="http://localhost")


def test_a_sentence_is_searched_for_by_json_and_by_address(client: TestClient, index: Index):
    posted = client.post("/search", json={"text": PUSH, "against": [PULL], "k": 1, "path": "a*"})
    assert posted.status_code == 200
    (hit,) = posted.json()["hits"]
    (expected,) = index.search(text=PUSH, against=[PULL], k=1, path_glob="a*")
    assert {**hit, "thumbnail": None} == {**expected.as_dict(), "thumbnail": None, "windows": [1]}
    query = {"text": PUSH, "against": [PULL], "k": 1, "path": "a*"}
    assert client.get("/search", params=query).json() == posted.json()
    picture = client.get(hit["thumbnail"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == index.thumbnail(expected.video, 1)


def test_names_that_are_no_text_are_spelt_out(client: TestClient):
    hits = client.post("/search", json={"text": PULL, "path": "b*"}).json()["hits"]
    assert hits[0]["path"] == r"/videos/b\udcff.mp4"
    assert client.get(hits[0]["thumbnail"]).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"text": ""},
        {"text": "x" * 1001},
        {"text": PUSH, "k": 0},
        {"text": PUSH, "k": 101},
        {"text": PUSH, "against": ["x"] * 11},
        {"text": PUSH, "against": [""]},
        {"text": PUSH, "path": "x" * 301},
        {"text": PUSH, "image": "/etc/passwd"},
        {"text": PUSH, "path": "[" * 301},
        {"text": PUSH, "video": "/etc/passwd"},
    ],
)
def test_what_is_too_much_or_unknown_is_refused(client: TestClient, wanted: dict[str, object]):
    assert client.post("/search", json=wanted).status_code == 422
    assert client.get("/search", params=wanted).status_code == 422


def test_errors_say_what_and_not_where(client: TestClient, index: Index):
    refused = client.post("/search", json={"text": PUSH, "path": "*.avi"})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("no video of the index has such a path. Give")
    for query in ("video=x&window=0", f"video={index.windows.hashes[0]}&window=9"):
        missing = client.get(f"/thumbnail?{query}")
        assert (missing.status_code, missing.json()) == (404, {"detail": "there is no such window"})
    assert client.get("/thumbnail?video=../../etc/passwd&window=-1").status_code == 422
    assert client.get("/../../etc/passwd").status_code == 404


def test_long_bodies_are_not_read(client: TestClient):
    long = client.post("/search", content=b" " * (server.MAX_BODY_BYTES + 1))
    assert long.status_code == 413
    parts = client.post("/search", content=(b" " * 1024 for _ in range(1_000)))
    assert parts.status_code == 413


def test_requests_are_slowed_down(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    now_s = 0.0
    monkeypatch.setattr(serving.time, "monotonic", lambda: now_s)
    client.get("/openapi.json")  # makes the middleware
    codes = [client.get("/openapi.json").status_code for _ in range(serving.BURST)]
    assert codes == [200] * (serving.BURST - 1) + [429]
    assert client.get("/openapi.json").headers["retry-after"] == "1"
    now_s = 1.0
    codes = [client.get("/openapi.json").status_code for _ in range(serving.REQUESTS_PER_S + 1)]
    assert codes == [200] * serving.REQUESTS_PER_S + [429]


def test_a_page_whose_name_leads_here_gets_no_answer(index: Index, client: TestClient):
    assert client.get("/openapi.json", headers={"host": "evil.example:8000"}).status_code == 400
    assert client.get("/openapi.json", headers={"host": "127.0.0.1:8000"}).status_code == 200
    public = TestClient(build_app(index, host="0.0.0.0"), base_url="http://my-machine:8000")
    assert public.get("/openapi.json").status_code == 200


def test_the_document_describes_all_there_is(client: TestClient):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/search", "/thumbnail"}
    assert set(document["paths"]["/search"]) == {"get", "post"}
    assert document["components"]["schemas"]["SearchRequest"]["properties"]["k"]["maximum"] == 100


def test_a_taken_port_is_named(index: Index):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--host 127.0.0.1 --port {port}: cannot listen"):
            serve(index, host="127.0.0.1", port=port)
