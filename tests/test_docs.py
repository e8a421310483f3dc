"""What documents show: their tables are made from results, their Python uses public names."""

from __future__ import annotations

import ast
import importlib
import json
import pickle
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from figclip import export
from tests.adapted_world import make_world
from tests.datasets.benchmark_files import write, write_json, write_ucf101
from tests.model_folders import adapt_at_random
from tests.situation_files import verb_rows, write_official, write_rows
from tests.small_clip import write_small_clip
from tests.videos import draw_video

ROOT = Path(__file__).parent.parent
make_tables = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
COMPARED = {"base": 0.5, "adapted": 0.6, "difference": 0.1, "interval": [0.05, -0.15]}
MEANS = {
    name: COMPARED | {"held_out": COMPARED} for name in ("detail", "detail_template", "semantic")
}
PUBLIC = ("figclip", "figclip.metrics")
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SLOW = {name: pytest.mark.slow for name in ("search.md-0", "python.md-2")}
PYTHON = [
    pytest.param(block, id=(name := f"{file.name}-{number}"), marks=SLOW.get(name, ()))
    for file in DOCUMENTS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", file.read_text(), re.DOTALL))
]


def lost(points: float) -> dict[str, Any]:
    return {"difference": -points, "interval": None}


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    """A folder with the files that the tables are made from, of one seed and a second base."""
    summary = {
        **MEANS,
        "seeds": [0],
        "by_seed": [MEANS],
        "tests": [
            {"name": "verbs", "wording": "natural", **COMPARED},
            {"name": "verbs", "wording": "template", **COMPARED},
            {"name": "kinds", "wording": None, **COMPARED, "interval": None},
        ],
        "controls": {"second base": {**MEANS, "seeds": [0], "by_seed": [MEANS]}, "none": MEANS},
        "curves": {
            "held": [{"alpha": 1.0, "detail": COMPARED, "semantic": lost(0.15)}],
            "alone": [
                {"alpha": 0.3, "detail": {**COMPARED, "difference": 0.04}, "semantic": lost(0.1)},
                {"alpha": 0.6, "detail": {**COMPARED, "difference": 0.08}, "semantic": lost(0.2)},
            ],
        },
        "tasks": {
            "situations": {"verbs Acc@1": COMPARED, "seeds": [0]},
            "situations_context": {"verbs Acc@1": COMPARED},
            "dense_captioning": {"F1": COMPARED | {"interval": None}},
        },
    }
    for base, alpha in enumerate((0.41, 0.2)):
        run = tmp_path / f"run-base{base}-seed0"
        (run / "eval").mkdir(parents=True)
        (run / "strength.json").write_text(json.dumps({"alpha": alpha}))
    (tmp_path / "run-base0-seed0/eval/summary.json").write_text(json.dumps(summary))
    return tmp_path


def test_tables_show_the_numbers_of_a_quickstart(quickstart: Path):
    tables = make_tables["make_tables"](quickstart)
    gain = "+10.0 [+5.0, −15.0]"
    assert f"\n| verbs | 50.0 | 60.0 | {gain} | 50.0 | 60.0 | {gain} |\n" in tables["detail"]
    assert "\n| kinds | 50.0 | 60.0 | +10.0 |\n" in tables["kept"]
    assert tables["runs"].splitlines()[2:] == [
        f"| seed 0, 0.41 | {gain} | {gain} | {gain} |",
        f"| second base, seed 0, 0.2 | {gain} | {gain} | {gain} |",
        f"| none, 0.41 | {gain} | {gain} | {gain} |",
    ]
    assert tables["curves"].splitlines()[2:] == [
        f"| held | 1 | {gain} | −15.0 | +6.0 |",
        "| alone | 0.3 | +4.0 [+5.0, −15.0] | −10.0 | – |",
        "| alone | 0.6 | +8.0 [+5.0, −15.0] | −20.0 | – |",
    ]
    assert tables["heads"].splitlines()[2:] == [
        f"| situations: verbs Acc@1 | 50.0 | 60.0 | {gain} | 60.0 | {gain} |",
        "| dense captioning: F1 | 50.0 | 60.0 | +10.0 | – | – |",
    ]


def test_a_quickstart_of_one_seed_has_no_tables(quickstart: Path):
    file = quickstart / "run-base0-seed0/eval/summary.json"
    summary = json.loads(file.read_text())
    del summary["by_seed"]
    file.write_text(json.dumps(summary))
    with pytest.raises(SystemExit, match="one seed only: run `figclip quickstart` with --full"):
        make_tables["make_tables"](quickstart)


def test_the_page_of_results_takes_the_tables(quickstart: Path):
    page = (ROOT / "docs/results.md").read_text()
    tables = make_tables["make_tables"](quickstart)
    changed = make_tables["with_tables"](page, tables)
    assert all(f"-->\n{table}\n<!-- end -->" in changed for table in tables.values())
    assert make_tables["with_tables"](changed, tables) == changed
    assert changed.count("<!-- end -->") == page.count("<!-- end -->")
    with pytest.raises(ValueError, match="no place for the table 'other'"):
        make_tables["with_tables"](page, {"other": ""})


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_documents_uses_public_names(block: str):
    used = []
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("figclip"):
            used += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "figclip":
            used.append(("figclip", node.attr))
    for module, name in used:
        assert module in PUBLIC, f"{module} is an inner module"
        assert name in importlib.import_module(module).__all__, f"{module} has no {name}"


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda one: one.name)
def test_documents_name_no_inner_module(file: Path):
    inner = {path.stem for path in (ROOT / "src" / "figclip").iterdir()} - {"metrics"}
    assert not inner & set(re.findall(r"`figclip\.(\w+)\.\w+", file.read_text()))


def anchors_of(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_links_between_documents_lead_somewhere(document: Path):
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("http"):
            continue
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.read_text()), link


CANNOT_RUN = {
    "exporting.md-1": "needs open_clip (tests/slow/test_exports.py)",
    "exporting.md-2": "needs sentence-transformers (there)",
    "exporting.md-3": "needs mteb (there)",
    "exporting.md-4": "needs onnxruntime (there)",
    "python.md-3": "official videos in thousands, at eleven strengths (tests/evaluation)",
    "python.md-4": "trains heads of full size (tests/heads)",
}
"""Blocks of Python that are not run, and why."""


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents name: models, a small world, videos, files."""
    folder = tmp_path_factory.mktemp("documented")
    world = make_world(folder / "quickstart", num_videos=5, num_valid=2)
    (world.folder / "world").rename(folder / "vidsitu")
    (world.folder / "world").mkdir()
    (folder / "vidsitu").rename(world.folder / "world" / "vidsitu")
    write_small_clip(world.folder / "mini-clip-0", seed=0, width=64, layers=1)
    adapted = adapt_at_random(world.base)
    for run in (folder / "runs" / "mine", world.folder / "run-base0-seed0"):
        adapted.write(run / "model")
        for name in ("environment.json", "data.json"):  # what a run folder is known by
            write(run / name, "{}")
    export(world.base, to="hf", out=folder / "exported" / "hf")
    draw_video(folder / "clip.mp4", stamps=range(45))
    Image.new("RGB", (40, 30)).save(folder / "picture.png")
    write_official(folder / "vidsitu_annotations")
    write_rows(folder / "predictions.json", verb_rows())
    lists = [["YoYo/v_YoYo_g01_c01.avi"]] * 3
    write_ucf101(folder / "ucf101", classes=("YoYo",), lists=lists)
    (folder / "examples").symlink_to(ROOT / "examples")
    captions = {"v_a": {"duration": 9, "timestamps": [[0, 5]], "sentences": ["a man nods"]}}
    write_json(folder / "activitynet_captions" / "val_2.json", captions)
    write(folder / "msvd" / "test_list.txt", "vid1")
    words = pickle.dumps({"vid1": [["a", "man", "nods"]]})
    (folder / "msvd" / "raw-captions.pkl").write_bytes(words)
    return folder


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_documents_runs(
    block: str,
    documented: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    name = request.node.callspec.id
    if name in CANNOT_RUN:
        pytest.skip(CANNOT_RUN[name])
    file = documented / f"{name}.py"
    file.write_text(block, encoding="utf-8")
    monkeypatch.chdir(documented)
    monkeypatch.setattr("sys.argv", [str(file), "msvd", "msvd"])  # as docs/retrieval.md calls it
    runpy.run_path(str(file), run_name="__main__")
    assert ("print(" in block) == bool(capsys.readouterr().out)


def test_blocks_that_cannot_run_are_there():
    assert set(CANNOT_RUN) <= {str(one.id) for one in PYTHON}
