"""figclip preview: what the text tower will read."""

import json
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from figclip.cli.options import Json, quiet_libraries


def preview(
    source: Annotated[Path, typer.Argument(help="A JSONL or CSV file, or VidSitu's folder.")],
    base: Annotated[
        str, typer.Option(help="Hub id or folder of the CLIP whose tokenizer counts.")
    ] = "openai/clip-vit-base-patch32",
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
    from figclip.annotations.texts import caption_statistics
    from figclip.annotations.vidsitu import load_source
    from figclip.config import TextConfig

    # The config's own checks name what is wrong with a template, a policy or a number.
    text = TextConfig(template=template, negative_policy=policy, verb_negatives=negatives)  # pyright: ignore[reportArgumentType]
    annotations = load_source(source)
    quiet_libraries()
    from figclip.model.backbone import load_tokenizer
    from figclip.model.folder import resolve_model

    tokenizer, context_length = load_tokenizer(resolve_model(base))
    statistics = caption_statistics(
        annotations,
        template=TEMPLATES[text.template],
        policy=text.negative_policy,
        num_negatives=text.verb_negatives,
        seed=seed,
        count_tokens=lambda one: len(tokenizer(one, truncation=False)["input_ids"]),
        max_tokens=context_length,
    )
    if as_json:
        summary = {
            "median_tokens": statistics.median_tokens,
            "most_tokens": statistics.most_tokens,
            "num_cut": len(statistics.cut),
            "coverage": statistics.coverage,
            "masked_negatives": statistics.masked_share,
            "events": [asdict(row) for row in statistics.rows],
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    for row in statistics.rows[:show]:
        typer.echo(f"{row.key} ({row.num_tokens} tokens)\n  + {row.caption}")
        for negative, times in Counter(row.negatives).items():
            text = negative or "(masked: no other verb fills these roles)"
            typer.echo(f"  - {text}{f' (×{times})' if times > 1 else ''}")
    for notice in annotations.notices:
        typer.echo(notice)
    typer.echo(
        f"{len(statistics.rows):,} events; tokens: median {statistics.median_tokens:g}, most "
        f"{statistics.most_tokens} of {context_length}; {len(statistics.cut):,} captions are cut"
    )
    for row in statistics.cut[:show]:
        typer.echo(f"  cut: {row.key} ({row.num_tokens} tokens)")
    typer.echo(
        f"Captions carry {statistics.coverage:.1%} of the annotated fillers; "
        f"{statistics.masked_share:.1%} of the hard negatives are masked"
    )


@wraps(preview)
def caption(*args: Any, **kwargs: Any) -> None:
    """The name that this verb had before 0.1 was released. It goes in 0.2."""
    typer.echo("figclip: `caption` is called `preview` now; the old name goes in 0.2", err=True)
    preview(*args, **kwargs)
