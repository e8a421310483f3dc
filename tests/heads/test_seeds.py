"""Heads of several seeds: which are trained, what goes on, what is refused."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from figclip.config import HeadTrainConfig, SituationConfig
from figclip.errors import CheckpointError, ConfigError, DataError, ModelError
from figclip.heads.features import check_models
from figclip.heads.run import FinetuneResult, has_seeds, read_head_info
from figclip.heads.seeds import finetune_seeds, read_seeds, seed_folder, task_of_heads

CONFIG = SituationConfig(recipe="test", train=HeadTrainConfig(seed=5))


class Trainer:
    """Stands in for a task's fine-tuning: writes down what it was asked for."""

    def __init__(self, *, stopped_at: int | None = None, late_at: int | None = None) -> None:
        self.asked: list[tuple[int, str, bool]] = []
        self._stopped_at, self._late_at = stopped_at, late_at

    def __call__(self, config, *, out: Path, resume: bool, on_step, model: str) -> FinetuneResult:
        seed = config.train.seed
        self.asked.append((seed, out.name, resume))
        out.mkdir(exist_ok=True)
        (out / "config.json").write_text("{}")
        on_step("base", f"step of {model}")
        stopped = signal.SIGINT if seed == self._stopped_at else None
        return FinetuneResult(
            run=out,
            interrupted_by=stopped,
            kept_steps={"base": seed},
            notices=("once",),
            late_signal=signal.SIGTERM if seed == self._late_at else None,
        )


def train(
    out: Path,
    trainer: Callable[..., FinetuneResult],
    *,
    num: int = 3,
    told: list | None = None,
    **options,
):
    return finetune_seeds(
        trainer,
        options.pop("config", CONFIG),
        num_seeds=num,
        out=out,
        on_step=lambda name, report: (told if told is not None else []).append((name, report)),
        model="m",
        **options,
    )


def test_each_seed_is_a_run_of_its_own(tmp_path: Path):
    trainer, told = Trainer(), []
    result = train(tmp_path / "heads", trainer, told=told)
    assert trainer.asked == [(5, "seed-5", False), (6, "seed-6", False), (7, "seed-7", False)]
    assert result.kept_steps == {"seed-5/base": 5, "seed-6/base": 6, "seed-7/base": 7}
    assert result.notices == ("once",) and result.interrupted_by is None
    assert told[1] == ("seed-6/base", "step of m")
    assert read_seeds(tmp_path / "heads") == (5, 6, 7)


def test_a_stop_ends_all_and_resume_goes_on_where_there_is_something(tmp_path: Path):
    out = tmp_path / "heads"
    assert train(out, Trainer(stopped_at=6)).interrupted_by == signal.SIGINT
    trainer = Trainer()
    train(out, trainer, resume=True)
    assert trainer.asked == [(5, "seed-5", True), (6, "seed-6", True), (7, "seed-7", False)]


@pytest.mark.parametrize(("late_at", "ran"), [(6, [5, 6]), (7, [5, 6, 7])])
def test_a_signal_in_the_last_step_of_a_seed_keeps_the_next_from_starting(
    tmp_path: Path, late_at: int, ran: list[int]
):
    trainer = Trainer(late_at=late_at)
    result = train(tmp_path / "heads", trainer)
    assert [seed for seed, *_ in trainer.asked] == ran
    assert result.interrupted_by == (None if late_at == 7 else signal.SIGTERM)


def test_a_refused_call_claims_no_seeds(tmp_path: Path):
    def refuse(*_, **__):
        raise ConfigError("no", where="here", fix="none")

    with pytest.raises(ConfigError, match="no"):
        train(tmp_path / "heads", refuse)
    other = SituationConfig(recipe="test", train=HeadTrainConfig(seed=1))
    train(tmp_path / "heads", Trainer(), config=other)
    assert read_seeds(tmp_path / "heads") == (1, 2, 3)


def test_seeds_may_be_added_and_not_exchanged(tmp_path: Path):
    out = tmp_path / "heads"
    train(out, Trainer(), num=2)
    train(out, Trainer(), num=4, resume=True)
    assert read_seeds(out) == (5, 6, 7, 8)
    with pytest.raises(ConfigError, match="was begun with seeds 5, 6, 7, 8"):
        train(out, Trainer(), num=2, resume=True)
    other = SituationConfig(recipe="test", train=HeadTrainConfig(seed=4))
    with pytest.raises(ConfigError, match="was begun with seeds"):
        train(out, Trainer(), num=9, config=other, resume=True)
    assert read_seeds(out) == (5, 6, 7, 8)


def test_one_seed_and_a_folder_of_one_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="1 seed tells nothing of others"):
        train(tmp_path / "heads", Trainer(), num=1)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "head.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds heads of one seed"):
        train(tmp_path / "one", Trainer())
    assert not has_seeds(tmp_path / "one")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2, "seeds": [1]}', '{"format": 1, "seeds": []}',
     '{"format": 1, "seeds": [1, 1]}', '{"format": 1, "seeds": ["../.."]}',
     '{"format": 1, "seeds": [true]}', '{"format": 1, "seeds": [-1]}'],
)  # fmt: skip
def test_a_damaged_list_of_seeds_is_named(tmp_path: Path, content: str):
    (tmp_path / "seeds.json").write_text(content)
    with pytest.raises(DataError, match=r"seeds\.json"):
        read_seeds(tmp_path)


def test_heads_of_one_seed_are_not_written_among_those_of_several(tmp_path: Path):
    train(tmp_path / "heads", Trainer())
    with pytest.raises(CheckpointError, match="holds the heads of several seeds"):
        check_models(tmp_path / "heads", (), task="situations", model="m")
    check_models(tmp_path / "heads" / "seed-5", (), task="situations", model="m")


def test_what_needs_one_seed_says_so(tmp_path: Path):
    train(tmp_path / "heads", Trainer())
    with pytest.raises(ModelError, match="holds the heads of several seeds") as error:
        read_head_info(tmp_path / "heads")
    assert "seed-N" in str(error.value)


def test_the_task_is_that_of_the_first_run(tmp_path: Path):
    out = tmp_path / "heads"
    train(out, Trainer())
    info = {"format": 1, "task": "captioning", "model": "m", "base": None, "feature_dim": 4,
            "models": {}, "vocabulary": {}}  # fmt: skip
    (seed_folder(out, 5) / "head.json").write_text(json.dumps(info))
    assert task_of_heads(out) == task_of_heads(seed_folder(out, 5)) == "captioning"
