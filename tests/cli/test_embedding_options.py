"""--precision and --batch-size: every verb that embeds takes both, and hands them on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from figclip.cli.app import app
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

ITS_OWN = {"adapt": "the settings train.precision and train.micro_batch", "quickstart": "recipes"}
"""Verbs that run models, and what says there how they embed."""

WORK = {
    "eval": "figclip.evaluation.evaluate.evaluate",
    "eval of heads": "figclip.heads.situations.task.evaluate_situations",
    "finetune situations": "figclip.heads.situations.task.finetune_situations",
    "finetune captioning": "figclip.heads.captioning.task.finetune_captioning",
    "describe": "figclip.heads.captioning.task.describe",
    "index": "figclip.search.indexing.index",
    "search": "figclip.search.index.Index.open",
    "demo": "figclip.demo.demo.demo",
}
"""What does the work of a verb."""


class ReachedError(Exception):
    """The work was reached."""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A command of each verb, by the names of `WORK`; on a head's run of no content."""
    heads = tmp_path / "heads"
    heads.mkdir()
    (heads / "head.json").touch()
    monkeypatch.setattr("figclip.heads.seeds.task_of_heads", lambda path: "situations")
    monkeypatch.setenv("FIGCLIP_CACHE", str(tmp_path / "cache"))
    out = ["--out", str(tmp_path / "out")]
    data = ["--data", "events:mine.jsonl,videos=clips"]
    return {
        "eval": ["eval", "model", *data, *out],
        "eval of heads": ["eval", str(heads), *data, *out],
        "finetune situations": ["finetune", "situations", "--model", "model", *data, *out],
        "finetune captioning": ["finetune", "captioning", "--model", "model", *data, *out],
        "describe": ["describe", "run", "a.mp4", *out],
        "index": ["index", "model", "clips", *out],
        "search": ["search", "my.index", "a man pushes a woman"],
        "demo": ["demo", "model"],
    }


def embedding_of(
    command: list[str], work: str, monkeypatch: pytest.MonkeyPatch
) -> EmbeddingSettings:
    """What a verb tells what does its work."""
    told: list[EmbeddingSettings] = []

    def record(*_: object, embedding: EmbeddingSettings, **__: object) -> None:
        told.append(embedding)
        raise ReachedError

    monkeypatch.setattr(work, record)
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, ReachedError), (result.exception, result.output)
    return told[0]


@pytest.mark.parametrize("verb", WORK)
def test_a_verb_hands_both_on(
    verb: str, commands: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
):
    plain = commands[verb]
    assert embedding_of(plain, WORK[verb], monkeypatch) == DEFAULT_EMBEDDING
    given = [*plain, "--precision", "bf16", "--batch-size", "7"]
    expected = EmbeddingSettings(precision="bf16", batch_size=7)
    assert embedding_of(given, WORK[verb], monkeypatch) == expected


@pytest.mark.parametrize("verb", WORK)
@pytest.mark.parametrize("wrong", [("--precision", "fp8"), ("--batch-size", "0")])
def test_what_cannot_be_is_refused_by_name(
    verb: str, wrong: tuple[str, str], commands: dict[str, list[str]]
):
    result = CliRunner().invoke(app, [*commands[verb], *wrong])
    assert result.exit_code == 2 and wrong[0] in result.stderr


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Verbs, and those below `finetune`."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below, one in command.commands.items():
        yield from leaves(one, f"{name} {below}".strip())


def test_no_verb_that_runs_a_model_lacks_them():
    options = {
        name: {text for one in command.params for text in one.opts}
        for name, command in leaves(typer.main.get_command(app))
    }
    running = {name for name, found in options.items() if "--cpu" in found} - ITS_OWN.keys()
    assert running == {name for name in WORK if name != "eval of heads"}
    for name in running:
        assert {"--precision", "--batch-size"} <= options[name], name
