"""figclip preview: what the text tower will read."""

import json
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from figclip.cli.options import Json, quiet_libraries
from figclip.cli.terminal import say, warn
from figclip.errors import ModelError

DEFAULT_BASE = "openai/clip-vit-base-patch32"


def preview(
    source: Annotated[Path, typer.Argument(help="A JSONL or CSV file, or VidSitu's folder.")],
    base: Annotated[
        str, typer.Option(help="Hub id or folder of the CLIP whose tokenizer counts.")
    ] = DEFAULT_BASE,
    template: Annotated[str, typer.Option(help="default, srl_clip or figclip_v1.")] = "default",
    negatives: Annotated[int, typer.Option(help="Hard negatives per event.")] = 4,
    policy: Annotated[
        str, typer.Option(help="balanced, matched, or uniform as in the papers.")
    ] = "balanced",
    seed: Annotated[int, typer.Option(help="Seed of the negatives.")] = 0,
    show: Annotated[int, typer.Option(help="Events to show; 0 shows the summary only.")] = 5,
    as_json: Json = False,
) -> None:
    """Show captions and hard negatives of an annotation file, token counts and coverage.

    Example: figclip preview examples/real/annotations.jsonl --base runs/mine
    """
    from dataclasses import asdict

    from figclip.annotations.captions import TEMPLATES
    from figclip.annotations.texts import caption_statistics, count_names
    from figclip.annotations.vidsitu import load_source
    from figclip.config import TextConfig

    # The config's own checks name what is wrong with a template, a policy or a number.
    text = TextConfig(template=template, negative_policy=policy, verb_negatives=negatives)  # pyright: ignore[reportArgumentType]
    annotations = load_source(source)
    quiet_libraries()
    tokenizer, max_tokens = _load_tokenizer(base)
    statistics = caption_statistics(
        annotations,
        template=TEMPLATES[text.template],
        policy=text.negative_policy,
        num_negatives=text.verb_negatives,
        seed=seed,
        count_tokens=lambda one: len(
            tokenizer(one, truncation=False)["input_ids"] if tokenizer else ()
        ),
        max_tokens=max_tokens,
    )
    if as_json:
        uncounted = {} if tokenizer else dict.fromkeys(("num_tokens", "num_carried_fillers"))
        summary = {
            "median_tokens": statistics.median_tokens,
            "most_tokens": statistics.most_tokens,
            "num_cut": len(statistics.cut),
            "coverage": statistics.coverage,
            "masked_negatives": statistics.masked_share,
            "events": [asdict(row) | uncounted for row in statistics.rows],
        }
        if tokenizer is None:
            summary |= dict.fromkeys(("median_tokens", "most_tokens", "num_cut", "coverage"))
        say(json.dumps(summary, indent=2))
        return
    for row in statistics.rows[:show]:
        tokens = f" ({row.num_tokens} tokens)" if tokenizer else ""
        say(f"{row.key}{tokens}\n  + {row.caption}")
        for negative, times in Counter(row.negatives).items():
            text = negative or "(masked: no other verb fills these roles)"
            say(f"  - {text}{f' (×{times})' if times > 1 else ''}")
    for line in (*annotations.notices, *count_names(annotations.records)):
        say(line)
    masked = f"{statistics.masked_share:.1%} of the hard negatives are masked"
    if tokenizer is None:
        say(f"{len(statistics.rows):,} events; {masked}")
        return
    say(
        f"{len(statistics.rows):,} events; tokens: median {statistics.median_tokens:g}, most "
        f"{statistics.most_tokens} of {max_tokens}; {len(statistics.cut):,} captions are cut"
    )
    for row in statistics.cut[:show]:
        say(f"  cut: {row.key} ({row.num_tokens} tokens)")
    say(f"Captions carry {statistics.coverage:.1%} of the annotated fillers; {masked}")


def _load_tokenizer(base: str) -> tuple[Any, int]:
    """The tokenizer and the most tokens read; None where the default one cannot be had."""
    from figclip.model.backbone import load_tokenizer
    from figclip.model.folder import resolve_model

    try:
        return load_tokenizer(resolve_model(base))
    except ModelError:
        if base != DEFAULT_BASE:
            raise
    warn("Tokens are not counted: the hub is out of reach. Give --base FOLDER")
    return None, 0


@wraps(preview)
def caption(*args: Any, **kwargs: Any) -> None:
    """The name that this verb had before 0.1 was released. It goes in 0.2."""
    warn("figclip: `caption` is called `preview` now; the old name goes in 0.2")
    preview(*args, **kwargs)
