"""The page as gradio's blocks: three tabs, wired to what they do. Nothing of it loads from afar."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from figclip.demo.annotating import EventForm
from figclip.demo.comparing import MAX_SENTENCE_CHARS, MAX_SENTENCES
from figclip.demo.rendering import notice, render, script
from figclip.demo.tabs import AnnotationTab, AnnotationView, ComparisonTab, Draft, SearchTab
from figclip.errors import ConfigError

_NO_ANNOTATIONS = (
    "There are no annotations here yet. Start the page with a file of them and the folder of its "
    "videos:"
)
_MAX_WAITING = 32
_PRIVATE = {"api_visibility": "private", "show_progress": "minimal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tabs:
    """What the page has; `model` and `strength` are told at its top."""

    model: str
    strength: float
    comparison: ComparisonTab
    search: SearchTab
    annotations: AnnotationTab | None


def load_gradio() -> Any:
    """gradio, which does not call home.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        fix = 'Install it: pip install "figclip[demo]"'
        raise ConfigError("needs gradio", where="figclip demo", fix=fix) from error
    return gradio


def build_page(tabs: Tabs) -> Any:
    """The blocks of a page.

    Raises:
        ConfigError: as `load_gradio`.
    """
    gr = load_gradio()
    with gr.Blocks(title=f"figclip: {tabs.model}", analytics_enabled=False) as page:
        at = "" if tabs.strength == 1 else f" at strength {tabs.strength:g}"
        _html(gr, render("head", model=tabs.model, at=at))
        with gr.Tabs():
            with gr.Tab("Who does what"):
                _add_comparison(gr, tabs)
            with gr.Tab("Search"):
                _add_search(gr, tabs.search)
            with gr.Tab("Annotations"):
                if tabs.annotations is None:
                    start = "figclip demo MODEL --annotations FILE.jsonl --videos DIR"
                    _html(gr, notice(_NO_ANNOTATIONS, start))
                else:
                    _add_annotations(gr, tabs.annotations)
    page.queue(max_size=_MAX_WAITING, default_concurrency_limit=1)
    return page


def theme(gr: Any) -> Any:
    """Letters of the reader's machine only: gradio's own themes load theirs from Google."""
    return gr.themes.Base(font=["sans-serif"], font_mono=["monospace"])


def _add_comparison(gr: Any, tabs: Tabs) -> None:
    """The tab *Who does what*."""
    tab = tabs.comparison
    first = tab.begin()
    token = gr.Textbox(first.token, visible=False)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=2, min_width=280):
            stage = _html(gr, first.stage)
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                first.text,
                label="Sentences, one a line",
                placeholder="a man hands a cup to a woman\na woman hands a cup to a man",
                lines=3,
                max_lines=8,
                max_length=MAX_SENTENCES * MAX_SENTENCE_CHARS,
                elem_id="sentences",
            )
            compare = gr.Button("Compare", variant="primary", elem_id="compare")
            result = _html(gr, first.result)
    for event in (compare.click, text.submit):
        event(tab.compare, [token, text], result, **_PRIVATE)
    _on_click(gr, stage, partial(_chosen, tab), [text], [token, stage, text, result])
    _on_click(gr, result, tab.add, [token, text], [text, result])


def _add_search(gr: Any, tab: SearchTab) -> None:
    """The tab *Search*."""
    with gr.Column(visible=tab.can_search, elem_classes="query"):
        text = gr.Textbox(
            label="What happens", placeholder="a man hands a cup to a woman", elem_id="query"
        )
        against = gr.Textbox(
            label="What it must not be",
            placeholder="a woman hands a cup to a man",
            lines=1,
            max_lines=4,
            elem_id="against",
        )
        with gr.Row(elem_classes="buttons"):
            search = gr.Button("Search", variant="primary", elem_id="search")
            suggest = gr.Button("Swap it for me", elem_id="suggest")
    result = _html(gr, tab.begin())
    for event in (search.click, text.submit, against.submit):
        event(tab.search, [text, against], result, **_PRIVATE)
    suggest.click(tab.suggest, [text, against], [against, result], **_PRIVATE)
    _on_click(gr, result, tab.choose, [], [text, result])


def _add_annotations(gr: Any, tab: AnnotationTab) -> None:
    """The tab *Annotations*."""
    first = tab.open(0)
    form = first.form
    assert form is not None, "what was read without problems has a form"
    choices = [(name, number) for number, name in enumerate(tab.names)]
    position = gr.Dropdown(choices, value=0, label="Video", elem_id="video")
    chosen = gr.Number(first.chosen, visible=False, precision=0)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=300):
            events = _html(gr, first.events or "")
            with gr.Row(elem_classes="buttons"):
                add = gr.Button("Add event", elem_id="add")
                remove = gr.Button("Remove event", elem_id="remove")
            texts = _html(gr, first.texts or "")
        with gr.Column(scale=2, min_width=280):
            with gr.Row(elem_classes="times"):
                start_s = gr.Number(form.start_s, label="Starts at (s)", min_width=100, step=0.1)
                end_s = gr.Number(form.end_s, label="Ends at (s)", min_width=100, step=0.1)
            verb = gr.Textbox(form.verb, label="Verb", elem_id="verb")
            roles = gr.Textbox(form.roles, label="Roles, one a line", lines=4, elem_id="roles")
            scene = gr.Textbox(form.scene, label="Scene", elem_id="scene")
            with gr.Row(elem_classes="buttons"):
                save = gr.Button(
                    "Save", variant="primary", interactive=tab.can_save, elem_id="save"
                )
                check = gr.Button("Check", elem_id="check")
            said = _html(gr, "" if tab.can_save else _read_only())
            with gr.Accordion("The line of the file", open=False):
                line = gr.Textbox(first.line, show_label=False, lines=6, elem_id="line")
                read = gr.Button("Take over", elem_id="read")
    fields = [start_s, end_s, verb, roles, scene]
    draft = [line, chosen, *fields]
    shown = [line, chosen, events, texts, *fields, said]
    wired = [
        (check.click, tab.check),
        (add.click, tab.add),
        (remove.click, tab.remove),
        (read.click, tab.read),
    ]
    for event, act in wired:
        event(partial(_with_draft, gr, act), draft, shown, **_PRIVATE)
    save.click(partial(_with_draft, gr, tab.save), [position, *draft], shown, **_PRIVATE)
    position.input(lambda number: _viewed(gr, tab.open(number)), [position], shown, **_PRIVATE)
    _on_click(gr, events, partial(_with_draft, gr, tab.choose), draft, shown)


def _chosen(tab: ComparisonTab, data: Mapping[str, Any], text: str) -> list[str]:
    """What the first tab shows after a click on its stage."""
    view = tab.choose(data, text)
    return [view.token, view.stage, view.text, view.result]


def _with_draft(gr: Any, act: Callable[..., AnnotationView], *values: Any) -> list[Any]:
    """What to show after an action; the last seven values are those of a draft."""
    *before, line, chosen, start_s, end_s, verb, roles, scene = values
    form = EventForm(start_s=start_s, end_s=end_s, verb=verb, roles=roles, scene=scene)
    return _viewed(gr, act(*before, Draft(line=line, chosen=chosen, form=form)))


def _viewed(gr: Any, view: AnnotationView) -> list[Any]:
    """A view as what gradio puts into the parts of the page."""
    form = view.form
    if form is None:
        return [*[gr.skip()] * 9, view.said]
    fields = [form.start_s, form.end_s, form.verb, form.roles, form.scene]
    return [view.line, view.chosen, view.events, view.texts, *fields, view.said]


def _read_only() -> str:
    """Why nothing can be saved."""
    return notice(
        "These are examples to look at and try things with. To save, start the page with "
        "--annotations FILE.jsonl --videos DIR."
    )


def _html(gr: Any, value: str) -> Any:
    """A part of the page that is HTML, with the page's script."""
    return gr.HTML(value, js_on_load=script(), apply_default_css=False)


def _on_click(
    gr: Any, part: Any, act: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> None:
    """Have an action follow a click in a part that is HTML; its first argument is what it says."""

    def handle(event: Any, *values: Any) -> Any:
        return act(event._data or {}, *values)

    handle.__annotations__ = {"event": gr.EventData}  # gradio looks for it
    part.click(handle, list(inputs), list(outputs), **_PRIVATE)
