"""Small folders of official VidSitu files, and predictions for them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

EVENTS = ("Ev1", "Ev2", "Ev3", "Ev4", "Ev5")
SEGMENTS = ("v_aaaaaaaaaaa_seg_0_10", "v_bbbbbbbbbbb_seg_5_15", "v_aaaaaaaaaaa_seg_10_20")
ARGS = {
    "Arg0 (walker)": "man in a red hat",
    "Arg1 (path)": "the road",
    "ArgM (manner)": "slowly",
    "ArgM (location)": "near a house",
    "Scene of the Event": "a village",
}
TEXTS = {"Arg0": "man in a red hat", "Arg1": "the road", "ALoc": "a house", "AScn": "village"}
RELATIONS = {"Ev1": "Causes", "Ev2": "Enables", "Ev4": "Reaction To", "Ev5": "NoRel"}


def annotation(segment: str) -> dict[str, Any]:
    """One annotator's entry of a segment."""
    return {
        name: {
            "vid_seg_int": segment,
            "Args": dict(ARGS),
            "Verb": "walk (on foot)",
            "VerbID": "walk.01",
            **({"EvRel": RELATIONS[name]} if name in RELATIONS else {}),
        }
        for name in EVENTS
    }


def official(segments: tuple[str, ...] = SEGMENTS) -> dict[str, Any]:
    """Content of the official files of split `valid`, three annotators a segment who agree."""
    return {
        "vseg_split_valid_lb.json": list(segments),
        "vsann_valid_lb.json": [annotation(one) for one in segments for _ in range(3)],
        "vinfo_valid_lb.json": [
            {"vid_seg_int": one, "vbid_lst": {name: ["walk.01"] * 10 for name in EVENTS}}
            for one in segments
        ],
    }


def write_official(folder: Path, content: dict[str, Any] | None = None) -> Path:
    """Writes the files flat into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (content or official()).items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def verb_rows(num_videos: int = 3) -> list[dict[str, Any]]:
    """Predictions that are right."""
    verbs = ["walk.01", "run.02", "look.01", "sit.01", "eat.01"]
    return [
        {"pred_vbs_ev": [list(verbs) for _ in EVENTS], "ann_idx": idx} for idx in range(num_videos)
    ]


def role_rows(num_videos: int = 3) -> list[dict[str, Any]]:
    events = {name: {"vb_id": "walk.01", **TEXTS} for name in EVENTS}
    return [{"ann_idx": idx, "vb_output": deepcopy(events)} for idx in range(num_videos)]


def relation_rows(num_videos: int = 3) -> list[dict[str, Any]]:
    labels = [[label] * 3 for label in RELATIONS.values()]
    return [{"pred_evrels_ev": deepcopy(labels), "ann_idx": idx} for idx in range(num_videos)]


def write_rows(path: Path, rows: Any) -> Path:
    """A prediction file; NaN is written as Python writes it."""
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path
