"""Pictures beside result files: confusion of classes, detail against what is kept.

Import it where something is drawn: matplotlib takes a third of a second to load.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text

from figclip.evaluation.results import Sweep, TaskResult, shorten
from figclip.metrics.classification import confusion_counts
from figclip.runtime.files import write_atomically
from figclip.tasks.base import ItemScores

BASE_COLOUR, ADAPTED_COLOUR = "#b4530a", "#1f6f8b"
SHARES = Normalize(0, 1)
_INCHES_PER_CLASS = 0.16
_MAX_INCHES = 24.0
_MAX_NAMED_CLASSES = 160
_MAX_NAME_CHARS = 30
_DPI = 150


def draw_confusion(result: TaskResult, file: Path) -> list[Path]:
    """Draw which class is taken for which, base beside adapted.

    Only items that are labelled `true` and `predicted` have a picture.
    """
    pairs = [("base", result.base_items), ("adapted", result.adapted_items)]
    blocks = [(role, items[0]) for role, items in pairs if items and "predicted" in items[0].labels]
    if not blocks:
        return []
    classes = sorted({name for _, one in blocks for kind in one.labels.values() for name in kind})
    side = min(max(3.5, _INCHES_PER_CLASS * len(classes)), _MAX_INCHES)
    figure = Figure(figsize=(len(blocks) * side + 2.5, side + 2.0), layout="constrained")
    axes = figure.subplots(1, len(blocks), squeeze=False)[0]
    for ax, (role, block) in zip(axes, blocks, strict=True):
        shares = _confusion(block, classes)
        ax.imshow(shares, norm=SHARES, cmap="Blues")
        _name_classes(ax, classes, vertical=role == blocks[0][0])
        score = getattr(result.metrics["top-1"], role)
        ax.set_title(f"{role}: {score.official:.1%} right")
        ax.set_xlabel("taken for")
    figure.axes[0].set_ylabel("is")
    colours = ScalarMappable(norm=SHARES, cmap="Blues")
    figure.colorbar(colours, ax=axes.tolist(), label="share of the class", shrink=0.6)
    figure.suptitle(f"{result.task} on {result.data.name}")
    _write(figure, file)
    return [file]


def draw_sweep(sweep: Sweep, file: Path, *, chosen: float | None = None) -> list[Path]:
    """Draw detail against what is kept, a point a strength of the adaptation.

    `chosen` is the strength to mark, by default the last one. All points have both faces.
    """
    points = [(p.alpha, p.faces["kept"] * 100, p.faces["detail"] * 100) for p in sweep.points]
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    ax = figure.subplots()
    ax.plot([x for _, x, _ in points], [y for _, _, y in points], color="0.6", zorder=1)
    marked = {points[0][0]: (BASE_COLOUR, "base")}
    title = f"{sweep.model}: strength of the adaptation from 0 to 1"
    if chosen is None:
        marked[points[-1][0]] = (ADAPTED_COLOUR, "adapted")
    else:
        marked[chosen] = (ADAPTED_COLOUR, f"{chosen:g}, chosen")
        title += "\n(detail on val, kept on the halves that select)"
    for alpha, kept, detail in points:
        colour, name = marked.get(alpha, ("0.45", f"{alpha:g}"))
        ax.scatter(kept, detail, color=colour, s=60 if alpha in marked else 25)
        ax.annotate(name, (kept, detail), textcoords="offset points", xytext=(6, 5))
    ax.axvline(points[0][1], color=BASE_COLOUR, linewidth=0.8, linestyle=":")
    ax.axhline(points[0][2], color=BASE_COLOUR, linewidth=0.8, linestyle=":")
    ax.set_xlabel("kept: mean of the tests of what must be kept (%)")
    ax.set_ylabel("detail: mean of the tests of detail (%)")
    ax.set_title(title)
    ax.margins(0.12)
    _write(figure, file)
    return [file]


def _confusion(block: ItemScores, classes: Sequence[str]) -> Float64[np.ndarray, "C C"]:
    """Share of each true class (rows) that is taken for each class; NaN rows have no item."""
    row_of = {name: row for row, name in enumerate(classes)}
    true_N, predicted_N = (
        np.array([row_of[name] for name in block.labels[kind]], np.int64)
        for kind in ("true", "predicted")
    )
    counts = confusion_counts(true_N, predicted_N, num_classes=len(classes))
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def _name_classes(ax: Axes, classes: Sequence[str], *, vertical: bool) -> None:
    """Names on the axes; the rows of the second picture are those of the first."""
    if len(classes) > _MAX_NAMED_CLASSES:
        ax.set_title(f"{len(classes)} classes by name", loc="right", fontsize=8)
        return
    places = range(len(classes))
    names = [shorten(name, _MAX_NAME_CHARS) for name in classes]
    ax.set_xticks(places, names, rotation=90, fontsize=6)
    ax.set_yticks(places, names if vertical else [], fontsize=6)


def _write(figure: Figure, file: Path) -> None:
    """Whole or not at all."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)  # a class or model may be called `$5`
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Signs that the font lacks become boxes; matplotlib says so for each of them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(picture, format="png", dpi=_DPI)
    write_atomically(file, picture.getvalue())
