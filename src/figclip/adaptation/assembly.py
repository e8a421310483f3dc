"""Load the parts of a run (base, data, adaptation, texts), check them, and record them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from figclip.adaptation.run_texts import RunTexts
from figclip.annotations.captions import TEMPLATES
from figclip.annotations.counterfactuals import CounterfeitPools, build_counterfeit_pools
from figclip.annotations.splits import split_training
from figclip.annotations.texts import TextTable, build_text_table
from figclip.config import RunConfig
from figclip.errors import CheckpointError, DataError
from figclip.evaluation.sources import ANNOTATED
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.embedder import Embedder
from figclip.model.folder import SeenMedia, read_info, resolve_model
from figclip.model.lora import add_adaptation
from figclip.records import VideoRecord
from figclip.runtime.files import write_json
from figclip.runtime.memory import free_memory_bytes
from figclip.runtime.process_group import ALONE, Processes
from figclip.runtime.progress import CountProgress
from figclip.training.run_folder import (
    RUN_FORMAT,
    RunFolder,
    check_data,
    data_before,
    write_settings,
)
from figclip.video.store import FrameStore, is_store
from figclip.video.stored import StoredVideos, open_stored_videos


@dataclass(frozen=True, slots=True)
class RunParts:
    """Everything that a run is made of.

    Attributes:
        backbone: The base with its adaptation added, on its device.
        adapter: PEFT's view of it; None for full fine-tuning.
        contextualizer: None when no loss needs one.
        base_hash: `weights_hash` of the base.
        base_seen: What the base was adapted on before, if it was.
        videos: Those of the stores; `val` are held back to choose the checkpoint. Annotations are
            read when they are asked for.
        records: Annotations of `train`, in memory until the run begins.
        pools: What the held-back videos are asked about is drawn from these; None where there are
            no such videos, or the pools are to be made when they are needed.
        texts: Captions and negatives of `train`.
        num_cut: Those of them that are longer than the text tower reads.
        before: What the run wrote of its texts when it began; None while it begins.
        text_embedder: Embeds texts with the base, through the cache.
        activation_bytes: What the towers' activations may take in a step.
    """

    backbone: Backbone
    adapter: PeftModel | None
    contextualizer: VideoContextualizer | None
    base_hash: str
    base_seen: SeenMedia
    videos: StoredVideos
    train: StoredVideos
    val: StoredVideos
    records: Sequence[VideoRecord]
    pools: CounterfeitPools | None
    texts: TextTable
    num_cut: int
    before: RunTexts | None
    text_embedder: Embedder
    activation_bytes: int


def assemble(
    config: RunConfig,
    data: Sequence[Path],
    *,
    cache: Path | None,
    on_texts: CountProgress | None,
    device: torch.device,
    processes: Processes = ALONE,
    before: RunTexts | None = None,
) -> RunParts:
    """Load base and data, add the adaptation, write the texts, or take those of the run `before`.

    The processes share the embedding of texts. For the other arguments see `adapt`.
    """
    _check_stores(data)  # before a base is fetched
    seed = config.train.seed
    base = resolve_model(config.model.base)
    backbone = load_backbone(base, precision=config.train.precision).to(device)
    pixels = backbone.preprocessing
    videos = open_stored_videos(data, size=pixels.image_size, pipeline=pixels.pipeline)
    split = split_training(videos.heads, val_fraction=config.data.val_fraction)
    train, pools = videos.subset(split.train), None
    if before is None:
        read = videos.in_memory()
        read.require_frames(config.data.frames_per_event)
        train = read.subset(split.train)
        pools = build_counterfeit_pools(train.records) if split.val else None
        texts = _write_texts(config, train.records, pools)
        num_cut = backbone.count_cut(texts.texts)
    else:  # the frames were there when the run began
        texts, num_cut = before.table, before.num_cut
    # Both hash and cache belong to the plain base: taken before LoRA renames its weights.
    base_hash = weights_hash(backbone.clip)
    text_embedder = Embedder(
        backbone,
        micro_batch=config.train.micro_batch,
        cache_file=None if cache is None else cache / "embeddings.sqlite",
        on_progress=on_texts,
        processes=processes,
    )
    adapter = add_adaptation(
        backbone,
        config.model.adaptation,
        rank=config.model.lora_rank,
        lora_alpha=config.model.lora_alpha,
        seed=seed,
    )
    contextualizer = _build_contextualizer(config, backbone.dim)
    info = read_info(Path(base)) if Path(base).is_dir() else None
    return RunParts(
        backbone=backbone.to(device),
        adapter=adapter,
        contextualizer=None if contextualizer is None else contextualizer.to(device),
        base_hash=base_hash,
        # Nothing is known of what a plain CLIP has seen.
        base_seen=SeenMedia() if info is None else info.seen,
        videos=videos,
        train=videos.subset(split.train),
        val=videos.subset(split.val),
        records=train.records,
        pools=pools,
        texts=texts,
        num_cut=num_cut,
        before=before,
        text_embedder=text_embedder,
        activation_bytes=_activation_bytes(config, device),
    )


def _activation_bytes(config: RunConfig, device: torch.device) -> int:
    """What activations may take: as set, or a share of what is free."""
    if config.train.activations_gib:
        return int(config.train.activations_gib * 2**30)
    return int(free_memory_bytes(device) * (0.8 if device.type == "cuda" else 0.5))


def _write_texts(
    config: RunConfig, records: Sequence[VideoRecord], pools: CounterfeitPools | None
) -> TextTable:
    """Captions and negatives as the configuration has them."""
    return build_text_table(
        records,
        template=TEMPLATES[config.text.template],
        policy=config.text.negative_policy,
        verb_negatives=config.text.verb_negatives,
        filler_negatives_per_event=config.text.filler_negatives,
        seed=config.train.seed,
        pools=pools,
        with_concepts=config.loss.concept > 0,
    )


def _check_stores(data: Sequence[Path]) -> None:
    """Find out whether what is to be trained on are stores; `eval` takes more."""
    for path in data:
        name, _, source = str(path).partition(":")
        if name in ANNOTATED and not path.exists():
            file, _, options = source.partition(",")
            videos = options.removeprefix("videos=").partition(",")[0] or "DIR"
            make = f"Make one: figclip prepare {file} --videos {videos} --out frames.store"
            fix = f"Write {file}" if is_store(Path(file)) else make
            raise DataError("takes a frame store alone", where=f"--data {path}", fix=fix)
        FrameStore.open(path)


def _build_contextualizer(config: RunConfig, dim: int) -> VideoContextualizer | None:
    """A contextualizer with seeded weights, if the recipe has one."""
    if config.model.contextualizer_layers == 0:
        return None
    with torch.random.fork_rng():
        torch.manual_seed(config.train.seed)
        return VideoContextualizer(
            dim,
            num_layers=config.model.contextualizer_layers,
            head_dim=config.model.contextualizer_head_dim,
        )


def write_run_files(
    run: RunFolder,
    config: RunConfig,
    parts: RunParts,
    *,
    data: Sequence[Path],
    held: Mapping[str, Any],
    num_processes: int,
) -> None:
    """Write config.json, environment.json and data.json.

    `check_parts` has passed the run folder; `held` goes into data.json: `kept`, hashes of the tests
    to keep, and what `keeping.Keeping.facts` says. A resumed run must be held to the same; else a
    `CheckpointError`.
    """
    _check_held(run, held)
    write_settings(run, config, device=parts.backbone.device, num_processes=num_processes)
    stores = [
        {
            "store": path.name,
            "coverage": store.coverage,
            "quarantine": [asdict(entry) for entry in store.quarantine()],
        }
        for path, store in zip(data, parts.videos.stores, strict=True)
    ]
    content: dict[str, Any] = {
        "format": RUN_FORMAT,
        "hash": parts.videos.content_hash,
        "base": parts.base_hash,
        "train": [head.id for head in parts.train.heads],
        "val": [head.id for head in parts.val.heads],
        "stores": stores,
        **held,
    }
    write_json(run.data, content)


def check_parts(run: RunFolder, parts: RunParts, *, num_kept: int) -> None:
    """A resumed run must have its data, base and number of kept tests; else a `CheckpointError`."""
    check_data(run, parts.videos.content_hash)
    content = data_before(run)
    if content is None:
        return
    # Runs of earlier versions do not say what their base was.
    if content.get("base", parts.base_hash) != parts.base_hash:
        raise CheckpointError(
            f"was started on another base: its weights have the hash {content['base']}, those "
            f"that are there now {parts.base_hash}",
            where=str(run.path),
            fix="Put the base back, or choose another --out.",
        )
    if len(content["kept"]) != num_kept:
        raise _other_tests(run, content["kept"], num_kept)


def _check_held(run: RunFolder, held: Mapping[str, Any]) -> None:
    """A resumed run must be held to the same tests, pictures and texts."""
    before = data_before(run)
    if before is None:
        return
    if before["kept"] != held["kept"]:
        raise _other_tests(run, before["kept"], len(held["kept"]))
    if before.get("keeping") != held.get("keeping"):
        raise CheckpointError(
            "was started with other pictures or texts to keep",
            where=str(run.path),
            fix="Give --keep-images and --keep-texts as they were, or choose another --out.",
        )


def _other_tests(run: RunFolder, before: Sequence[str], num_now: int) -> CheckpointError:
    """The error for other tests to keep than a run was started with."""
    return CheckpointError(
        f"was started with other tests to keep ({len(before)} then, {num_now} now)",
        where=str(run.path),
        fix="Give --keep as it was, or choose another --out.",
    )
