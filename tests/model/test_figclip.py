"""The public model: folders at any strength, pooling, runs, and everything damaged refused."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from figclip.errors import ModelError, OutputError, VideoError
from figclip.model.backbone import load_backbone, weights_hash
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import SeenMedia, read_info, resolve_model, write_info
from figclip.model.lora import plain_state
from figclip.model.pooling import MeasuredPooling, TextPooling
from figclip.runtime.checked_json import load_checked
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.pixels import PixelPipeline
from tests.full_disk import full_disk
from tests.model_folders import Adapted, adapt_at_random, forget_hashes
from tests.runtime_types import without_runtime_types
from tests.small_runs import IMAGE_SIZE, write_tiny_clip
from tests.videos import draw_video, regular_stamps

TEXTS = ["a man pushes a woman", "ball"]
FRAMES = np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def adapted(clip_folder: Path) -> Adapted:
    return adapt_at_random(clip_folder)


@pytest.fixture(scope="module")
def folder(adapted: Adapted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapted.write(tmp_path_factory.mktemp("folder") / "model")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 frames a second."""
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    return draw_video(path, stamps=regular_stamps(40))


def embed(model: FiGCLIP) -> tuple[Tensor, Tensor]:
    return model.encode_frames(FRAMES), model.encode_text(TEXTS)


def embed_live(adapted: Adapted) -> tuple[Tensor, Tensor]:
    """What the adapted CLIP in memory makes of the same."""
    backbone = adapted.backbone
    with torch.no_grad():
        frames = backbone.encode_frames(torch.from_numpy(FRAMES))
        texts = backbone.encode_tokens(backbone.tokenize(TEXTS))
    return normalize(frames, dim=-1), normalize(texts, dim=-1)


def assert_close(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_a_folder_is_the_model_as_trained(adapted: Adapted, folder: Path, clip_folder: Path):
    model = FiGCLIP.from_pretrained(folder)
    assert (model.alpha, model.info) == (1.0, adapted.info)
    assert_close(embed(model), embed_live(adapted))
    base = embed(FiGCLIP.from_pretrained(clip_folder))
    assert (embed(model)[0] - base[0]).norm(dim=-1).min() > 1e-2
    assert torch.equal(embed(model)[1], base[1]), "the text tower is not adapted"


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_frames_before_the_projection_are_what_transformers_pools(
    adapted: Adapted, folder: Path, clip_folder: Path, alpha: float
):
    theirs = CLIPModel.from_pretrained(clip_folder).eval()
    theirs.load_state_dict(plain_state(adapted.backbone.clip, alpha=alpha))
    backbone = FiGCLIP.from_pretrained(folder, alpha=alpha).backbone
    pixels = CLIPImageProcessorPil.from_pretrained(clip_folder)(list(FRAMES), return_tensors="pt")
    with torch.no_grad():
        expected = theirs.vision_model(**pixels).pooler_output
        found = backbone.encode_frames(torch.from_numpy(FRAMES), projected=False)
        embedded = backbone.encode_frames(torch.from_numpy(FRAMES))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert found.shape[1] == backbone.pooled_dim
    assert (normalize(found, dim=-1) - normalize(embedded, dim=-1)).norm(dim=-1).min() > 1e-2


def test_a_folder_is_a_plain_clip_for_everyone_else(adapted: Adapted, folder: Path):
    loaded, info = CLIPModel.from_pretrained(folder, output_loading_info=True)  # pyright: ignore
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    expected = plain_state(adapted.backbone.clip, alpha=1.0)
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_a_folder_holds_these_files_and_no_local_path(folder: Path, clip_folder: Path):
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert names == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "config.json",
        "contextualizer.safetensors",
        "figclip.json",
        "merges.txt",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "trained_on.txt",
        "vocab.json",
    }
    for name in names:
        content = (folder / name).read_bytes()
        for local in (clip_folder, folder, Path.home()):
            assert str(local).encode() not in content, name
    assert load_checked((folder / "tokenizer_config.json").read_text())["model_max_length"] == 77


def test_peft_reads_the_adapter(adapted: Adapted, folder: Path, clip_folder: Path):
    base = load_backbone(str(clip_folder))
    merged = PeftModel.from_pretrained(base.clip, str(folder / "adapter")).merge_and_unload()
    expected = plain_state(adapted.backbone.clip, alpha=1.0)
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("merged_at", [0.0, 0.5, 1.0])
def test_any_strength_from_a_folder_merged_at_any(
    adapted: Adapted, clip_folder: Path, tmp_path: Path, merged_at: float
):
    info = dataclasses.replace(adapted.info, alpha=merged_at)
    folder = dataclasses.replace(adapted, info=info).write(tmp_path / "model")
    for alpha in (None, 0.0, 0.5, 1.0):
        strength = merged_at if alpha is None else alpha
        model = FiGCLIP.from_pretrained(folder, alpha=alpha)
        assert model.alpha == strength
        expected = load_backbone(str(clip_folder))
        expected.clip.load_state_dict(plain_state(adapted.backbone.clip, alpha=strength))
        assert_close(embed(model), embed(FiGCLIP(expected)))


def test_strength_0_of_a_merged_folder_is_the_base(folder: Path, clip_folder: Path):
    model = FiGCLIP.from_pretrained(folder, alpha=0.0)
    base = CLIPModel.from_pretrained(clip_folder).state_dict()
    for name, tensor in model.backbone.clip.state_dict().items():
        torch.testing.assert_close(tensor, base[name], atol=1e-6, rtol=0)


def test_a_full_fine_tune_is_scaled_against_its_base(clip_folder: Path, tmp_path: Path):
    adapted = adapt_at_random(clip_folder, adaptation="full", layers=0)
    folder = adapted.write(tmp_path / "model")
    assert not (folder / "adapter").exists()
    assert_close(embed(FiGCLIP.from_pretrained(folder)), embed_live(adapted))
    base = FiGCLIP.from_pretrained(clip_folder)
    zero = FiGCLIP.from_pretrained(folder, alpha=0.0, base=clip_folder)
    assert weights_hash(zero.backbone.clip) == weights_hash(base.backbone.clip)
    half = FiGCLIP.from_pretrained(folder, alpha=0.5, base=clip_folder).backbone.clip.state_dict()
    ends = (base.backbone.clip.state_dict(), adapted.backbone.clip.state_dict())
    for name, tensor in half.items():
        torch.testing.assert_close(tensor, (ends[0][name] + ends[1][name]) / 2, atol=1e-6, rtol=0)
    with pytest.raises(ModelError, match="scaled between its base and itself.*--base DIR"):
        FiGCLIP.from_pretrained(folder, alpha=0.5)
    other = write_tiny_clip(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="is not the base that was fine-tuned"):
        FiGCLIP.from_pretrained(folder, alpha=0.5, base=other)


def test_a_plain_clip_has_nothing_to_scale(clip_folder: Path):
    model = FiGCLIP.from_pretrained(clip_folder)
    assert (model.alpha, model.info) == (0.0, None)
    with pytest.raises(ModelError, match="plain CLIP, there is no adaptation to scale"):
        FiGCLIP.from_pretrained(clip_folder, alpha=1.0)


def frames_of(video: Path, start_s: float, end_s: float) -> np.ndarray:
    times_s = sample_midpoints(start_s, end_s, num=20)
    return decode_frames(video, times_s, pipeline=PixelPipeline(size=IMAGE_SIZE)).frames_NHWC


def test_a_video_is_the_mean_of_20_frames(folder: Path, video: Path):
    model = FiGCLIP.from_pretrained(folder)
    found = model.encode_video([video, video, str(video)], spans=[None, (1.0, 2.5), (0.0, 4.0)])
    whole = model.encode_frames(frames_of(video, 0.0, 4.0))
    part = model.encode_frames(frames_of(video, 1.0, 2.5))
    expected = [normalize(rows.mean(dim=0), dim=-1) for rows in (whole, part, whole)]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-6, rtol=0)
    assert (expected[0] - expected[1]).norm() > 1e-4
    torch.testing.assert_close(model.encode_video([video])[0], expected[0], atol=1e-6, rtol=0)
    with pytest.raises(ModelError, match="got 1 paths but 2 spans"):
        model.encode_video([video], spans=[None, None])


def test_the_pooling_that_fits_the_texts(adapted: Adapted, video: Path, tmp_path: Path):
    pooling = TextPooling(
        from_words=5, long="both", contrast="vc", measured={"verbs": MeasuredPooling(**MEASURED)}
    )
    changed = dataclasses.replace(
        adapted, info=dataclasses.replace(adapted.info, text_pooling=pooling)
    )
    model = FiGCLIP.from_pretrained(changed.write(tmp_path / "model"))
    assert model.info is not None and model.info.text_pooling == pooling
    for texts, expected in ((["a man"], "mean"), (["a man hands over a cup"], "both")):
        assert model.pooling_for(texts) == expected
        found = model.encode_video([video], pooling="auto", texts=texts)
        assert torch.equal(found, model.encode_video([video], pooling=expected))
    assert model.pooling_for(["a man hands over a cup"], contrast=True) == "vc"
    by_mean, by_vc, both = (model.encode_video([video], pooling=p) for p in ("mean", "vc", "both"))
    torch.testing.assert_close(both, normalize(by_mean + by_vc, dim=-1))
    with pytest.raises(ModelError, match="auto needs the texts"):
        model.encode_video([video], pooling="auto")
    with pytest.raises(ModelError, match="takes a list of texts"):
        model.pooling_for("a man")


def test_where_nothing_was_measured_auto_is_the_mean(
    folder: Path, clip_folder: Path, video: Path, tmp_path: Path
):
    for known in (folder, clip_folder):  # a folder of an earlier version; a plain CLIP
        model = FiGCLIP.from_pretrained(known)
        found = model.encode_video([video], pooling="auto", texts=["a man hands over a cup"])
        assert torch.equal(found, model.encode_video([video], pooling="mean"))


@pytest.mark.parametrize("adaptation", ["lora_image", "full"])
def test_the_contextualizer_always_reads_features_at_strength_1(
    clip_folder: Path, video: Path, tmp_path: Path, adaptation: Any
):
    adapted = adapt_at_random(clip_folder, adaptation=adaptation)
    folder = adapted.write(tmp_path / "model")
    trained = FiGCLIP.from_pretrained(folder)
    assert adapted.contextualizer is not None
    frames = trained.encode_frames(frames_of(video, 0.0, 4.0)).view(1, 5, 4, -1)
    mask = torch.ones(1, 5, 4, dtype=torch.bool)
    with torch.no_grad():
        expected = adapted.contextualizer(frames, frame_mask_BPT=mask).video_BD
    found = trained.encode_video([video], pooling="vc")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    for alpha in (0.0, 0.5):
        scaled = FiGCLIP.from_pretrained(folder, alpha=alpha, base=clip_folder)
        torch.testing.assert_close(
            scaled.encode_video([video], pooling="vc"), expected, atol=1e-5, rtol=0
        )
        mean = scaled.encode_video([video])
        assert (mean - trained.encode_video([video])).norm() > 1e-3


def test_vc_is_refused_by_name_where_there_is_none(clip_folder: Path, video: Path, tmp_path: Path):
    without = adapt_at_random(clip_folder, layers=0).write(tmp_path / "model")
    assert not (without / "contextualizer.safetensors").exists()
    for folder in (clip_folder, without):
        with pytest.raises(ModelError, match="pooling=vc needs a Video Contextualizer"):
            FiGCLIP.from_pretrained(folder).encode_video([video], pooling="vc")


def test_images_are_pictures_or_files_and_damage_is_named(clip_folder: Path, tmp_path: Path):
    model = FiGCLIP.from_pretrained(clip_folder)
    picture = Image.fromarray(FRAMES[0]).resize((50, 30))
    picture.save(tmp_path / "p.png")
    found = model.encode_image([picture, tmp_path / "p.png", str(tmp_path / "p.png")])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not found.requires_grad
    for name, content, reason in (
        ("text.png", b"hello", "not-an-image"),
        ("cut.png", (tmp_path / "p.png").read_bytes()[:-500], "damaged"),
        ("empty.png", b"", "empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VideoError, match=f"{name}: {reason}"):
            model.encode_image([picture, tmp_path / name])
    with pytest.raises(VideoError, match="absent.png: missing"):
        model.encode_image([tmp_path / "absent.png"])


def test_nothing_gives_no_rows(clip_folder: Path):
    model = FiGCLIP.from_pretrained(clip_folder)
    for rows in (model.encode_image([]), model.encode_text([]), model.encode_video([])):
        assert rows.shape == (0, 32)


def test_many_texts_come_back_in_order(clip_folder: Path):
    model = FiGCLIP.from_pretrained(clip_folder)
    texts = [f"{'very ' * (i * 7 % 11)}red ball {i}" for i in range(35)]  # more than a micro-batch
    alone = torch.cat([model.encode_text([text]) for text in texts])
    torch.testing.assert_close(model.encode_text(texts), alone, atol=1e-6, rtol=0)


def info_with(**changes: Any) -> Callable[[Path], None]:
    """Change figclip.json; None removes a field."""

    def change(folder: Path) -> None:
        content = load_checked((folder / "figclip.json").read_text())
        content.update(changes)
        kept = {key: value for key, value in content.items() if value != "REMOVED"}
        (folder / "figclip.json").write_text(json.dumps(kept))

    return change


MEASURED = {"words": 1.0, "mean": 0.5, "vc": 0.25, "both": 0.5}


def pooled(**changes: Any) -> dict[str, Any]:
    """`text_pooling` as figclip.json has it."""
    return {
        **{"from_words": 9, "long": "both", "contrast": "vc", "measured": {"verbs": MEASURED}},
        **changes,
    }


def with_content(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def trained_on(**changes: object) -> Callable[[Path], object]:
    """Writes a changed `trained_on` into figclip.json."""
    entry = {"file": "trained_on.txt", "count": 1, "is_whole": True, **changes}
    return info_with(provenance={"trained_on": entry})


SHAPE = {"layers": 1, "head_dim": 16, "frames_per_event": 4}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (info_with(format=2), "has format 2, this version reads 1"),
        (info_with(format="REMOVED"), r"figclip\.json: cannot be read .KeyError"),
        (info_with(alpha="REMOVED"), "cannot be read .TypeError"),
        (info_with(novelty=1), "cannot be read .TypeError"),
        (info_with(alpha="1"), "a field has a value that it cannot have"),
        (info_with(alpha=math.nan), "a field has a value that it cannot have"),
        (info_with(lora_scale=None), "a field has a value that it cannot have"),
        (info_with(provenance={"selected_on": "all"}), "a field has a value that it cannot have"),
        (info_with(provenance={"validated_on": [1]}), "a field has a value that it cannot have"),
        (trained_on(file="../model/trained_on.txt"), "a field has a value that it cannot have"),
        (trained_on(is_whole=1), "a field has a value that it cannot have"),
        (trained_on(count=2), "trained_on.txt is damaged"),
        (with_content("trained_on.txt", b"0123456789abcdeF\n"), "trained_on.txt is damaged"),
        (with_content("trained_on.txt", b"\xff"), "cannot be read .UnicodeDecodeError"),
        (lambda folder: (folder / "trained_on.txt").unlink(), "cannot be read .FileNotFoundError"),
        (info_with(adaptation="magic"), "a field has a value that it cannot have"),
        (info_with(pooling="max"), "a field has a value that it cannot have"),
        (info_with(text_pooling=pooled(from_words="9")), "a field has a value that it cannot"),
        (info_with(text_pooling=pooled(from_words=-1)), "a field has a value that it cannot"),
        (info_with(text_pooling=pooled(long="max")), "a field has a value that it cannot"),
        (info_with(text_pooling=pooled(measured={"x": {**MEASURED, "vc": math.nan}})), "a field"),
        (info_with(text_pooling=pooled(measured={"x": {"words": 1}})), "cannot be read .TypeError"),
        (info_with(text_pooling={}), "cannot be read .KeyError"),
        (info_with(text_pooling=pooled(), contextualizer=None), "a field has a value that it"),
        (info_with(base_hash=3), "a field has a value that it cannot have"),
        (info_with(contextualizer=[1]), "cannot be read .TypeError"),
        (info_with(contextualizer={**SHAPE, "head_dim": 0}), "a field has a value"),
        (info_with(contextualizer={**SHAPE, "layers": 10**9}), "a field has a value"),
        (info_with(contextualizer={**SHAPE, "frames_per_event": "4"}), "a field has a value"),
        (info_with(contextualizer={**SHAPE, "layers": 2}), r"does not fit figclip\.json"),
        (info_with(activation="gelu"), "was adapted with gelu, but config.json says quick_gelu"),
        (with_content("figclip.json", b""), r"figclip\.json: cannot be read .ValueError"),
        (with_content("figclip.json", b"[]"), "cannot be read .TypeError"),
        (with_content("figclip.json", b"3"), "cannot be read .TypeError"),
        (with_content("figclip.json", b"\xff\xfe"), "cannot be read .UnicodeDecodeError"),
        (with_content("figclip.json", b"[" * 100_000), "read .ValueError: is nested too deeply"),
        (with_content("contextualizer.safetensors", b"x" * 50), "safetensors: cannot be read"),
        (lambda f: (f / "contextualizer.safetensors").unlink(), "safetensors: cannot be read"),
        (lambda f: shutil.rmtree(f / "adapter"), r"adapter_model\.safetensors: cannot be read"),
        (with_content("adapter/adapter_model.safetensors", b""), "safetensors: cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(
    folder: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str
):
    copy = shutil.copytree(folder, tmp_path / "model")
    forget_hashes(copy)
    damage(copy)
    with without_runtime_types(), pytest.raises(ModelError, match=message) as caught:
        FiGCLIP.from_pretrained(copy, alpha=0.5)
    assert caught.value.where.startswith(str(copy))


def test_an_adapter_of_another_model_is_refused(folder: Path, tmp_path: Path):
    """It may fit by shape: then its base's hash tells."""
    other_clip = write_tiny_clip(tmp_path / "clip", seed=1)
    other = adapt_at_random(other_clip).write(tmp_path / "other")
    both = adapt_at_random(other_clip, adaptation="lora_both").write(tmp_path / "both")
    for wrong in (other, both):
        copy = shutil.copytree(folder, tmp_path / f"with {wrong.name}")
        shutil.rmtree(copy / "adapter")
        shutil.copytree(wrong / "adapter", copy / "adapter")
        forget_hashes(copy)
        FiGCLIP.from_pretrained(copy, alpha=1.0)  # nothing to scale: the adapter is not read
        with pytest.raises(ModelError, match="belongs to another base"):
            FiGCLIP.from_pretrained(copy, alpha=0.5)


def test_an_adapter_of_another_shape_is_refused(folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder, tmp_path / "model")
    forget_hashes(copy)
    file = copy / "adapter" / "adapter_model.safetensors"
    tensors = {
        name: t[:, :-1].contiguous() if "lora_A" in name else t
        for name, t in load_file(file).items()
    }
    info = read_info(copy)
    assert info is not None
    save_file(tensors, file, metadata={"base_hash": info.base_hash})
    with pytest.raises(ModelError, match="does not fit the weights"):
        FiGCLIP.from_pretrained(copy, alpha=0.5)


class Evil:
    """Unpickling makes a folder."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self._target,))


def test_no_file_of_a_hostile_folder_is_executed(folder: Path, tmp_path: Path):
    """Pickles under every name that some loader might like better than safetensors, and code."""
    copy, target = shutil.copytree(folder, tmp_path / "model"), tmp_path / "executed"
    forget_hashes(copy)
    evil = pickle.dumps(Evil(target), protocol=2)
    for name in ("pytorch_model.bin", "training_args.bin", "adapter/adapter_model.bin"):
        (copy / name).write_bytes(evil)
    for name in ("contextualizer.bin", "contextualizer.pt", "optimizer.pt"):
        (copy / name).write_bytes(evil)
    (copy / "modeling.py").write_text(f"import os; os.mkdir({str(target)!r})")
    config = load_checked((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling.Evil", "AutoConfig": "modeling.Evil"}
    (copy / "config.json").write_text(json.dumps(config))
    assert_close(
        embed(FiGCLIP.from_pretrained(copy, alpha=0.5)),
        embed(FiGCLIP.from_pretrained(folder, alpha=0.5)),
    )
    for name in ("contextualizer.safetensors", "adapter/adapter_model.safetensors"):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(evil)
        with pytest.raises(ModelError, match="cannot be read"):
            FiGCLIP.from_pretrained(copy, alpha=0.5)
        (copy / name).write_bytes(before)
    assert not target.exists()


def test_a_run_folder_is_its_model(folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    assert resolve_model(str(run)) == str(run)  # nothing of a run in it yet
    (run / "environment.json").write_text("{}")
    (run / "data.json").write_text("{}")
    with pytest.raises(ModelError, match="without a finished model. Finish it: start what"):
        FiGCLIP.from_pretrained(run)
    began = {"command": ["/bin/figclip", "adapt", "--data", "my frames.store", "--out", "r"]}
    for content in ({"format": 1, **began}, {"format": 2, "sessions": [began, {}]}):
        (run / "environment.json").write_text(json.dumps(content))
        with pytest.raises(
            ModelError, match="Finish it: figclip adapt --data 'my frames.store' --out r --resume$"
        ):
            FiGCLIP.from_pretrained(run)
    shutil.copytree(folder, run / "model")
    assert resolve_model(str(run)) == str(run / "model")
    assert_close(embed(FiGCLIP.from_pretrained(run)), embed(FiGCLIP.from_pretrained(folder)))


@pytest.mark.parametrize("source", ["/no/such/folder", "./nowhere", "../nowhere", "a/b/c", "~/x"])
def test_paths_that_do_not_exist_are_no_hub_ids(source: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model(source)


def test_a_name_below_a_folder_of_runs_is_no_hub_id(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    # As below a clone that happens to be called like an organisation of the hub.
    assert resolve_model("runs/yours") == "runs/yours"
    (tmp_path / "runs" / "mine" / "config.json").touch()
    with pytest.raises(ModelError, match=r"runs/yours: does not exist. In runs there are mine\.$"):
        resolve_model("runs/yours")


def test_a_hub_out_of_reach_is_said_in_short(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect") from LocalEntryNotFoundError("no connection")

    monkeypatch.setattr("transformers.PreTrainedConfig.get_config_dict", fail)
    with pytest.raises(ModelError, match="^nobody/nothing: is not a folder here, and the hub"):
        FiGCLIP.from_pretrained("nobody/nothing")


def test_hub_ids_and_model_folders_pass(folder: Path):
    assert resolve_model("openai/clip-vit-base-patch32") == "openai/clip-vit-base-patch32"
    assert resolve_model(str(folder)) == str(folder)


def test_info_round_trip(adapted: Adapted, tmp_path: Path):
    seen = SeenMedia(
        trained_on=frozenset(f"{i:016x}" for i in range(20)),
        validated_on=frozenset(["0" * 16]),
        selected_on=frozenset(["1" * 16, "2" * 32]),
        is_whole=False,
    )
    changes = ({}, {"contextualizer": None, "alpha": 0.3}, {"seen": seen})
    for info in (dataclasses.replace(adapted.info, **one) for one in changes):
        write_info(tmp_path, info)
        assert read_info(tmp_path) == info
    assert read_info(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("fails", ["weights", "tokenizer"])  # of which the latter are smaller
def test_a_full_disk_is_named_and_the_old_folder_stays(
    adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
):
    folder = adapted.write(tmp_path / "model")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if fails == "tokenizer":
        monkeypatch.setattr("figclip.model.folder._save_tensors", lambda *_, **__: None)
    with full_disk(file_bytes=5_000), pytest.raises(OutputError, match="model: cannot be written"):
        adapted.write(folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_folders_pooling_and_pixels_are_the_defaults(
    tmp_path: Path, adapted: Adapted, video: Path
):
    folder = adapted.write(tmp_path / "model")
    changed = dataclasses.replace(adapted.info, pooling="vc", pixel_pipeline="swscale")
    write_info(folder, changed)
    model = FiGCLIP.from_pretrained(folder)
    found = model.encode_video([video])
    assert torch.equal(found, model.encode_video([video], pooling="vc"))
    assert not torch.allclose(found, model.encode_video([video], pooling="mean"), atol=1e-3)
    by_pil = FiGCLIP.from_pretrained(adapted.write(tmp_path / "pil"))
    assert not torch.equal(found, by_pil.encode_video([video], pooling="vc"))


@pytest.mark.parametrize(
    ("encode", "what"),
    [("encode_text", "texts"), ("encode_video", "paths"), ("encode_image", "images")],
)
@pytest.mark.parametrize("single", ["a.mp4", Path("a.mp4")])
def test_one_thing_in_place_of_a_list_is_refused(
    clip_folder: Path, encode: str, what: str, single: str | Path
):
    model = FiGCLIP.from_pretrained(clip_folder)
    message = rf"takes a list of {what}, got .*a\.mp4.*\. Write \["
    with without_runtime_types(), pytest.raises(ModelError, match=message):
        getattr(model, encode)(single)
