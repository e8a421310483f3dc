"""What the three tabs of a page do with what is typed and clicked; all of it may be hostile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figclip.demo.annotating import (
    Annotations,
    EventForm,
    form_of,
    with_form,
    with_new_event,
    without_event,
)
from figclip.demo.comparing import Comparer, sentences_of
from figclip.demo.examples import Example
from figclip.demo.media import MAX_UPLOAD_BYTES, MAX_UPLOAD_S, Medium, Shelf
from figclip.demo.rendering import notice, problem, render, told
from figclip.errors import ConfigError, FigclipError, VideoError
from figclip.records import Event
from figclip.search.counterparts import write_counterparts
from figclip.search.index import Hit, Index, shown_time

NUM_HITS = 12
_NO_MEDIUM = "Choose a picture or clip, and write what may happen in it, one sentence a line."
_NO_PROBLEMS = "No problems found."
_NO_EVENT = EventForm(start_s=None, end_s=None, verb="", roles="", scene="")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """What the first tab shows: the token of the picture or clip, itself, sentences, scores."""

    token: str
    stage: str
    text: str
    result: str


class ComparisonTab:
    """Who does what: a picture or clip, and sentences about it."""

    def __init__(self, comparer: Comparer, shelf: Shelf, examples: Sequence[Example] = ()) -> None:
        self._comparer, self._shelf = comparer, shelf
        self._examples = {shelf.put(one.medium): one for one in examples}

    def begin(self) -> ComparisonView:
        """What is there at first: an example, or an empty stage."""
        if self._examples:
            return self.choose({"example": 0}, "")
        return ComparisonView(token="", stage=self.stage(""), text="", result=self.compare("", ""))

    def choose(self, data: Mapping[str, Any], text: str) -> ComparisonView:
        """An example with its sentences, or what was sent with those that are there.

        Raises:
            ConfigError: there is no such one.
        """
        if "medium" in data:
            token = str(data["medium"])
        else:
            number = _number(data, "example", below=len(self._examples))
            token = list(self._examples)[number]
            text = "\n".join(self._examples[token].sentences)
        return ComparisonView(
            token=token, stage=self.stage(token), text=text, result=self.compare(token, text)
        )

    def stage(self, token: str) -> str:
        """The picture or clip, and what to choose from."""
        examples = [
            {"token": one, "sentence": example.sentences[0]}
            for one, example in self._examples.items()
        ]
        return render(
            "stage",
            token=token,
            is_video=bool(token) and self._shelf.get(token).span_s is not None,
            examples=examples,
            max_mb=MAX_UPLOAD_BYTES // 1024**2,
            max_s=round(MAX_UPLOAD_S),
        )

    def compare(self, token: str, text: str) -> str:
        """What both models make of the sentences."""
        if not token:
            return notice(_NO_MEDIUM)
        try:
            found = self._comparer.compare(self._shelf.get(token), sentences_of(text))
        except FigclipError as error:
            return problem(error)
        example = self._examples.get(token)
        return render("comparison", found=found, truth=example.sentences[0] if example else None)

    def add(self, data: Mapping[str, Any], token: str, text: str) -> tuple[str, str]:
        """Sentences and comparison after a counterpart is added to them."""
        text = "\n".join([text.rstrip(), str(data.get("add", ""))])
        return text, self.compare(token, text)


class SearchTab:
    """Search: moments of an index, found by a sentence."""

    def __init__(
        self, index: Index | None, shelf: Shelf, *, model: str, queries: Sequence[str] = ()
    ) -> None:
        self._index, self._shelf = index, shelf
        self._model, self._queries = model, queries

    @property
    def can_search(self) -> bool:
        """Whether there is an index."""
        return self._index is not None

    def begin(self) -> str:
        """What is there before a search."""
        if self._index is not None:
            num_videos = len(self._index.windows.hashes)
            return render("search", num_videos=num_videos, queries=self._queries)
        return notice(
            "There is nothing to search in yet. Make an index of your videos, then start the page "
            "with it:",
            f"figclip index {self._model} VIDEOS --out my.index",
            f"figclip demo {self._model} --index my.index",
        )

    def search(self, text: str, against: str) -> str:
        """The best moments."""
        if self._index is None or not text.strip():
            return self.begin()
        try:
            (query, *more), wrong = sentences_of(text), against.strip()
            if more:
                raise ConfigError("That is more than one sentence", fix="Search for one at a time")
            counterparts = sentences_of(wrong) if wrong else []
            hits = self._index.search(text=query, against=counterparts, k=NUM_HITS)
            shown = [self._shown(self._index, hit) for hit in hits]
        except FigclipError as error:
            return problem(error)
        return render("hits", hits=shown, query=query, against=counterparts)

    def choose(self, data: Mapping[str, Any]) -> tuple[str, str]:
        """One of the queries that are there to try, and what it finds.

        Raises:
            ConfigError: there is no such one.
        """
        query = self._queries[_number(data, "query", below=len(self._queries))]
        return query, self.search(query, "")

    def suggest(self, text: str, against: str) -> tuple[str, str]:
        """What it must not be, by rule, and the search with it."""
        try:
            (sentence, *_) = sentences_of(text)
            against = "\n".join(one.text for one in write_counterparts(sentence))
        except ConfigError as error:
            return against, problem(ConfigError(error.what, fix="Write one yourself"))
        return against, self.search(text, against)

    def _shown(self, index: Index, hit: Hit) -> dict[str, Any]:
        """A hit for the page; a video that has gone has its thumbnail still."""
        still = index.thumbnail(hit.video, hit.best_window)
        said = ""
        path = hit.path
        try:
            path = index.find_file(hit)
        except VideoError as error:
            said = told(error)
        span_s = (hit.start_s, hit.end_s)
        return {
            "token": self._shelf.put(Medium(path=path, span_s=span_s, still=still)),
            "name": hit.path.name,
            "start": shown_time(hit.start_s),
            "end": shown_time(hit.end_s),
            "score": hit.score,
            "margin": hit.margin,
            "plays": not said,
            "problem": said,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What stands in the browser: a line, the number of an event of it, and the event's form."""

    line: str
    chosen: int
    form: EventForm


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationView:
    """What the tab shows next; None where it stays as it is."""

    line: str | None = None
    chosen: int | None = None
    events: str | None = None
    texts: str | None = None
    form: EventForm | None = None
    said: str = ""


class AnnotationTab:
    """Annotations: a line of a file, as a form and a line of time."""

    def __init__(self, annotations: Annotations, shelf: Shelf) -> None:
        self._annotations, self._shelf = annotations, shelf

    @property
    def names(self) -> list[str]:
        """What there is to open."""
        return self._annotations.names

    @property
    def can_save(self) -> bool:
        """Whether there is a file to save to."""
        return self._annotations.file is not None

    def open(self, position: int) -> AnnotationView:
        """One annotation, its first event chosen."""
        number = _number({"position": position}, "position", below=len(self.names))
        return self._view(self._annotations.lines[number], 0)

    def choose(self, data: Mapping[str, Any], draft: Draft) -> AnnotationView:
        """Another event, after what was typed into the form is taken over."""
        try:
            line = self._taken_over(draft)
            num_events = len(self._annotations.events(line))
            return self._view(line, _number(data, "event", below=num_events))
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def check(self, draft: Draft) -> AnnotationView:
        """The same event, after what was typed is taken over and checked."""
        try:
            line = self._taken_over(draft)
            return self._view(line, draft.chosen, said=notice(_NO_PROBLEMS, kind="done"))
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def read(self, draft: Draft) -> AnnotationView:
        """The line as it was typed, checked."""
        try:
            self._annotations.check(draft.line)
            return self._view(draft.line, draft.chosen, said=notice(_NO_PROBLEMS, kind="done"))
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def add(self, draft: Draft) -> AnnotationView:
        """One event more, chosen."""
        try:
            line = self._taken_over(draft)
            longer = with_new_event(line, duration_s=self._duration_s(line))
            return self._view(longer, len(self._annotations.events(longer)) - 1)
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def remove(self, draft: Draft) -> AnnotationView:
        """One event less."""
        try:
            num_events = len(self._annotations.events(draft.line))
            number = _number({"chosen": draft.chosen}, "chosen", below=num_events)
            return self._view(without_event(draft.line, number), max(0, number - 1))
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def save(self, position: int, draft: Draft) -> AnnotationView:
        """The line in the file."""
        try:
            line = self._taken_over(draft)
            self._annotations.save(position, line)
            return self._view(line, draft.chosen, said=notice("Saved.", kind="done"))
        except FigclipError as error:
            return AnnotationView(said=problem(error))

    def _taken_over(self, draft: Draft) -> str:
        """The line with what the form says, checked."""
        line = draft.line
        self._annotations.check(line)
        if draft.chosen in range(len(self._annotations.events(line))):
            line = with_form(line, draft.chosen, draft.form)
            self._annotations.check(line)
        return line

    def _duration_s(self, line: str) -> float:
        """How long the video is, or up to the end of the last event, if that is later."""
        video = self._annotations.video(line)
        ends_s = [one.event.end_s for one in self._annotations.events(line)]
        length_s = video.span_s[1] if video is not None and video.span_s is not None else 0.0
        return max([length_s, *ends_s]) or 1.0

    def _view(self, line: str, chosen: int, *, said: str = "") -> AnnotationView:
        """All of an annotation."""
        events = self._annotations.events(line)
        chosen = chosen if chosen in range(len(events)) else 0
        video = self._annotations.video(line)
        lanes = _lanes([one.event for one in events])
        html = render(
            "events",
            token=None if video is None else self._shelf.put(video),
            events=events,
            chosen=chosen,
            duration_s=self._duration_s(line),
            lanes=lanes,
            num_lanes=max(lanes, default=0) + 1,
        )
        return AnnotationView(
            line=line,
            chosen=chosen,
            events=html,
            texts=render("texts", events=events, chosen=chosen),
            form=form_of(line, chosen) if events else _NO_EVENT,
            said=said,
        )


def _lanes(events: Sequence[Event]) -> list[int]:
    """A row for each event, so that none lies on another."""
    ends_s: list[float] = []
    lanes: list[int] = []
    for event in events:
        lane = next((n for n, end_s in enumerate(ends_s) if end_s <= event.start_s), len(ends_s))
        ends_s[lane : lane + 1] = [event.end_s]
        lanes.append(lane)
    return lanes


def _number(data: Mapping[str, Any], key: str, *, below: int) -> int:
    """A position that the browser names.

    Raises:
        ConfigError: there is no such one.
    """
    found = data.get(key)
    if not isinstance(found, int) or not 0 <= found < below:
        raise ConfigError("There is no such entry", fix="Load the page again")
    return found
