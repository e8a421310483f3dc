from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import figclip.evaluation.figures as figures
from figclip.evaluation.figures import draw_confusion, draw_sweep
from figclip.evaluation.results import (
    Comparison,
    DataInfo,
    ModelColumn,
    Sweep,
    SweepPoint,
    TaskResult,
    shorten,
)
from figclip.tasks.base import ItemScores, Score

ODD_NAMES = ("$5 and $6", r"\frac$x$ $\frac$", "a_b^c", "日本", "x" * 300)


def result(classes: tuple[str, ...], predicted: tuple[str, ...]) -> TaskResult:
    """One item a class; the official top-1 is given, not computed from the items."""
    block = ItemScores(
        block="all",
        item_ids=classes,
        group_ids=classes,
        values={"top-1": np.zeros(len(classes))},
        labels={"true": classes, "predicted": predicted},
    )
    column = ModelColumn(name="m", hash="h", alpha=0.0)
    scores = Comparison(base=Score(official=0.125), adapted=Score(official=0.25), interval=None)
    return TaskResult(
        task="actions",
        face="kept",
        data=DataInfo(name="a", source="a", split=None, hash="", pipeline="pil", coverage={}),
        settings={},
        counts={},
        left_out=(),
        base=column,
        adapted=column,
        metrics={"top-1": scores},
        base_items=(block,),
        adapted_items=(block,),
        notices=(),
        seed=0,
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written."""
    found: list[Figure] = []
    write = figures._write

    def remember(figure: Figure, file: Path) -> None:
        found.append(figure)
        write(figure, file)

    monkeypatch.setattr(figures, "_write", remember)
    return found


def test_the_picture_shows_shares_of_each_class_and_the_official_score(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    classes = ("a", "b", "c")
    assert draw_confusion(result(classes, ("a", "a", "b")), tmp_path / "p.png") == [
        tmp_path / "p.png"
    ]
    base, adapted, _ = drawn[0].axes
    assert base.get_title() == "base: 12.5% right"
    assert adapted.get_title() == "adapted: 25.0% right"
    shares = np.asarray(base.get_images()[0].get_array())
    assert shares.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert [tick.get_text() for tick in base.get_yticklabels()] == list(classes)


def test_names_may_hold_anything(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_confusion(result(ODD_NAMES, ODD_NAMES), tmp_path / "p.png")
    names = [tick.get_text() for tick in drawn[0].axes[0].get_xticklabels()]
    assert names == [shorten(name, 30) for name in sorted(ODD_NAMES)]
    assert len(names[-2]) == 30
    with Image.open(tmp_path / "p.png") as picture:
        assert min(picture.size) > 500
    points = tuple(
        SweepPoint(alpha=alpha, headlines={}, faces={"kept": 0.5, "detail": alpha})
        for alpha in (0.0, 0.5, 1.0)
    )
    draw_sweep(Sweep(model=ODD_NAMES[1], points=points), tmp_path / "s.png")
    assert (tmp_path / "s.png").exists()


def test_a_chosen_strength_is_marked_instead_of_the_last(tmp_path: Path) -> None:
    points = tuple(
        SweepPoint(alpha=alpha, headlines={}, faces={"kept": 0.9 - alpha**3 / 9, "detail": alpha})
        for alpha in (0.0, 0.3, 0.6, 1.0)
    )
    sweep = Sweep(model="mine", points=points)
    pictures = []
    for chosen in (None, 0.0, 0.6, 1.0):
        draw_sweep(sweep, tmp_path / "s.png", chosen=chosen)
        pictures.append((tmp_path / "s.png").read_bytes())
    assert len(set(pictures)) == 4


@pytest.mark.slow
def test_hundreds_of_classes_stay_a_picture_of_bearable_size(tmp_path: Path) -> None:
    many = tuple(f"class {i}" for i in range(700))
    draw_confusion(result(many, many), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert max(picture.size) < 10_000


def test_tasks_without_classes_have_no_picture(tmp_path: Path) -> None:
    some = result(("a",), ("a",))
    plain = dataclasses.replace(
        some,
        base_items=None,
        adapted_items=(dataclasses.replace(some.adapted_items[0], labels={}),),
    )
    assert draw_confusion(plain, tmp_path / "p.png") == []
    assert draw_confusion(dataclasses.replace(plain, adapted_items=()), tmp_path / "p.png") == []
    assert not (tmp_path / "p.png").exists()
