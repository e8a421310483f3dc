"""figclip demo: a page to play with a model."""

from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import BatchSize, Cpu, OfEmbeddings, going_on, quiet_libraries
from figclip.cli.terminal import say, warn
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

Host = Annotated[str, typer.Option(help="Where to listen; by default for this machine only.")]


def demo(
    model: Annotated[str, typer.Argument(help="Hub id, model folder or run folder.")],
    base: Annotated[
        str | None, typer.Option(help="What it stands beside; default: itself at strength 0.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="What `figclip index` wrote, to search in.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .jsonl file to look at and change.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Their videos; default: beside the file.")
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
) -> None:
    """Open a page in the browser: who does what, search, annotations.

    Example: figclip demo quickstart/run-base0-seed0

    Beside a run of the quickstart its own clips are there to play with. See docs/demo.md.
    """
    from figclip.runtime.device import pick_device

    quiet_libraries()
    from figclip.demo.demo import demo as run

    with going_on("nothing was changed"):
        try:
            run(
                model,
                base=base,
                index=index,
                annotations=annotations,
                videos=videos,
                host=host,
                port=port,
                device=pick_device(cpu=cpu),
                embedding=EmbeddingSettings(precision=precision, batch_size=batch_size),
                on_stage=lambda one: warn(f"{one} …"),
                on_start=lambda url: say(f"{url} (Ctrl-C ends it)"),
            )
        except KeyboardInterrupt:
            say("Stopped.")
