"""`figclip export`: a folder for another library, which must see in it what figclip sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figclip.errors import ConfigError
from figclip.exporting.agreement import Agreement, check_agreement
from figclip.exporting.hf import HF
from figclip.exporting.hub import check_repo
from figclip.exporting.hub import push as push_folder
from figclip.exporting.onnx_folder import ONNX, TRANSFORMERS_JS
from figclip.exporting.open_clip_folder import OPEN_CLIP
from figclip.exporting.run_facts import read_facts
from figclip.exporting.sentence_transformers_folder import SENTENCE_TRANSFORMERS
from figclip.exporting.targets import Target, check_family, check_installed
from figclip.model.backbone import weights_hash
from figclip.model.card import build_card
from figclip.model.checked_files import CARD_FILE
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import resolve_model
from figclip.runtime.files import check_writable, staged_folder, write_atomically

TARGETS: dict[str, Target] = {
    "hf": HF,
    "open_clip": OPEN_CLIP,
    "sentence-transformers": SENTENCE_TRANSFORMERS,
    "onnx": ONNX,
    "transformers.js": TRANSFORMERS_JS,
}
"""Who loads an export, by the name of `--to`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written.

    Attributes:
        folder: Where.
        alpha: Strength of the adaptation.
        agreements: How near the library's embeddings are to figclip's, for each precision.
        address: Where it was pushed to; None if it was not.
    """

    folder: Path
    alpha: float
    agreements: tuple[Agreement, ...]
    address: str | None = None


def export(
    model: str | Path,
    *,
    to: str,
    out: str | Path,
    alpha: float | None = None,
    base: str | Path | None = None,
    push: str | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Export:
    """Write a model for another library, and check that it is the same there.

    The library loads the folder by its own documented call and embeds fixed pictures and texts; the
    folder is put in place once they agree with figclip's, or not at all.

    Args:
        model: Hub id, model folder or run folder.
        to: Name of a target, see `TARGETS`.
        out: Folder to write; it must not exist, or be empty.
        alpha: Strength of the adaptation; None: as merged.
        base: The base, needed only to scale a full fine-tune.
        push: Repository of the hub, OWNER/NAME, to upload it to, see `hub.push`; None: nowhere.
        on_stage: Told what is being done.

    Raises:
        ConfigError: no such target, its library is not installed, it cannot hold such a model, or
            `out` holds something.
        ModelError: not a CLIP, or the library's embeddings are others.
        DataError: a file of the run is damaged.
        OutputError: `out` cannot be written, or not be pushed.
    """
    target = find_target(to)
    out = Path(out)
    check_installed(to, target)
    _check_free(out)
    if push is not None:
        check_repo(push)
    say = on_stage or (lambda stage: None)
    source = resolve_model(str(model))
    loaded = FiGCLIP.from_pretrained(source, alpha=alpha, base=base)
    check_family(to, target, loaded.backbone.family)
    weights = weights_hash(loaded.backbone.clip)
    facts = read_facts(Path(source).absolute(), loaded.info, weights=weights)
    with staged_folder(out) as folder:
        say("writing")
        target.write(loaded, folder)
        say("checking")
        agreements = [
            check_agreement(loaded, one, where=f"{out} ({to})") for one in target.load(folder)
        ]
        card = build_card(
            loaded.info,
            weights=weights,
            alpha=loaded.alpha,
            facts=facts,
            library=target.library,
            notes=loaded.backbone.family.notes,
        )
        write_atomically(folder / CARD_FILE, card)
    address = None
    if push is not None:
        say("pushing")
        address = push_folder(out, push, message=f"figclip export --to {to}")
    return Export(folder=out, alpha=loaded.alpha, agreements=tuple(agreements), address=address)


def find_target(name: str) -> Target:
    """A target by name; a `ConfigError` that lists them if there is no such."""
    if name not in TARGETS:
        raise ConfigError(
            f"unknown target {name!r}", where="--to", fix=f"Targets are {', '.join(TARGETS)}"
        )
    return TARGETS[name]


def _check_free(out: Path) -> None:
    """Refuse to write over what is there."""
    check_writable(out)
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(
            "is not empty", where=f"--out {out}", fix="Choose another folder, or delete it first"
        )
