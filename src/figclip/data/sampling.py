"""Which moments of an event are looked at."""

from __future__ import annotations

from figclip.data.video import sample_midpoints
from figclip.records import Annotation, Event


def frame_times_s(annotation: Annotation, *, frames_per_event: int) -> list[float]:
    """Times of all frames of an annotation's events: midpoints of T equal segments of each."""
    return [
        time_s for event in annotation.events for time_s in event_times_s(event, frames_per_event)
    ]


def event_times_s(event: Event, frames_per_event: int) -> list[float]:
    """Midpoints in seconds of T equal segments of an event."""
    return list(sample_midpoints(event.start_s, event.end_s, num=frames_per_event))
