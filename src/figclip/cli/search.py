"""figclip search: moments of own videos, found by a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from figclip.cli.options import BatchSize, Cpu, Json, OfEmbeddings, going_on, quiet_libraries
from figclip.cli.terminal import say, say_table, warn
from figclip.errors import ConfigError, ModelError
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from figclip.search.index import Hit, Index


Against = Annotated[
    list[str] | None, typer.Option("--not", help="What it must not be; repeatable.")
]
Swap = Annotated[
    bool, typer.Option("--swap", help="Write the counterparts of a plain sentence by rule.")
]
PathGlob = Annotated[
    str | None, typer.Option(metavar="GLOB", help="Only such paths: '*.mp4', 'party/*'.")
]
Compare = Annotated[
    list[Path] | None,
    typer.Option(metavar="INDEX", help="Show another model's hits beside; repeatable."),
]
Clips = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Cut the hits out of their videos, into here.")
]
Sheet = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw a contact sheet: .png or .jpg.")
]
Playlist = Annotated[
    Path | None, typer.Option(metavar="FILE", help="List the hits for VLC (.m3u) or mpv (.edl).")
]
Approximate = Annotated[
    Literal["hnsw", "ivfpq"] | None,
    typer.Option(help="Do not compare all windows: by a graph, or by codes, made once."),
]
Serve = Annotated[
    bool, typer.Option("--serve", help="Answer searches over HTTP until Ctrl-C; see /docs there.")
]
Host = Annotated[str, typer.Option(help="Where to listen; by default for this machine only.")]


def search(
    index: Annotated[Path, typer.Argument(help="What `figclip index` wrote.")],
    text: Annotated[str | None, typer.Argument(help="What happens, in a sentence.")] = None,
    k: Annotated[int, typer.Option("-k", help="Most hits.")] = 10,
    against: Against = None,
    swap: Swap = False,
    image: Annotated[Path | None, typer.Option(help="Search for a picture instead.")] = None,
    video: Annotated[Path | None, typer.Option(help="Search for a video instead.")] = None,
    path: PathGlob = None,
    compare: Compare = None,
    clips: Clips = None,
    sheet: Sheet = None,
    playlist: Playlist = None,
    approximate: Approximate = None,
    serve: Serve = False,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    model: Annotated[
        str | None, typer.Option(help="Where the index's model is now, if it has moved.")
    ] = None,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Find moments of own videos by what happens in them.

    Example: figclip search holiday.index "a man hands a cup to a woman"

    --not "a woman hands a cup to a man" puts those first that are more like the sentence than like
    its counterpart. --swap writes such sentences by rule, where it can, and says which.
    """
    asked = (text, image, video, against, path, compare, clips, sheet, playlist)
    if serve and (swap or as_json or any(one is not None for one in asked)):
        raise ConfigError(
            "searches for nothing by itself", where="--serve", fix="Send the sentence to it"
        )
    against = [*(against or []), *(_written(text) if swap else [])]
    quiet_libraries()
    embedding = EmbeddingSettings(precision=precision, batch_size=batch_size)
    load = partial(_open, model=model, approximate=approximate, embedding=embedding, cpu=cpu)
    indexes = load(index, compare or [])
    if serve:
        _serve(indexes[0], host=host, port=port)
        return
    query = {"text": text, "image": image, "video": video, "against": against}
    found = [one.search(**query, k=k, path_glob=path) for one in indexes]
    if text is not None and indexes[0].model.backbone.count_cut([text, *against]):
        warn("Note: the model reads the beginning of such a long sentence only")
    if text is not None and (pooling := indexes[0].pooling_for(text)) != "mean":
        warn(f"Note: so long a sentence is compared with moments in context (pooling {pooling})")
    if not as_json:
        _show(indexes, found)
    with going_on("the files that were written are whole"):
        cuts = _write_files(found[0], indexes[0], sheet=sheet, playlist=playlist, clips=clips)
    if as_json:
        content = _as_json(query, indexes, found)
        say(json.dumps(content if clips is None else {**content, "clips": cuts}, indent=2))
    elif written := [str(one) for one in (sheet, playlist, clips) if one is not None]:
        say(f"Written: {', '.join(written)}")
    if any("problem" in one for one in cuts):
        raise typer.Exit(3)


def _open(
    path: Path,
    compared: Sequence[Path],
    *,
    model: str | None,
    approximate: Literal["hnsw", "ivfpq"] | None,
    embedding: EmbeddingSettings,
    cpu: bool,
) -> list[Index]:
    """The index and those to compare it with, on the device there is."""
    from figclip.cli.progress import ProgressDisplay
    from figclip.runtime.device import pick_device
    from figclip.search.index import Index

    device = pick_device(cpu=cpu)
    with going_on("nothing was changed"), ProgressDisplay() as display:
        index = Index.open(
            path,
            model=model,
            device=device,
            embedding=embedding,
            approximate=approximate,
            on_progress=partial(display.update, "windows"),
        )
        others = [_open_compared(one, device=device, embedding=embedding) for one in compared]
    if (proposing := index.approximate) is not None:
        warn(f"Note: {proposing.path} finds {proposing.recall:.1%} of the ten nearest windows")
    for one in (index, *others):
        rows, query = one.spec.precision, one.model.backbone.resolved_precision
        if rows not in ("", query):  # of an earlier version, or the same
            warn(f"Note: {one.path} is in {rows}, and what is searched for is embedded in {query}")
    return [index, *others]


def _serve(index: Index, *, host: str, port: int) -> None:
    """Answer searches until Ctrl-C, which is how this ends well."""
    try:
        from figclip.search.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "pydantic", "uvicorn"):
            raise
        fix = 'Install it: pip install "figclip[serve]"'
        raise ConfigError(f"needs {error.name}", where="--serve", fix=fix) from error
    with going_on():
        try:
            serve(index, host=host, port=port, on_start=lambda url: say(f"{url} (Ctrl-C ends it)"))
        except KeyboardInterrupt:
            say("Stopped.")


def _written(text: str | None) -> list[str]:
    """Counterparts by rule, which are said."""
    from figclip.search.counterparts import write_counterparts

    if text is None:
        raise ConfigError(
            "counterparts belong to a sentence", where="--swap", fix="Search for a sentence"
        )
    found = write_counterparts(text)
    for one in found:
        warn(f'--not "{one.text}" ({one.changed})')
    return [one.text for one in found]


def _write_files(
    hits: Sequence[Hit],
    index: Index,
    *,
    sheet: Path | None,
    playlist: Path | None,
    clips: Path | None,
) -> list[dict[str, Any]]:
    """The files that are asked for; the clips for JSON."""
    from figclip.search.contact_sheet import write_contact_sheet
    from figclip.search.playlists import write_playlist

    if sheet is not None:
        write_contact_sheet(sheet, hits, index=index)
    if playlist is not None:
        write_playlist(playlist, hits)
    return [] if clips is None else _cut(hits, index, clips)


def _cut(hits: Sequence[Hit], index: Index, folder: Path) -> list[dict[str, Any]]:
    """Clips of hits for JSON; those whose video cannot be read are warned of."""
    from figclip.errors import VideoError
    from figclip.runtime.files import make_folder
    from figclip.search.clips import clip_name, cut_clip

    make_folder(folder)
    made: list[dict[str, Any]] = []
    for rank, hit in enumerate(hits, start=1):
        to = folder / clip_name(rank, hit.path)
        try:
            source = index.find_file(hit)
            clip = cut_clip(source, start_s=hit.start_s, end_s=hit.end_s, to=to)
        except VideoError as error:
            warn(f"figclip: hit {rank} cannot be cut: {error}")
            made.append({"hit": rank, "problem": str(error)})
        else:
            made.append({"hit": rank, **asdict(clip), "path": str(clip.path)})
    return made


def _open_compared(path: Path, *, device: str, embedding: EmbeddingSettings) -> Index:
    """An index to compare with; a model in its place is told how to become one."""
    from figclip.runtime.sqlite_file import is_sqlite
    from figclip.search.index import Index

    if not is_sqlite(path):
        raise ConfigError(
            "is no index, and an index holds the embeddings of one model only",
            where=f"--compare {path}",
            fix=f"If it is a model: `figclip index {path} VIDEOS… --out other.index`, then "
            "--compare other.index",
        )
    try:
        return Index.open(path, device=device, embedding=embedding)
    except ModelError as error:
        fix = "Put the model back, or compare the other way round: --model is that of INDEX"
        raise ModelError(error.what, where=error.where, fix=fix) from error


def _as_json(
    query: Mapping[str, Any], indexes: Sequence[Index], found: Sequence[Sequence[Hit]]
) -> dict[str, Any]:
    """What was searched for, and the hits of each index."""
    return {
        "query": {
            key: str(value) if isinstance(value, Path) else value for key, value in query.items()
        },
        "results": [
            {
                "index": str(index.path),
                "model": index.spec.model,
                "precision": index.spec.precision,
                "hits": [hit.as_dict() for hit in hits],
            }
            for index, hits in zip(indexes, found, strict=True)
        ],
    }


def _show(indexes: Sequence[Index], found: Sequence[Sequence[Hit]]) -> None:
    """One table, the hits of several indexes beside each other."""
    if not any(found):
        say("The index holds no videos.")
        return
    has_margins = any(hit.margin is not None for hits in found for hit in hits)
    heads = ["#"]
    for index in indexes:
        name = f"{index.path.name}: " if len(indexes) > 1 else ""
        heads += [f"{name}path", "span", "score", *(["margin"] if has_margins else [])]
    num_rows = max(map(len, found))
    rows = [
        [str(rank + 1), *(cell for hits in found for cell in _cells(hits, rank, has_margins))]
        for rank in range(num_rows)
    ]
    say_table(heads, rows)


def _cells(hits: Sequence[Hit], rank: int, has_margins: bool) -> list[str]:
    """A hit's part of a row; empty below the last."""
    if rank >= len(hits):
        return [""] * (4 if has_margins else 3)
    from figclip.search.index import shown_time

    hit = hits[rank]
    margin = [] if hit.margin is None else [f"{hit.margin:+.3f}"]
    span = f"{shown_time(hit.start_s)} - {shown_time(hit.end_s)}"
    return [_shown_path(hit.path), span, f"{hit.score:.3f}", *margin]


def _shown_path(path: Path) -> str:
    """The path from here on, where it is below this folder."""
    from figclip.search.addresses import place_of

    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else place_of(path)
