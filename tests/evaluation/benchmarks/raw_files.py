"""Made-up raw files of every benchmark: the published layout, keys and quirks, a handful of entries, tiny films."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pave.evaluation.benchmarks import registry
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.manifest import Manifest
from tests.media.writing import grey_frames, write_media

SECONDS = 2.0


def prepared(name: str, raw: Path, out: Path, **options: Any) -> tuple[Manifest, list[dict[str, Any]]]:
    """Prepare a benchmark from a part of its files; return the manifest and the lines of ``samples.jsonl``."""
    manifest = registry.get(name).prepare(PrepareConfig(raw, out, **{"any_count": True, **options}))
    return manifest, [json.loads(line) for line in (out / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@functools.cache
def film_bytes() -> bytes:
    """Two seconds of grey frames with sound, at 10 frames a second."""
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * 16_000)) / 16_000)
    with tempfile.TemporaryDirectory() as folder:
        path = write_media(Path(folder, "film.mp4"), grey_frames(20), sound=tone[None].astype(np.float32))
        return path.read_bytes()


def film(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film_bytes())
    return path


def question(text: str, answer: Any) -> dict[str, Any]:
    return {"question": text, "answer": answer}


def dialogue(image: str, turns: list[dict[str, Any]]) -> dict[str, Any]:
    return {"image_id": image, "caption": "a person opens a box .", "summary": "a box is opened .", "dialog": turns}


def dialogues(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scene_aware_dialog", "version": "0.1", "dialogs": list(items)}


SIX = ("there is one .", "one person", "just one .", "only one person .", "one", "a single person")


def coco(names: list[str]) -> dict[str, Any]:
    images = [{"name": name, "id": number} for number, name in enumerate(names, start=1)]
    captions = [
        {"image_id": image["id"], "id": 6 * image["id"] + number, "caption": caption}
        for image in images
        for number, caption in enumerate(SIX)
    ]
    return {"info": {}, "licenses": [], "type": "captions", "images": images, "annotations": captions}


def avsd(folder: Path) -> Path:
    first = question("how many people are there ?", "there is one .")
    second = question("what is in the box ?", "a toy .")
    withheld = {**second, "answer": "__UNDISCLOSED__"}
    official = dialogues(dialogue("AB1C2", [first, withheld]), dialogue("DE3F4", [withheld]))
    for edition in ("DSTC7", "DSTC8"):
        write_json(folder / f"test_set4{edition}-AVSD.json", official)
        write_json(folder / f"data/test_set4{edition}-AVSD_multiref.json", coco(["AB1C2_1", "DE3F4_0"]))
        told = dialogues(dialogue("AB1C2", [first, second]), dialogue("DE3F4", [first]))
        write_json(folder / f"data/mock_test_set4DSTC10-AVSD_from_{edition}_singref.json", told)
    reason = [{"timestamp": [0.5, 1.5], "sentence": "a box is on the table ."}]
    last = {**second, "answer": list(SIX), "reason": reason}
    hidden = {"image_id": "AB1C2", "dialog": [first, last]}
    write_json(folder / "test_set4DSTC10-AVSD_multiref+reason.json", dialogues(hidden))
    rounds = [question(f"what happens in part {number} ?", f"thing {number} .") for number in range(12)]
    write_json(folder / "train_set4DSTC7-AVSD.json", dialogues(dialogue("AB1C2", rounds)))
    write_json(folder / "valid_set4DSTC7-AVSD.json", dialogues(dialogue("DE3F4", rounds[:2])))
    film(folder / "Charades_vu17_test_480" / "AB1C2.mp4")
    return folder


def avqa(folder: Path) -> Path:
    entries = [
        {
            "id": 101,
            "video_name": "AbC-_fGhIjK_000030",
            "video_id": 202,
            "question_text": "What is the main source of sound in the video?",
            "multi_choice": ["dog", "train", "rain", "piano"],
            "answer": 1,
            "question_relation": "Both",
            "question_type": "Come From",
        },
        {
            "id": 102,
            "video_name": "ZzCdEfGhIjK_000000",
            "video_id": 203,
            "question_text": "How many animals are there?",
            "multi_choice": [1, 2, 3, "NULL"],
            "answer": 2,
            "question_relation": "View",
            "question_type": "Which",
        },
    ]
    for name in ("train", "val"):
        write_json(folder / f"data/annotation/{name}_qa.json", entries)
    film(folder / "data/video/AbC-_fGhIjK_000030.mp4")
    return folder


def music(video: str, kind: tuple[str, str], text: str, values: list[str], answer: str, number: int) -> dict[str, Any]:
    return {
        "video_id": video,
        "question_id": number,
        "type": json.dumps(list(kind)),
        "question_content": text,
        "templ_values": json.dumps(values),
        "question_deleted": 0,
        "anser": answer,
    }


def music_avqa(folder: Path) -> Path:
    entries = [
        music(
            "00001234",
            ("Audio-Visual", "Counting"),
            "How many sounding <Object> in the video？",
            ["clarinet"],
            "two",
            7,
        ),
        music(
            "00001234", ("Audio", "Comparative"), "Is the <Object> louder than the <Object>? ", ["a", "b"], "yes", 8
        ),
        music("va00000001", ("Visual", "Location"), "Where is the <LR>?", ["leftest"], "left", 9),
    ]
    for name in ("train", "val", "test"):
        write_json(folder / f"data/json_update/avqa-{name}.json", entries)
        # The original test file asks some questions twice, with two answers.
        write_json(folder / f"data/json/avqa-{name}.json", [*entries, {**entries[0], "anser": "one"}])
    swapped = {
        "video_id": "sa00000001",
        "unmatch_audio": "00001234",
        "audio_instrument": "pipa",
        "video_instrument": "tuba",
        "question_content": "Is this sound from the instrument in the video?",
        "anser": "no",
        "templ_values": [],
        "type": '["Audio-Visual", "Existential"]',
    }
    shorter = {key: value for key, value in entries[1].items() if key not in ("question_id", "question_deleted")}
    flipped = {**shorter, "video_id": "AbCdEfGhIjK_#02_flip", "person": "True"}
    for name in ("train", "test"):
        write_json(folder / f"data/balance_full_set/{name}_balance.json", [entries[0], swapped, flipped])
        write_json(folder / f"data/bias_set/{name}_bias.json", [entries[0]])
    film(folder / "MUSIC-AVQA-videos-Real/00001234.mp4")
    film(folder / "MUCIS-AVQA-videos-Synthetic/sa00000001.mp4")
    return folder


def pictures(folder: Path, numbers: list[int], digits: int = 5) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("RGB", (33, 24), (20 * (number % 10), 60, 90)).save(folder / f"{number:0{digits}d}.jpg")
    return folder


def scene(folder: Path, name: str) -> None:
    """Write what ScanNet's exporter makes of a scene, in short, and the paper's posed pictures of another."""
    home = folder / "scans" / name
    pictures(home / "color", [0, 20, 40], digits=1)
    for part in ("depth", "pose", "intrinsic"):
        (home / part).mkdir()


def scanqa(folder: Path) -> Path:
    def entry(split: str, number: int, text: str, answers: list[str]) -> dict[str, Any]:
        return {
            "answers": answers,
            "object_ids": [8],
            "object_names": ["chair"],
            "question": text,
            "question_id": f"{split}-scene0011-{number}",
            "scene_id": "scene0011_00" if number else "scene0012_00",
        }

    for split in ("train", "val"):
        entries = [
            entry(split, 0, "What is next to the sink?", ["brown chair", "chair"]),
            entry(split, 1, "How many chairs are there?", ["2"]),
        ]
        write_json(folder / f"ScanQA_v1.0_{split}.json", entries)
    hidden = {key: value for key, value in entry("test", 1, "Where is it?", []).items() if key != "answers"}
    write_json(folder / "ScanQA_v1.0_test_w_obj.json", [hidden])
    bare = {key: value for key, value in hidden.items() if not key.startswith("object")}
    write_json(folder / "ScanQA_v1.0_test_wo_obj.json", [bare])
    scene(folder, "scene0011_00")
    pictures(folder / "posed_images_new/scene0012_00", [0, 1, 2])
    return folder


def sqa3d(folder: Path) -> Path:
    head = {"info": {}, "license": "CC", "data_type": "scannet", "data_subtype": "balanced", "task_type": "x"}
    places = {"rotation": {"_x": 0, "_y": 0, "_z": -0.99, "_w": -0.03}, "position": {"x": 0.71, "y": -0.03, "z": 0}}
    asked = {220602000001: "What is on my left?", 220602000002: "Are there books?"}
    questions = [
        {
            "scene_id": "scene0011_00",
            "situation": "I am facing a desk.",
            "alternative_situation": ["I stand before a desk."],
            "question": text,
            "question_id": number,
        }
        for number, text in asked.items()
    ]
    annotations = [
        {
            "scene_id": "scene0011_00",
            "question_type": "N/A",
            "answer_type": "other",
            "question_id": number,
            "answers": [{"answer": answer, "answer_confidence": "yes", "answer_id": 1}],
            **places,
        }
        for number, answer in zip(reversed(asked), ("yes", "TV"), strict=True)
    ]
    for split in ("train", "val", "test"):
        home = folder / "sqa_task/balanced"
        write_json(home / f"v1_balanced_questions_{split}_scannetv2.json", {**head, "questions": questions})
        named = {**head, "annotations": annotations}
        write_json(home / f"v1_balanced_sqa_annotations_{split}_scannetv2.json", named)
    scene(folder, "scene0011_00")
    film(folder / "scene0011_00.mp4")
    return folder


def ego_exo4d(folder: Path) -> Path:
    def take(number: int, level: str, exo: int) -> dict[str, Any]:
        home = f"takes/site_bouldering_00{number}_2/frame_aligned_videos"
        cameras = {f"exo{view}": f"{home}/cam0{view}.mp4" for view in range(1, exo + 1)}
        return {
            "task_id": 7018,
            "task_name": "Route 1",
            "scenario_name": "Rock Climbing",
            "university_id": "site-x",
            "origin_participant_id": "133",
            "take_uid": f"00000000-0000-0000-0000-00000000000{number}",
            "video_paths": {"ego": f"{home}/aria01_214-1.mp4", **cameras},
            "proficiency_score": level,
        }

    takes = [take(1, "Early Expert", 4), take(2, "Novice", 3)]
    write_json(folder / "annotations/proficiency_demonstrator_train.json", takes)
    write_json(folder / "annotations/proficiency_demonstrator_val.json", {"annotations": takes, "split": "val"})
    home = folder / "takes/site_bouldering_001_2/frame_aligned_videos/downscaled/448"
    for name in ("aria01_214-1", "aria01_1201-1", "cam01", "cam02", "cam03"):
        film(home / f"{name}.mp4")
    return folder


SRT = """1
00:00:00,000 --> 00:00:01,000
<font color="white" size=".72c">first line</font>

2
00:00:01,000 --> 00:00:02,000
no font tag

3
00:00:01,500 --> 00:00:02,000
<font color="white" size=".72c">two</font>
<font color="white" size=".72c">rows</font>
"""


def video_mme(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    rows = [
        {
            "video_id": f"00{number}",
            "duration": duration,
            "domain": "Knowledge",
            "sub_category": "Astronomy",
            "url": "https://example.org",
            "videoID": f"AbCdEfGhIj{number}",
            "question_id": f"00{number}-1",
            "task_type": "OCR Problems",
            "question": "Which word is shown?",
            "options": ["A. Sun.", "B. Moon.", "C. Mars.", "D. None."],
            "answer": "B",
        }
        for number, duration in enumerate(("short", "long"), start=1)
    ]
    (folder / "videomme").mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "videomme/test-00000-of-00001.parquet")
    film(folder / "data/AbCdEfGhIj1.MP4")
    (folder / "subtitle").mkdir()
    (folder / "subtitle/AbCdEfGhIj1.srt").write_text(SRT, encoding="utf-8")
    return folder


def mvbench(folder: Path) -> Path:
    from pave.evaluation.benchmarks.mvbench import TASKS, file_of

    plain = {"video": "clip.mp4", "question": "What moves?", "candidates": ["A cube.", "A ball."], "answer": "A ball."}
    for name, task in TASKS.items():
        bounds = {"start": 0.5, "end": 1.2999999999999998} if task.cut else {}
        video = {"video": "show_s01e01_seg02_clip_00"} if task.pictures else {}
        write_json(folder / "json" / file_of(name), [{**plain, **video, **bounds}])
    film(folder / "video/clevrer/video_validation/clip.mp4")
    film(folder / "video/star/Charades_v1_480/clip.mp4")
    film(folder / "video/sta/sta_video_segment/clip_0.5_1.2999999999999998.mp4")
    pictures(folder / "video/tvqa/frames_fps3_hq/show_s01e01_seg02_clip_00", [1, 2, 3, 4, 5, 6])
    return folder


def mlvu(folder: Path) -> Path:
    from pave.evaluation.benchmarks.mlvu import CHOICE_FILES, FREE_FILES, TYPES

    for task, (stem, _) in CHOICE_FILES.items():
        entry = {
            "video": f"{task}_4.mp4",
            "duration": 467.98,
            "question": "What does the hand do? ",
            "candidates": ["Waves", "Points", "Claps", "Rests"],
            "answer": "Points",
            "question_type": TYPES.get(task, task),
        }
        faulty = {**entry, "duration": 8, "answer": "Catching a flying drone"}
        repeated = {**entry, "candidates": ["Points", "Waves", "Points", "Rests"]}
        others = {"needle": [faulty], "plotQA": [repeated]}.get(task, [])
        write_json(folder / f"MLVU/json/{stem}.json", [entry, *others])
    for task, (stem, _) in FREE_FILES.items():
        entry = {"video": "a.mp4", "duration": 8, "question": "Sum it up.", "answer": "A hand waves."}
        points = {"scoring_points": ["a hand", "it waves"]} if task == "sub_scene" else {}
        write_json(folder / f"MLVU/json/{stem}.json", [{**entry, "question_type": TYPES.get(task, task), **points}])
    film(folder / "MLVU/video/1_plotQA/plotQA_4.mp4")
    return folder


def blindspot(folder: Path) -> Path:
    sample = {
        "id": "hear-1-000000",
        "video": "clips/000000.mp4",
        "side": {"audio": "clips/000000.mp4", "views": None},
        "messages": [{"role": "user", "content": "What rang?"}, {"role": "assistant", "content": "red cube"}],
        "track": "hear",
        "form": "source",
        "answer": "red cube",
        "blind": 0.25,
        "seed": 1,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples.jsonl").write_text(json.dumps(sample) + "\n", encoding="utf-8")
    film(folder / "clips/000000.mp4")
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "avqa": avqa,
    "avsd": avsd,
    "blindspot": blindspot,
    "ego-exo4d": ego_exo4d,
    "mlvu": mlvu,
    "music-avqa": music_avqa,
    "mvbench": mvbench,
    "scanqa": scanqa,
    "sqa3d": sqa3d,
    "video-mme": video_mme,
}
