"""Options that several verbs share."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.terminal import warn
from figclip.config import Precision
from figclip.errors import ConfigError
from figclip.runtime.launcher import is_first_to_stop

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but some inputs cannot be used, 130 and 143 "
    "interrupted by Ctrl-C and SIGTERM: the same command goes on."
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="local|ADDRESS", help="Let the machines of a Ray cluster work (docs/search.md)."
    ),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Use the CPU even where there is a GPU.")]
OfEmbeddings = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="How exactly the model computes; auto: bf16 on a GPU that has it, else fp32.",
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(min=1, help="Most frames, or texts, that the model embeds at once."),
]


def check_ray(ray: str | None, *, workers: int, cpu: bool = False) -> None:
    """Refuse what is said of this machine where others work, by a `ConfigError`."""
    if ray is not None and (workers or cpu):
        fix = "Leave it out: the machines of a cluster use the cores and GPUs that they have"
        raise ConfigError("is of this machine", where="--workers" if workers else "--cpu", fix=fix)


def cache_folder() -> Path:
    """Folder of embeddings and decoded frames that can be made again: $FIGCLIP_CACHE."""
    # An empty variable would put the cache into the current folder.
    return Path(os.environ.get("FIGCLIP_CACHE") or Path.home() / ".cache" / "figclip")


@contextmanager
def going_on(how: str = "run the same command again to go on") -> Generator[None]:
    """Work that Ctrl-C interrupts in order: KeyboardInterrupt, how to go on, exit code 130."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        if is_first_to_stop():
            warn(f"figclip: interrupted; {how}.")
        raise typer.Exit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGINT, before)


def quiet_libraries() -> None:
    """Silence loading bars and deprecation notes of libraries: they are not for our users."""
    import logging as loggers
    import warnings

    import huggingface_hub  # noqa: F401 - sets the level of its logger
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
    loggers.getLogger("huggingface_hub").setLevel(loggers.ERROR)  # twelve lines of retries
