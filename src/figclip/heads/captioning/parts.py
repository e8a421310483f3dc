"""Which videos, and which of their sentences, go through a head at once."""

from collections.abc import Iterator, Sequence

FRAMES_AT_ONCE = 2**13
"""Most frames, padding included, but for one video that has more of them."""


def parts_of_videos(num_frames: Sequence[int], *, most_videos: int) -> Iterator[range]:
    """Neighbours that go at once, as positions: as many as memory allows, at least one."""
    first, longest = 0, 0
    for position, count in enumerate(num_frames):
        longest = max(longest, count)
        num = position - first
        if num and (num == most_videos or (num + 1) * longest > FRAMES_AT_ONCE):
            yield range(first, position)
            first, longest = position, count
    if num_frames:
        yield range(first, len(num_frames))


def sentences_at_once(num_frames: int) -> int:
    """Sentences that may be written or taught at once; each has the frames of its video."""
    return max(1, FRAMES_AT_ONCE // num_frames)
