"""Lists of hits that players open at the spot: M3U for VLC, EDL for mpv."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from figclip.errors import ConfigError
from figclip.runtime.files import write_atomically
from figclip.search.addresses import address_of, place_of
from figclip.search.index import Hit, shown_time


def write_playlist(path: Path, hits: Sequence[Hit]) -> None:
    """Write hits, best first, for a player.

    `.m3u` and `.m3u8` are for VLC, which plays each from its start to its end (other players begin
    at the start of the file); `.edl` is for mpv, which plays all as one film.

    Raises:
        ConfigError: another suffix.
        OutputError: the file cannot be written.

    Source:
        mpv's DOCS/edl-mpv.rst; VLC's `#EXTVLCOPT:` lines, which its own playlists have.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(
            f"no list of hits is called {path.suffix or path.name!r}",
            where=f"--playlist {path}",
            fix="Give a file called .m3u, for VLC, or .edl, for mpv",
        )
    # Names of files may be no UTF-8.
    write_atomically(path, os.fsencode("".join(f"{line}\n" for line in form(hits))))


def _m3u_lines(hits: Sequence[Hit]) -> list[str]:
    """Places are written as addresses: a line end in a name would end the entry."""
    lines = ["#EXTM3U"]
    for rank, hit in enumerate(hits, start=1):
        title = f"{rank}. {' '.join(hit.path.name.split())}, {shown_time(hit.start_s)}"
        lines += [
            f"#EXTINF:{round(hit.end_s - hit.start_s)},{title}",
            f"#EXTVLCOPT:start-time={hit.start_s:.3f}",
            f"#EXTVLCOPT:stop-time={hit.end_s:.3f}",
            address_of(hit.path) or hit.path.absolute().as_uri(),
        ]
    return lines


def _edl_lines(hits: Sequence[Hit]) -> list[str]:
    """Names are given with their number of bytes, so that they may hold any sign."""
    lines = ["# mpv EDL v0"]
    for hit in hits:
        name = place_of(hit.path)  # absolute, if it is on this machine
        length_s = hit.end_s - hit.start_s
        lines.append(f"%{len(os.fsencode(name))}%{name},{hit.start_s:.3f},{length_s:.3f}")
    return lines


_FORMS: Mapping[str, Callable[[Sequence[Hit]], list[str]]] = {
    ".m3u": _m3u_lines,
    ".m3u8": _m3u_lines,
    ".edl": _edl_lines,
}
