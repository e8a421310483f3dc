"""figclip recipes: what there is, and what each does."""

import json
from typing import Annotated

import typer

from figclip.cli.options import Json
from figclip.cli.terminal import say


def recipes(
    name: Annotated[str | None, typer.Argument(help="Explain this recipe.")] = None,
    as_json: Json = False,
) -> None:
    """List the recipes, or explain one with all its settings.

    Example: figclip recipes default
    """
    from figclip.config.parsing import to_json
    from figclip.config.recipes import RECIPES, build_recipe, explain_recipe

    if name is None and as_json:
        say(json.dumps(list(RECIPES)))
        return
    if name is None:
        width = max(map(len, RECIPES))
        for each in RECIPES:
            say(f"{each:<{width}}  {explain_recipe(each).splitlines()[0]}")
        return
    config = to_json(build_recipe(name))
    say(config.rstrip() if as_json else f"{explain_recipe(name)}\n\n{config.rstrip()}")
