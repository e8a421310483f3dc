"""The model card: `README.md` of a model folder and of an export, as hubs read and show it.

Its head is the hub's metadata, with the scores as a `model-index`; its body says what was done,
what it gained and cost, and what it cannot do. Numbers are those of the files that it is made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from huggingface_hub import EvalResult, ModelCardData

from figclip import __version__
from figclip.errors import printable
from figclip.model.folder import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScore:
    """A headline of a result file of `figclip eval`, of base and adapted model.

    Attributes:
        data: NAME of `--data`; `source`: the name of its PATH; `data_hash`: of its content.
        split: None for all.
        unit: `fraction`, or `rank` where lower is better.
        base: None where only one model was scored; likewise `difference`.
        interval: 95 % interval of the difference, where it has one.
    """

    task: str
    data: str
    source: str
    data_hash: str
    split: str | None
    metric: str
    unit: Literal["fraction", "rank"]
    base: float | None
    adapted: float
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthPrice:
    """The strength that tests chose, and what it gained and cost on the halves that chose it.

    Attributes:
        detail: Score on val, of the base and at the strength; None where it was not measured.
        kept: Mean over the kept tests, likewise.
        loss_bound: One-sided 95 % upper bound of what `kept` lost.
    """

    alpha: float
    detail: tuple[float, float] | None
    kept: tuple[float, float]
    loss_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a run knows of a model besides its `figclip.json`.

    Attributes:
        data_names: What `prepare` calls the annotations.
        num_videos: Videos trained on; None where it is not known. `num_val_videos` were held back.
        price: None where no test chose the strength.
        scores: Of the weights that the card is about; empty where they were not scored.
    """

    data_names: tuple[str, ...] = ()
    num_videos: int | None = None
    num_val_videos: int = 0
    price: StrengthPrice | None = None
    scores: tuple[CardScore, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Who loads the folder: its name on the hub, its task there, and the lines that do it."""

    name: str
    pipeline_tag: str
    usage: str
    limits: tuple[str, ...] = ()


TRANSFORMERS = Library(
    name="transformers",
    pipeline_tag="zero-shot-image-classification",
    usage="""\
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("THIS_FOLDER")
processor = AutoProcessor.from_pretrained("THIS_FOLDER")""",
)

_LIMITS = (
    "It is a CLIP: it compares a picture, or the mean of a video's frames, with a sentence. It "
    "counts, reads and reasons as badly as its base, and has its base's biases.",
    "It was adapted on the data named here. On other footage, other wording and other languages "
    "nothing is known but what the table shows.",
    "Scores of a made-up world say that the method works there, not how well it does elsewhere.",
)

_CITATION = """\
@article{figclip2024,
  title   = {{FiGCLIP}: Fine-Grained {CLIP} Adaptation via Densely Annotated Videos},
  author  = {S, Darshan Singh and Khan, Zeeshan and Tapaswi, Makarand},
  journal = {arXiv preprint arXiv:2401.07669},
  year    = {2024}
}"""


def data_names(coverages: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What `prepare` calls the annotations of frame stores, by what the stores cover."""
    return tuple(dict.fromkeys(str(one["name"]) for one in coverages if "name" in one))


def build_card(
    info: ModelInfo | None,
    *,
    weights: str,
    alpha: float,
    facts: CardFacts,
    library: Library = TRANSFORMERS,
    notes: Sequence[str] = (),
) -> str:
    """The text of a model card.

    Args:
        info: What `figclip.json` says; None for a plain CLIP.
        weights: `weights_hash` of the CLIP that the folder holds.
        alpha: Strength that they are merged at.
        facts: What else is known.
        library: Who loads the folder.
        notes: What users of models of this family must know.
    """
    library = replace(library, limits=(*library.limits, *notes))
    head = _metadata(info, facts, library).to_yaml()
    body = "\n\n".join(_sections(info, weights, alpha, facts, library))
    return f"---\n{head}\n---\n\n{body}\n"


def _metadata(info: ModelInfo | None, facts: CardFacts, library: Library) -> ModelCardData:
    """The head."""
    name = _model_name(info)
    return ModelCardData(
        base_model=(info.base or None) if info else None,
        base_model_relation="finetune" if info and info.base else None,
        library_name=library.name,
        pipeline_tag=library.pipeline_tag,
        datasets=list(facts.data_names) or None,
        language="en",
        # The weights are the base's and a little more; figclip cannot know under which terms.
        license="other",
        license_name="as-the-base-model",
        license_link=f"https://huggingface.co/{info.base}" if info and info.base else None,
        tags=["clip", "figclip", "video"],
        model_name=name,
        eval_results=[_eval_result(one) for one in facts.scores] or None,
    )


def _eval_result(one: CardScore) -> EvalResult:
    """A score as the hub has it; what the hub has no place for is in `metric_args`."""
    compared: Mapping[str, Any] = {
        "base": one.base,
        "difference": one.difference,
        "interval_95": None if one.interval is None else list(one.interval),
        "unit": one.unit,
    }
    is_accuracy = one.metric in ("accuracy", "top-1")
    return EvalResult(
        task_type=one.task.replace("_", "-"),
        dataset_type=one.data,
        dataset_name=one.source,
        dataset_config=one.source,
        dataset_split=one.split,
        dataset_revision=one.data_hash,
        metric_type="accuracy" if is_accuracy else one.metric.replace(" ", "-"),
        metric_name=one.metric,
        metric_value=one.adapted,
        metric_args=dict(compared),
    )


def _model_name(info: ModelInfo | None) -> str:
    """A name that says what it is."""
    base = info.base.rpartition("/")[2] if info else ""
    return f"{base or 'clip'}-figclip" if info else "clip"


def _sections(
    info: ModelInfo | None, weights: str, alpha: float, facts: CardFacts, library: Library
) -> list[str]:
    """The body, heading by heading."""
    limits = "\n".join(f"- {one}" for one in (*_LIMITS, *library.limits))
    language = "js" if library.name == "transformers.js" else "python"
    return [
        f"# {_model_name(info)}",
        _introduction(info, alpha),
        f"## Use\n\n```{language}\n{library.usage}\n```",
        f"## Results\n\n{_results(facts.scores)}",
        f"## Strength and its price\n\n{_strength(info, alpha, facts.price)}",
        f"## Data and recipe\n\n{_origin(info, facts)}",
        f"## Hashes\n\n{_hashes(info, weights)}",
        f"## Limits\n\n{limits}",
        f"## Citation\n\n```bibtex\n{_CITATION}\n```",
    ]


def _introduction(info: ModelInfo | None, alpha: float) -> str:
    """What this is."""
    if info is None:
        return f"A plain CLIP, written by figclip {__version__}; nothing was adapted."
    base = _code(info.base) if info.base else "A CLIP that is not on the hub"
    return (
        f"{base}, adapted by [figclip](https://arxiv.org/abs/2401.07669) on densely annotated "
        f"video so that it tells who does what to whom. Adaptation `{info.adaptation}`, merged at "
        f"strength {alpha:g}."
    )


def _results(scores: Sequence[CardScore]) -> str:
    """The table: base beside adapted."""
    if not scores:
        return "These weights have not been scored by `figclip eval` yet."
    lines = [
        "| task | data | metric | base | adapted | difference, 95 % interval |",
        "|---|---|---|---:|---:|---:|",
        *map(_row, scores),
    ]
    return "\n".join(lines) + (
        "\n\nFractions are in percent, differences in points; intervals are paired bootstraps over "
        "groups of items. The same numbers, unrounded, are in the metadata of this file."
    )


def _row(one: CardScore) -> str:
    """One line of the table."""
    factor = 100.0 if one.unit == "fraction" else 1.0
    difference = "" if one.difference is None else f"{factor * one.difference:+.1f}"
    if one.interval is not None:
        low, high = (factor * bound for bound in one.interval)
        difference += f" [{low:+.1f}, {high:+.1f}]"
    split = f" ({_plain(one.split)})" if one.split else ""
    cells = [
        one.task.replace("_", " "),
        f"{_plain(one.source)}{split}",
        one.metric if one.unit == "fraction" else f"{one.metric} (lower is better)",
        "" if one.base is None else f"{factor * one.base:.1f}",
        f"{factor * one.adapted:.1f}",
        difference,
    ]
    return f"| {' | '.join(cells)} |"


def _strength(info: ModelInfo | None, alpha: float, price: StrengthPrice | None) -> str:
    """Which strength, why, and what it costs."""
    if info is None:
        return "There is no adaptation to scale."
    if price is None or price.alpha != alpha:
        chosen = "" if price is None else f" The tests of the run chose {price.alpha:g}."
        return (
            f"Merged at strength {alpha:g} (0: the base, 1: as trained). What this strength costs "
            f"on other tasks was not measured when it was chosen.{chosen}"
        )
    detail = ""
    if price.detail is not None:
        base, adapted = price.detail
        detail = f"detail on validation videos {base * 100:.1f} → {adapted * 100:.1f}, "
    base, kept = price.kept
    return (
        f"Merged at strength {alpha:g} (0: the base, 1: as trained), which tests that must not "
        f"suffer have chosen. On the half of them that chose it: {detail}kept tests "
        f"{base * 100:.1f} → {kept * 100:.1f}, a loss of at most {price.loss_bound * 100:.1f} "
        "points (one-sided 95 % bound)."
    )


def _origin(info: ModelInfo | None, facts: CardFacts) -> str:
    """What it was trained on, and how."""
    if info is None:
        return "Not known."
    provenance, lines = info.provenance, list[str]()
    if facts.num_videos is not None:
        names = ", ".join(map(_code, facts.data_names)) or "annotations"
        lines.append(
            f"Videos: {facts.num_videos:,} trained on, {facts.num_val_videos:,} held back; "
            f"annotated as {names}"
        )
    for name, key in (("Recipe", "recipe"), ("Step", "step")):
        if key in provenance:
            lines.append(f"{name}: {_code(str(provenance[key]))}")
    packages = provenance.get("packages", {})
    if packages:
        lines.append(f"Made with: {', '.join(f'{n} {v}' for n, v in packages.items())}")
    said = "\n".join(f"- {line}" for line in lines) or "Not known."
    if "config" not in provenance:
        return said
    config = json.dumps(provenance["config"], indent=2, ensure_ascii=True)
    block = f"<details><summary>All settings</summary>\n\n```json\n{config}\n```\n\n</details>"
    return f"{said}\n\n{block}"


def _hashes(info: ModelInfo | None, weights: str) -> str:
    """What tells whether it is the same."""
    lines = [f"- Weights: `{weights}`"]
    if info is not None:
        lines.append(f"- Base: `{info.base_hash}`")
        if "data" in info.provenance:
            lines.append(f"- Training data: {_code(str(info.provenance['data']))}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text of others in a cell of a table."""
    return (
        printable(" ".join(text.split())).replace("|", r"\|").replace("<", "&lt;").replace("`", "'")
    )


def _code(text: str) -> str:
    """Text of others as code."""
    return f"`{printable(text).replace('`', chr(39))}`"
