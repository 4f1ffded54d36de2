"""MUSIC-AVQA, in its original, its updated and its second version: one-word answers about people making music."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, Expected, RawFiles
from pave.evaluation.benchmarks.rows import Media, Place, Row, places, turn

KINDS = (
    "Audio Counting",
    "Audio Comparative",
    "Visual Counting",
    "Visual Location",
    "Audio-Visual Existential",
    "Audio-Visual Counting",
    "Audio-Visual Location",
    "Audio-Visual Comparative",
    "Audio-Visual Temporal",
)
SLOT = re.compile("<[A-Za-z]+>")
REAL, SYNTHETIC = "MUSIC-AVQA-videos-Real/", "MUCIS-AVQA-videos-Synthetic/"
"""Folders of the published videos, spelt as there."""

SWAPPED = "sound of another video"


def counts(*numbers: int) -> dict[str, int]:
    """Return numbers in the order of :data:`KINDS` by their names."""
    return dict(zip(KINDS, numbers, strict=True))


UPDATE_TEST = counts(1017, 594, 1197, 1225, 988, 1265, 920, 1101, 822)
UPDATE_VAL = counts(511, 295, 600, 613, 495, 633, 461, 549, 411)
ORIGINAL_TEST = counts(1022, 601, 1199, 1228, 995, 1274, 927, 1115, 824)
BALANCED_TEST = counts(1382, 643, 1505, 1338, 1223, 1740, 920, 1101, 967)
BIASED_TEST = counts(1022, 607, 1222, 1230, 901, 1292, 920, 1101, 824)

KNOWN = {
    32087: "the original training file",
    4595: "the original validation file",
    9185: "the original test file, under json/",
    31927: "the updated training file",
    4568: "the updated validation file",
    9129: "the updated test file, under json_update/",
    10819: "the balanced test file of v2.0",
    9119: "the biased test file of v2.0",
}


def fill(question: str, values: list[str], where: str) -> str:
    """Return a question with its slots filled in order; only ``<...>`` is replaced, what is glued to it stays.

    Raises:
        InputError: If there are not as many values as slots.
    """
    slots = SLOT.findall(question)
    if len(slots) != len(values):
        raise InputError(f"{where}: {len(values)} templ_values for {len(slots)} slots; download the file again")
    filling = iter(values)
    return SLOT.sub(lambda _: next(filling), question).strip()


def read(raw: RawFiles, config: PrepareConfig, names: tuple[str, ...], expected: Expected) -> Iterable[Row]:
    """Read questions of any of the shapes that stand in the published files, even side by side in one."""
    training = str(config.split).startswith("train")
    if config.duplicate_audio and not training:
        raise InputError(f"duplicate_audio is for training; split {config.split} is scored, leave it out")
    path = raw.find(*names)
    for number, entry in enumerate(raw.entries(path, expected), start=1):
        row = _row(entry, number)
        yield row
        # As the paper's data has it; "Audio-Visual" holds "Audio", too.
        if config.duplicate_audio and "Audio" in row.fields["modality"]:
            yield row


def _row(entry: Entry, number: int) -> Row:
    modality, kind = _type(entry)
    values = [str(value) for value in entry.literal("templ_values")]
    question = fill(entry.text("question_content"), values, entry.where)
    video, answer = entry.text("video_id"), entry.text("anser")
    sound = entry.get("unmatch_audio")
    side: dict[str, tuple[Place, ...]] = {} if sound is None else {"audio": _places(entry.text("unmatch_audio"))}
    identity = entry.get("question_id")
    return Row(
        id=f"{video}-row{number}" if identity is None else str(identity),
        question=question,
        messages=turn(question, answer),
        media=Media(video, _places(video), side),
        references=(answer,),
        category=f"{modality} {kind}",
        fields={"modality": modality, "kind": kind, "video_id": video, "question_id": identity},
        notes=(SWAPPED,) if side else (),
    )


def _type(entry: Entry) -> tuple[str, str]:
    found = entry.literal("type")
    name = " ".join(map(str, found))
    if len(found) != 2 or name not in KINDS:
        raise InputError(f"{entry.where}: type is {found}; known: {', '.join(KINDS)}")
    return found[0], found[1]


def _places(video: str) -> tuple[Place, ...]:
    first, second = (REAL, SYNTHETIC) if video[0].isdecimal() else (SYNTHETIC, REAL)
    folders = (first, second, "MUSIC-AVQA-v2.0-videos/", "videos/", "")
    return places(*(f"{folder}{video}.mp4" for folder in folders))


def _split(file: str, folders: tuple[str, ...], count: int | None, kinds: dict[str, int], firm: bool = True) -> Split:
    names = tuple(f"{folder}{file}" for folder in folders)
    others = {number: name for number, name in KNOWN.items() if number != count}
    return Split(partial(read, names=names, expected=Expected(count, firm, others)), count, kinds, firm)


UPDATE = ("data/json_update/", "json_update/", "")
ORIGINAL = ("data/json/", "json/", "")
BALANCED = ("data/balance_full_set/", "balance_full_set/", "")
BIASED = ("data/bias_set/", "bias_set/", "")

BENCHMARK = make_benchmark(
    Preparation(
        "music-avqa",
        {
            "test": _split("avqa-test.json", UPDATE, 9129, UPDATE_TEST),
            "val": _split("avqa-val.json", UPDATE, 4568, UPDATE_VAL),
            "train": _split("avqa-train.json", UPDATE, 31927, {}, firm=False),
            "test-original": _split("avqa-test.json", ORIGINAL, 9185, ORIGINAL_TEST),
            "val-original": _split("avqa-val.json", ORIGINAL, 4595, {}),
            "train-original": _split("avqa-train.json", ORIGINAL, 32087, {}, firm=False),
            "test-v2-balanced": _split("test_balance.json", BALANCED, 10819, BALANCED_TEST),
            "train-v2-balanced": _split("train_balance.json", BALANCED, None, {}),
            "test-v2-biased": _split("test_bias.json", BIASED, 9119, BIASED_TEST),
            "train-v2-biased": _split("train_bias.json", BIASED, None, {}),
        },
        prompts=("reference",),
        channels=("audio", "frames"),
        options=("duplicate_audio",),
    ),
    title="MUSIC-AVQA, MUSIC-AVQA-v2.0",
    max_new_tokens=1024,
)
