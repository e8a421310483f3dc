"""The SRL-swap test on the real VidSitu validation events: counts, sentences and text control."""

from __future__ import annotations

import os
import pickle
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from figclip.annotations.captions import TEMPLATES
from figclip.annotations.counterfactuals import KINDS
from figclip.annotations.vidsitu import load_vidsitu
from figclip.tasks.base import TaskData
from figclip.tasks.srl_swap import PLAIN, SrlSwap, SwapItems
from tests.dense_sets import without_frames

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]

# Items of each kind in either wording.
NUM_EVENTS = {
    "role swap": 4869,
    "verb": 5005,
    "filler": 5969,
    "direction": 2439,
    "manner": 3617,
    "scene": 4446,
}
# Measured in November 2026, seed 0.
TEXT_ONLY = {
    "role swap": 0.782,
    "verb": 0.686,
    "filler": 0.638,
    "direction": 0.618,
    "manner": 0.536,
    "scene": 0.627,
}


def load_valid(folder: Path) -> TaskData[SwapItems]:
    """The 1,224 segments of the validation file."""
    source = Path(os.environ["FIGCLIP_REAL_DATA"], "data/vidsitu/vseg_ann_files/vsann_valid.json")
    shutil.copy(source, folder)
    task = SrlSwap(template=TEMPLATES["default"], frames_per_event=4, num_negatives=4, seed=0)
    return task.load(without_frames(load_vidsitu(folder).records))


@dataclass(frozen=True)
class Loaded:
    """What `load` made, and how long it took on the CPU."""

    data: TaskData[SwapItems]
    seconds: float


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    # In a process of its own: the run-time type checks of the tests make it many times slower.
    folder = tmp_path_factory.mktemp("vidsitu")
    script = (
        "import pickle, sys, time\n"
        "from pathlib import Path\n"
        "from tests.real.test_real_srl_swap import Loaded, load_valid\n"
        "started_s = time.process_time()\n"
        "data = load_valid(Path(sys.argv[1]))\n"
        "loaded = Loaded(data, time.process_time() - started_s)\n"
        "Path(sys.argv[1], 'loaded.pickle').write_bytes(pickle.dumps(loaded))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], cwd=ROOT, check=True)
    return pickle.loads((folder / "loaded.pickle").read_bytes())


@pytest.fixture(scope="module")
def data(loaded: Loaded) -> TaskData[SwapItems]:
    return loaded.data


def test_every_kind_has_items(data: TaskData[SwapItems]) -> None:
    assert data.counts["events"] == 6120
    for kind, num_events in NUM_EVENTS.items():
        for block in (kind, kind + PLAIN):
            assert data.counts[f"{block} events"] == num_events
            assert data.counts[f"{block} negatives that read as the true text"] == 0
            assert block in data.items.blind
        reasons = [one for one in data.left_out if one.reason.startswith(f"{kind}: ")]
        assert len(reasons) == 6120 - num_events
    assert data.counts["role swap mirrored events"] == 62


def test_hardly_any_counterfeit_is_missing(data: TaskData[SwapItems]) -> None:
    for kind in KINDS:
        masked, drawn = (data.counts[f"{kind} negatives{end}"] for end in (" masked", ""))
        # `talk` and `speak` cannot be exchanged evenly.
        assert masked / (masked + drawn) < (0.12 if kind == "verb" else 0.02)


def test_sentences_are_single_spaced_and_differ(data: TaskData[SwapItems]) -> None:
    for kind in KINDS:
        contrasts = data.items.contrasts[kind + PLAIN]
        for true, row in zip(contrasts.true, contrasts.negatives, strict=True):
            assert true == " ".join(true.split())
            assert true not in row
    true = data.items.contrasts["verb, plain"].true
    assert 9 < statistics.mean(len(text.split()) for text in true) < 18


def test_what_words_alone_tell(data: TaskData[SwapItems]) -> None:
    accuracy = {kind: float(values_N.mean()) for kind, values_N in data.items.text_only.items()}
    print(accuracy)
    assert accuracy == {kind: pytest.approx(TEXT_ONLY[kind], abs=0.03) for kind in KINDS}


def test_loading_takes_half_a_minute(loaded: Loaded) -> None:
    # 20 s on one core in 2026, two thirds of it the text-only control.
    assert loaded.seconds < 45
