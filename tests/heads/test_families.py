"""What comes after adaptation, on every family: heads of both tasks, the demo, the report."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from figclip.adaptation.adapt import adapt
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_captioning_recipe, build_recipe, build_situation_recipe
from figclip.demo.comparing import Comparer
from figclip.demo.media import Medium
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.task import describe, evaluate_captioning, finetune_captioning
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_story
from figclip.model.figclip import FiGCLIP
from figclip.preparation.prepare import prepare
from figclip.reporting.report import write_report
from figclip.video.store import StoreSpec
from tests.drawn_films import draw_films
from tests.small_families import SMALL_FAMILIES, SmallFamily

pytestmark = pytest.mark.slow

SIZE = 24
HEAD = ("head.width=16", "head.heads=2", "head.encoder_layers=1", "head.decoder_layers=1")
TRAINING = ("head.max_words=12", "head.min_word_count=1", "train.epochs=1", "train.val_fraction=0")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    rng, orders = random.Random(0), PaintOrders()
    stories = [sample_story(rng, held_out=None) for _ in range(5)]
    write_vidsitu(folder, train=stories[1:], valid=stories[:1], painter=orders, seed=0)
    paint(orders.orders, workers=0, on_progress=lambda done, total: None)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    return draw_films(tmp_path_factory.mktemp("films"), train=2, valid=1)


@pytest.fixture(scope="module", params=SMALL_FAMILIES, ids=lambda one: one.name)
def store(
    request: pytest.FixtureRequest, world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Frames as the family sees them; its run is beside them."""
    family: SmallFamily = request.param
    folder = tmp_path_factory.mktemp(family.name)
    family.write(folder / "base", 0, SIZE)
    store = folder / "frames.store"
    prepare(
        world / "annotations",
        videos=world / "videos",
        out=store,
        spec=StoreSpec(pipeline=family.pipeline, size=SIZE),
        frames_per_event=2,
        num_workers=0,
    )
    config = apply_overrides(
        build_recipe("tiny"), [f"model.base={folder / 'base'}", "train.epochs=1", "train.lr=0.05"]
    )
    adapt(config, data=[store], out=folder / "run", cpu=True)
    return store


def test_heads_and_report(store: Path, world: Path, films: DataSource):
    folder, cache = store.parent, store.parent / "cache"
    run = folder / "run"
    events = DataSource(
        name="vidsitu", path=world / "annotations", videos=world / "videos", store=store
    )
    situations = apply_overrides(
        build_situation_recipe("mini_situations"), [*HEAD, *TRAINING, "frames.per_event=2"]
    )
    finetune_situations(
        situations,
        model=run,
        data=DataSource(name="vidsitu", path=store),
        out=folder / "situations",
        cache=cache,
        cpu=True,
    )
    captioning = apply_overrides(
        build_captioning_recipe("mini_captioning"), [*HEAD, *TRAINING, "queries.num=3"]
    )
    finetune_captioning(
        captioning, model=run, data=films, out=folder / "captioning", cache=cache, cpu=True
    )
    told = {
        "situations": evaluate_situations(
            folder / "situations", data=events, out=folder / "situations" / "eval", cache=cache
        ),
        "captioning": evaluate_captioning(
            folder / "captioning", data=films, out=folder / "captioning" / "eval", cache=cache
        ),
    }
    assert all(result.tasks for result in told.values())
    assert not [one for result in told.values() for one in result.notices if "pipeline" in one]
    (described,) = describe(
        folder / "captioning", [next((films.path / "videos").iterdir())], cache=cache
    )
    assert described.problem is None
    page = write_report(
        run, data=[films], store=store, heads=[folder / "situations", folder / "captioning"]
    )
    assert "situations" in page.read_text(encoding="utf-8")


def test_the_demo_compares(store: Path, world: Path):
    run = store.parent / "run"
    base, adapted = (FiGCLIP.from_pretrained(run, alpha=alpha) for alpha in (0.0, 1.0))
    video = next((world / "videos").iterdir())
    sentences = ["a man pushes a woman", "a woman pushes a man"]
    found = Comparer(base, adapted).compare(Medium(path=video, span_s=(0.0, 2.0)), sentences)
    seen_D = adapted.encode_video([video], spans=[(0.0, 2.0)], pooling="mean")[0]
    expected = (adapted.encode_text(sentences) @ seen_D).tolist()
    assert [one.adapted.similarity for one in found.sentences] == pytest.approx(expected, abs=1e-6)
    for side in ("base", "adapted"):
        shares = torch.tensor([getattr(one, side).share for one in found.sentences])
        assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert any(one.base != one.adapted for one in found.sentences)
    assert found.num_cut == 0
