"""figclip score: anyone's prediction file, in the benchmark's own format."""

from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import Json, going_on
from figclip.cli.terminal import say, warn


def score(
    predictions: Annotated[Path, typer.Argument(help="JSON, or a pickle of plain values.")],
    data: Annotated[
        str, typer.Option(metavar="NAME:PATH[,PATH][,split=S]", help="The true answers, see above.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result.")],
    official_meteor: Annotated[
        bool,
        typer.Option(
            "--official-meteor", help="METEOR and SODA_c; needs Java and a minute or two."
        ),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Leave out videos without prediction; else refused, or 0 in dense captions.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Score a file of predictions as the benchmark's own evaluator does.

    Example: figclip score predictions.json --data vidsitu:vidsitu_annotations --out scores

    NAME says what PATH holds:

    vidsitu (folder of the official files), events (own annotations), or a frame store of either:
    verbs, roles or relations in VidSitu's format; the file tells which.

    activitynet, youcook2 (folder, or files of annotations): dense captions in the format of
    ActivityNet Captions.
    """
    from figclip.scoring.score import score_predictions
    from figclip.scoring.scores import format_scores

    with going_on():
        result = score_predictions(
            predictions, data=data, out=out, official_meteor=official_meteor, is_partial=partial
        )
    if as_json:
        say(result.file.read_text().rstrip())
        for notice in result.scores.notices:
            warn(f"Note: {notice}")
        return
    say(format_scores(result.scores))
    say(f"Results: {result.file}")
