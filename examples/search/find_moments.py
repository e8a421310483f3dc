"""Find moments in videos, cell by cell (`# %%`: VS Code, Spyder and PyCharm run these one by one).

    python examples/search/find_moments.py MODEL VIDEOS

MODEL is any CLIP, and VIDEOS a folder of your own; or those that `figclip quickstart` makes,
`quickstart/run-base0-seed0` and `quickstart/world/vidsitu/videos`.
"""

# %% What to search, and with what
import subprocess
import sys
from pathlib import Path

from figclip import Index, write_counterparts

MODEL, VIDEOS = sys.argv[1:3] if len(sys.argv) > 2 else ("openai/clip-vit-base-patch32", "videos")
INDEX = Path("moments.index")

# %% Index: windows of two seconds, decoded by other processes. A second run reads nothing again.
# In a notebook figclip.index(MODEL, [VIDEOS], out=INDEX) does the same; in a script it needs
# `if __name__ == "__main__":`, as these processes import the script.
subprocess.run(
    [sys.executable, "-m", "figclip", "index", MODEL, VIDEOS, "--out", INDEX], check=True
)

# %% Search by a sentence
index = Index.open(INDEX)
sentence = "a red cat chases a blue dog"
hits = index.search(text=sentence, k=5)
for hit in hits:
    print(f"{hit.score:.3f}  {hit.start_s:5.1f} - {hit.end_s:5.1f} s  {hit.path}")

# %% What it must not be: written by rule where the sentence is plain, else by yourself
counterparts = [one.text for one in write_counterparts(sentence)]
print("not:", *counterparts, sep="\n  ")
against = index.search(text=sentence, against=counterparts, k=5)
for hit in against:
    print(f"{hit.score:.3f} {hit.margin:+.3f}  {hit.start_s:5.1f} s  {hit.path}")

# %% A moment as the query: what else looks like the best hit?
like = index.search(video=hits[0].path, k=3)
print("like it:", *(hit.path.name for hit in like), sep="\n  ")

# %% The picture of a hit, as a JPEG
Path("best.jpg").write_bytes(index.thumbnail(hits[0].video, hits[0].best_window))
