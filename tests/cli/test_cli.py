"""The command line as a user meets it: exit codes, messages, no tracebacks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from figclip.runtime.checked_json import load_checked
from tests.adapted_world import World, make_world
from tests.annotation_files import own_video, write_jsonl
from tests.drawn_films import draw_films
from tests.kept_sets import write_kept_world
from tests.processes import Start, run_forked

VERBS = (
    "quickstart", "preview", "prepare", "adapt", "eval", "describe", "score", "report", "recipes",
    "index", "search",
)  # fmt: skip


def figclip(*arguments: str | Path, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    if cache is not None:
        environment["FIGCLIP_CACHE"] = str(cache)
    command = [sys.executable, "-m", "figclip", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=4)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str):
    done = figclip(verb, "--help")
    assert done.returncode == 0
    assert "Example: figclip " + verb in done.stdout
    assert "Exit codes: 0 done, 1 failed, 2 wrong use" in done.stdout


@pytest.mark.slow
def test_from_annotations_to_results(world: World, tmp_path: Path):
    cache = tmp_path / "cache"
    store, run = tmp_path / "frames.store", tmp_path / "run"
    prepared = figclip(
        "prepare", world.annotations, "--videos", world.videos, "--out", store,
        "--size", "32", "--frames", "2",
    )  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    assert "VidSitu train: 3 of 3 segments have a file, 3 stored, 0 quarantined" in prepared.stdout
    adapted = figclip(
        "adapt", "--recipe", "tiny", "--base", world.base, "--data", store, "--out", run,
        "--set", "train.epochs=1", "--cpu", "--json", cache=cache,
    )  # fmt: skip
    assert adapted.returncode == 0, adapted.stderr
    assert json.loads(adapted.stdout) == {"model": str(run / "model"), "kept_step": 1}
    assert "global batch" in adapted.stderr
    compared = figclip(
        "eval", run, "--data", f"vidsitu:{store}", "--frames", "2", "--out", run / "eval",
        "--cpu", cache=cache,
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert "role swap (%)" in compared.stdout
    assert "95 % interval" in compared.stdout
    assert len(list((run / "eval").glob("*.json"))) == 3


@pytest.mark.slow
def test_from_a_model_to_scored_heads(world: World, tmp_path: Path):
    data, run = f"vidsitu:{world.store}", tmp_path / "heads"
    settings = ("--set", "frames.per_event=2", "--set", "train.epochs=1", "--cpu")
    command = ("finetune", "situations", "--model", world.base, "--data", data, "--out", run,
               "--recipe", "mini_situations", *settings)  # fmt: skip
    tuned = figclip(*command, cache=tmp_path / "cache")
    assert tuned.returncode == 0, tuned.stderr
    assert "Head on adapted: step 1" in tuned.stdout
    assert "Nothing is held back: " in tuned.stderr
    again = figclip(*command, cache=tmp_path / "cache")
    assert again.returncode == 1 and "already holds a run" in again.stderr
    evaluate = ("eval", run, "--data", data, "--out", run / "eval", "--cpu")
    scored = figclip(*evaluate, cache=tmp_path / "cache")
    assert scored.returncode == 0, scored.stderr
    assert "verbs Acc@1 (%)" in scored.stdout and "roles CIDEr (%)" in scored.stdout
    refused = figclip(*evaluate, "--alpha", "0.5", "--frames", "8", cache=tmp_path / "cache")
    assert refused.returncode == 2 and "--alpha, --frames cannot be given" in refused.stderr
    twice = figclip(*evaluate, "--data", data, cache=tmp_path / "cache")
    assert twice.returncode == 2 and "one data set at a time" in twice.stderr


@pytest.mark.slow
def test_from_features_to_scored_heads(tmp_path: Path):
    splits = {"a": "train", "b": "train", "c": "valid"}
    videos = [own_video(id=name, video=f"{name}.mp4", split=of) for name, of in splits.items()]
    data = f"events:{write_jsonl(tmp_path / 'mine.jsonl', videos)}"
    rows = {name: np.random.default_rng(i).normal(size=(2, 8)) for i, name in enumerate(splits)}
    features, run = tmp_path / "theirs.npz", tmp_path / "heads"
    np.savez(features, **rows)
    command = ("finetune", "situations", "--features", features, "--data", data, "--out", run,
               "--recipe", "mini_situations", "--set", "train.epochs=1", "--cpu")  # fmt: skip
    tuned = figclip(*command)
    assert tuned.returncode == 0, tuned.stderr
    assert "Head on features: step 1" in tuned.stdout
    assert f"--out {run}/eval --features {features}" in tuned.stdout
    scored = figclip(
        "eval", run, "--data", data, "--features", features, "--out", run / "eval", "--cpu"
    )
    assert scored.returncode == 0, scored.stderr
    assert "verbs Acc@1 (%)" in scored.stdout and "adapted" not in scored.stdout
    reported = figclip("report", run, "--out", tmp_path / "page.html")
    assert reported.returncode == 0, reported.stderr
    refused = figclip(*command, "--model", "somebody/clip")
    assert refused.returncode == 2 and "cannot be given beside --features" in refused.stderr


@pytest.mark.parametrize("task", ["situations", "captioning"])
def test_finetune_explains_its_tasks_with_an_example(task: str):
    assert task in figclip("finetune", "--help").stdout
    done = figclip("finetune", task, "--help")
    assert done.returncode == 0 and f"Example: figclip finetune {task}" in done.stdout


@pytest.mark.slow
def test_from_a_model_to_described_videos(world: World, tmp_path: Path):
    films, run, cache = draw_films(tmp_path / "films", train=2, valid=1), tmp_path / "r", tmp_path
    data = f"activitynet:{films.path},videos={films.videos}"
    tuned = figclip(
        "finetune", "captioning", "--model", world.base, "--data", data, "--out", run,
        "--recipe", "mini_captioning", "--set", "train.epochs=1", "--cpu", cache=cache,
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    assert "Head on adapted: step 1" in tuned.stdout
    scored = figclip("eval", run, "--data", data, "--out", run / "eval", "--cpu", cache=cache)
    assert scored.returncode == 0, scored.stderr
    assert "soda_meteor_exact (%)" in scored.stdout
    assert films.videos is not None
    video = min(films.videos.glob("*.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    out = tmp_path / "described"
    described = figclip(
        "describe", run, video, tmp_path / "text.mp4", "--out", out, "--cpu", cache=cache
    )
    assert described.returncode == 3, described.stderr
    assert f"{tmp_path / 'text.mp4'}: unreadable video" in described.stderr
    assert " s  " in described.stdout and "Traceback" not in described.stderr
    assert {one.name for one in out.iterdir()} == {"descriptions.json", f"{video.stem}.vtt"}
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "text.mp4"
    twice = figclip("describe", run, tmp_path / "text.mp4", other, "--out", out, cache=cache)
    assert twice.returncode == 2 and "several videos are called text" in twice.stderr


def test_preview_shows_captions_negatives_and_coverage(world: World, tmp_path: Path):
    shown = (world.annotations, "--base", world.base, "--show", "1")
    done = run_forked("preview", *shown, out=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  + In this photo, the action is " in done.stdout
    times = [int(one or 1) for one in re.findall(r"\n  - .*?(?: \(×(\d)\))?(?=\n)", done.stdout)]
    assert sum(times) == 4
    # The tiny tokenizer cuts a few.
    assert re.search(r"Captions carry 9\d\.\d% of the annotated fillers", done.stdout)
    before = run_forked("caption", *shown, out=tmp_path)
    assert (before.returncode, before.stdout) == (0, done.stdout)
    assert "`caption` is called `preview` now" in before.stderr and not done.stderr
    assert " caption " not in figclip("--help").stdout


def test_preview_shows_the_same_negative_once(world: World, tmp_path: Path):
    event = {"start_s": 0, "end_s": 2, "roles": {"agent": "man"}}
    lines = [
        {"video": f"{verb}.mp4", "events": [{**event, "verb": verb}]} for verb in ("nod", "go")
    ]
    file = tmp_path / "two.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run_forked("preview", file, "--base", world.base, out=tmp_path)
    assert done.stdout.count("  - In this photo, the action is go, the agent is man (×4)\n") == 1


def test_preview_tells_slips_in_names(world: World, tmp_path: Path):
    roles = [{"agent": "man", "direction": "up"}] * 6 + [{"agent": "man", "directoin": "up"}]
    lines = [
        {"video": f"{n}.mp4", "split": "val" if n else "train",
         "events": [{"start_s": 0, "end_s": 2, "verb": "nod", "roles": one}]}
        for n, one in enumerate(roles)
    ]  # fmt: skip
    file = tmp_path / "own.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run_forked("preview", file, "--base", world.base, "--show", "0", out=tmp_path)
    assert (
        "Roles: agent 7, direction 6, directoin 1\nVideos by split: val 6, train 1\n" in done.stdout
    )
    assert 'Role "directoin" (1): did you mean "direction"?' in done.stdout
    assert 'Split "val": `eval` looks for "valid"' in done.stdout


@pytest.mark.slow
def test_preview_without_a_hub_leaves_tokens_uncounted(world: World, tmp_path: Path):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "figclip", "preview", str(world.annotations)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "  + In this photo, the action is " in done.stdout and "token" not in done.stdout
    assert done.stderr == "Tokens are not counted: the hub is out of reach. Give --base FOLDER\n"
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment)
    assert json.loads(as_json.stdout)["median_tokens"] is None


def test_quarantine_exits_with_3_and_says_why(world: World, tmp_path: Path):
    videos = tmp_path / "videos"
    videos.mkdir()
    names = sorted(path.name for path in world.videos.iterdir())
    for name in names[1:]:
        (videos / name).symlink_to(world.videos / name)
    (videos / names[0]).write_text("not a video")
    done = figclip(
        "prepare", world.annotations, "--videos", videos, "--out", tmp_path / "frames.store",
        "--size", "32",
    )  # fmt: skip
    assert done.returncode == 3
    assert f"quarantined {Path(names[0]).stem}: unreadable" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("adapt", "--recipe", "defualt", "--data", "x", "--out", "y"), 2, "unknown recipe"),
        (("adapt", "--data", "x", "--out", "y", "--set", "train.lrr=1"), 2, "train.lr"),
        (("adapt", "--data", "x", "--out", "y", "--set", "train.lr=fast"), 2, "not a number"),
        (("adapt", "--base", "./nowhere", "--data", "x", "--out", "y"), 1, "no such frame store"),
        (("prepare", "nowhere.jsonl", "--videos", ".", "--out", "s"), 1, "nowhere.jsonl"),
        (("eval", "./nowhere", "--data", "events:x", "--out", "e"), 1, "does not exist"),
        (("eval", "m", "--data", "evnts:x", "--out", "e"), 2, "events, vidsitu"),
        (("finetune", "situations", "--data", "events:x", "--out", "y"), 2, "nothing to train"),
        (("eval", "m", "--data", "events:x", "--out", "e", "--features", "f"), 2, "is a model"),
        (("describe", "m", "a.mp4"), 1, "is no run, and one of `figclip finetune captioning`"),
        (("recipes", "mine"), 2, "unknown recipe"),
        (("adpat",), 2, "adpat"),
    ],
)
def test_mistakes_get_a_message_and_no_traceback(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
):
    done = run_forked(*arguments, out=tmp_path, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path):
    missing = tmp_path / "no.jsonl"
    done = run_forked(
        "--debug", "prepare", missing, "--videos", tmp_path, "--out", "s", out=tmp_path
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_recipes_are_listed_and_explained():
    assert "srl_clip_vit_l_14" in figclip("recipes").stdout
    explained = figclip("recipes", "figclip_vit_b_32").stdout
    assert "Source: arXiv 2401.07669v1" in explained
    assert json.loads(figclip("recipes", "tiny", "--json").stdout)["recipe"] == "tiny"


@pytest.mark.slow
def test_a_strength_is_chosen_and_the_rest_is_reported(tmp_path: Path):
    cache, run = tmp_path / "cache", tmp_path / "run"
    world = write_kept_world(tmp_path / "world")
    kept = f"actions:{world.colours.path},images={world.stills}"
    command = (
        "adapt", "--recipe", "tiny", "--base", world.base, "--data", world.store, "--out", run,
        "--set", "train.epochs=1", "--keep", kept, "--cpu",
    )  # fmt: skip
    adapted = figclip(*command, "--set", "data.val_fraction=0.5", cache=cache)
    assert adapted.returncode == 0, adapted.stderr
    too_few = "choosing groups are too few to prove that at most 2 points are lost"
    assert adapted.stderr.count(too_few) == 2, "before training, and with the choice"
    chosen = load_checked((run / "strength.json").read_text())["alpha"]
    assert f"Strength {chosen:g}: detail on val " in adapted.stdout
    assert "the strength is chosen by val and actions-colours" in adapted.stderr
    assert "choosing the strength 7/7" in adapted.stderr
    reported = figclip(
        "eval", run, "--data", kept, "--out", run / "eval", "--cpu", cache=cache
    )  # fmt: skip
    assert reported.returncode == 0, reported.stderr
    assert "left out: its half chose the strength of the model." in reported.stdout
    training = ("eval", run, "--data", f"events:{world.store}", "--frames", "2", "--out",
                run / "eval", "--cpu")  # fmt: skip
    told = figclip(*training, cache=cache)
    assert told.returncode == 0, told.stderr
    notice = f"dense_retrieval on events:{world.store.name}: 42 of the 42 items scored show what"
    assert notice in told.stdout
    refused = figclip(*training, "--leave-out-trained", cache=cache)
    assert refused.returncode == 1 and "nothing of it is left" in refused.stderr


def test_quickstart_refuses_a_folder_of_another_world(tmp_path: Path):
    out = tmp_path / "quickstart"
    (out / "world").mkdir(parents=True)
    (out / "world" / "world.json").write_text('{"format": 0}\n')
    done = run_forked("quickstart", "--out", out, out=tmp_path)
    assert done.returncode == 2
    assert f"{out / 'world'}: holds another world" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in out.rglob("*")] == ["world", "world.json"]


@pytest.mark.parametrize("ignored", [False, True])
def test_interrupted_while_libraries_are_imported_is_no_traceback(tmp_path: Path, ignored: bool):
    (tmp_path / "typer.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException:\n"
        "    pass\n"
        "raise SystemExit('swallowed')\n"
    )
    command = [sys.executable, "-m", "figclip", "recipes"]
    done = subprocess.run(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command] if ignored else command,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    expected = (1, "swallowed\n") if ignored else (128 + signal.SIGINT, "figclip: interrupted.\n")
    assert (done.returncode, done.stderr) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_stays_ignored(number: signal.Signals):
    """As for a job that a script starts in the background."""
    code = (
        "import os, signal, sys\n"
        "from figclip.cli import app\n"
        "from figclip.cli.options import going_on\n"
        "def verb():\n"
        "    with going_on():\n"
        "        os.kill(os.getpid(), int(sys.argv[1]))\n"
        "        print('goes on')\n"
        "app.app = verb\n"
        "from figclip.cli import main\n"
        "main()\n"
    )
    for trap in (f"trap '' {number.name[3:]};", ""):
        shell = f'{trap} exec "$@"'
        command = ["sh", "-c", shell, "sh", sys.executable, "-c", code, str(int(number))]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout == ("goes on\n" if trap else "")
        assert (done.returncode == 0) == bool(trap), done.stderr


@pytest.mark.slow
def test_quickstart_interrupted_says_how_to_go_on(start: Start, tmp_path: Path):
    out = tmp_path / "quickstart"
    process = start(
        [sys.executable, "-m", "figclip", "quickstart", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(out.rglob("*.mp4")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    # As a terminal does: to the drawing processes too.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert "run the same command again to go on" in errors
    assert "Traceback" not in errors
    assert not list(out.rglob("*.part"))
