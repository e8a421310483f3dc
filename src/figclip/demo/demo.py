"""demo: a page in the browser, on what a model, an index and annotations hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from figclip.demo.annotating import Annotations
from figclip.demo.comparing import Comparer
from figclip.demo.examples import examples_of, find_world, searched_videos
from figclip.demo.media import Shelf
from figclip.demo.page import Tabs, build_page, load_gradio
from figclip.demo.tabs import AnnotationTab, ComparisonTab, SearchTab
from figclip.errors import ConfigError, printable
from figclip.model.embedder import model_identity
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.search.index import Index
from figclip.search.index_file import IndexFile
from figclip.search.indexing import index as make_index

_NUM_QUERIES = 4


def demo(
    model: str,
    *,
    base: str | None = None,
    index: str | Path | None = None,
    annotations: Path | None = None,
    videos: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    on_stage: Callable[[str], None] | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until SIGINT, which raises KeyboardInterrupt.

    Beside a run of the quickstart lies its world: what is not given is taken from there.

    Args:
        model: Hub id, model folder or run folder.
        base: What it is compared with; None: itself at strength 0.
        index: What `figclip index` wrote, to search in.
        annotations: A `.jsonl` file to change, or VidSitu's folder.
        videos: The folder of their videos; None: that of the file.
        host: Name or address to listen at.
        port: Port to listen at; 0 for any that is free.
        device: Where the models run.
        embedding: Their precision, and how many frames or texts they embed at once.
        on_stage: Told what is under way.
        on_start: Told the address.

    Raises:
        FigclipError: something that was given cannot be used; or gradio is missing.
    """
    if videos is not None and annotations is None:
        raise ConfigError("belongs to --annotations", where="--videos", fix="Give their file too")
    load_gradio()
    say = on_stage or (lambda _: None)
    say("Loading the models")
    comparer = load_models(model, base=base, device=device, embedding=embedding)
    with TemporaryDirectory(prefix="figclip-demo-") as folder:
        tabs, shelf = open_tabs(
            model,
            comparer,
            folder=Path(folder),
            index=index,
            annotations=annotations,
            videos=videos,
            device=device,
            embedding=embedding,
            on_stage=say,
        )
        # gradio is there, so these find what they need.
        from figclip.demo.server import build_application
        from figclip.runtime.serving import serve_application

        application = build_application(build_page(tabs), shelf, host=host)
        serve_application(application, host=host, port=port, on_start=on_start)


def load_models(
    model: str,
    *,
    base: str | None,
    device: str,
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
) -> Comparer:
    """The adapted model and its base.

    Raises:
        ModelError: as `FiGCLIP.from_pretrained`.
        ConfigError: there is no adaptation, nor a base.
    """
    load = partial(FiGCLIP.from_pretrained, device=device, embedding=embedding)
    adapted = load(model)
    if base is not None:
        return Comparer(load(base), adapted)
    if adapted.info is None:
        raise ConfigError(
            "is a plain CLIP, which has no base to stand beside",
            where=model,
            fix="Give an adapted model, or another CLIP: --base",
        )
    return Comparer(load(model, alpha=0.0), adapted)


def open_tabs(
    model: str,
    comparer: Comparer,
    *,
    folder: Path,
    index: str | Path | None,
    annotations: Path | None,
    videos: Path | None,
    device: str,
    embedding: EmbeddingSettings,
    on_stage: Callable[[str], None],
) -> tuple[Tabs, Shelf]:
    """All that the page shows; `folder` is for copies, and for the index of the examples."""
    shelf, world = Shelf(folder), find_world(model)
    examples = () if world is None else examples_of(world)
    if index is None and world is not None:
        on_stage("Indexing the examples")
        index = folder / "examples.index"
        make_index(model, searched_videos(world), out=index, device=device, embedding=embedding)
    if annotations is None and world is not None:
        annotations, videos = world.vidsitu / "annotations", world.vidsitu / "videos"
    shown = None
    if annotations is not None:
        shown = AnnotationTab(
            Annotations.load(annotations, videos=videos or annotations.parent), shelf
        )
    queries = [one.sentences[0] for one in examples[:_NUM_QUERIES]]
    opened = _opened(index, comparer, device=device, embedding=embedding)
    comparison = ComparisonTab(comparer, shelf, examples)
    tabs = Tabs(
        model=printable(model),
        strength=comparer.adapted.alpha,
        comparison=comparison,
        search=SearchTab(opened, shelf, model=model, queries=queries),
        annotations=shown,
    )
    return tabs, shelf


def _opened(
    path: str | Path | None, comparer: Comparer, *, device: str, embedding: EmbeddingSettings
) -> Index | None:
    """The index, with one of the models that are there already if it is of one."""
    if path is None:
        return None
    with IndexFile(path) as file:
        wanted = file.spec.model_hash
    models = (comparer.adapted, comparer.base)
    model = next((one for one in models if model_identity(one.backbone) == wanted), None)
    return Index.open(path, model=model, device=device, embedding=embedding)
