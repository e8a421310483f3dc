"""figclip describe: the events of one's own videos, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from figclip.cli.options import (
    BatchSize,
    Cpu,
    OfEmbeddings,
    cache_folder,
    going_on,
    quiet_libraries,
)
from figclip.cli.terminal import say, warn
from figclip.errors import ConfigError
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from figclip.heads.captioning.task import Description


def describe(
    run: Annotated[Path, typer.Argument(help="Run folder of `figclip finetune captioning`.")],
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("described"),
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
) -> None:
    """Say what happens in videos, and when: a table, JSON, subtitles.

    Example: figclip describe runs/captioning holiday.mp4 party.mp4

    Writes OUT/descriptions.json, and for each video OUT/NAME.vtt (subtitles that players and
    browsers load beside the video). Videos that cannot be read are named; then the exit code is 3.
    """
    from figclip.cli.progress import ProgressDisplay
    from figclip.runtime.device import pick_device

    _check_names(videos)
    quiet_libraries()
    from figclip.heads.captioning.subtitles import write_webvtt
    from figclip.heads.captioning.task import describe as run_head
    from figclip.heads.captioning.task import write_descriptions
    from figclip.runtime.locks import lock_folder

    with lock_folder(out), going_on(), ProgressDisplay() as display:
        descriptions = run_head(
            run,
            videos,
            cache=cache_folder(),
            device=pick_device(cpu=cpu),
            embedding=EmbeddingSettings(precision=precision, batch_size=batch_size),
            on_progress=display.update,
        )
        write_descriptions(out / "descriptions.json", descriptions)
        for one in descriptions:
            if one.problem is None:
                write_webvtt(out / f"{one.video.stem}.vtt", one.events)
    _show(descriptions, out)


def _check_names(videos: Sequence[Path]) -> None:
    """Files are named by their videos: two of one name would overwrite each other."""
    counts = Counter(path.stem for path in dict.fromkeys(videos))
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigError(
            f"several videos are called {twice[0]}",
            where=str(next(path for path in videos if path.stem == twice[0])),
            fix="Describe them one by one, each with an --out of its own",
        )


def _show(descriptions: Sequence[Description], out: Path) -> None:
    """A table, where it is written, and what could not be read."""
    for one in descriptions:
        if one.problem is None:
            say(f"{one.video} ({one.duration_s:.1f} s)")
            for event in one.events:
                say(f"  {event.start_s:8.1f} - {event.end_s:7.1f} s  {event.sentence}")
    say(f"Written: {out}")
    unread = [one for one in descriptions if one.problem is not None]
    for one in unread:
        warn(f"figclip: {one.video}: {one.problem}")
    if unread:
        raise typer.Exit(3)
