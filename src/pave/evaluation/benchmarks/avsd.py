"""AVSD: dialogues about Charades films, as DSTC7, DSTC8 and DSTC10 published them, with one reference or six."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, Expected, RawFiles
from pave.evaluation.benchmarks.rows import Media, Row, places

REFERENCES = 6
UNDISCLOSED = "__UNDISCLOSED__"
GROUP = 5
"""Rounds of a dialogue that one training sample holds; what is left of a dialogue is not used."""

FOLDERS = ("Charades_v1_480/", "Charades_vu17_test_480/", "Charades_vu17_test/", "Charades_v1/", "videos/", "")
LENGTHS_DSTC7 = {**dict.fromkeys((1, 2), 380), **dict.fromkeys((3, 4), 190), **dict.fromkeys(range(5, 11), 95)}
LENGTHS_DSTC8 = {1: 95, **dict.fromkeys(range(2, 10), 190), 10: 95}

Dialogue = tuple[Entry, list[Entry]]


def by_turn(lengths: dict[int, int]) -> dict[str, int]:
    """Return the categories of dialogues of these lengths: the place of the question that is asked."""
    return {f"turn {length}": count for length, count in lengths.items()}


def read_official(raw: RawFiles, config: PrepareConfig, edition: str) -> Iterable[Row]:
    """Read the test dialogues of DSTC7 or DSTC8 and the file of six references, matched by its own names."""
    path = raw.find(*_in_places(f"test_set4{edition}-AVSD.json"))
    dialogues = _dialogues(raw, path, 1710)
    references = _coco_references(raw, f"test_set4{edition}-AVSD_multiref.json")
    for entry, turns in dialogues:
        name = f"{entry.text('image_id')}_{len(turns) - 1}"
        if name not in references:
            raise InputError(f"{entry.where}: the file of references has no {name!r}; get both of one edition")
        yield _last_turn(entry, turns, references[name])


def read_mock(raw: RawFiles, config: PrepareConfig, edition: str) -> Iterable[Row]:
    """Read the one-reference form of the DSTC7 or DSTC8 test set that came with DSTC10; the paper's test file."""
    path = raw.find(*_in_places(f"mock_test_set4DSTC10-AVSD_from_{edition}_singref.json"))
    for entry, turns in _dialogues(raw, path, 1710):
        yield _last_turn(entry, turns, (_disclosed(turns[-1]),))


def read_dstc10(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read the DSTC10 test dialogues, whose last answer is a list of six, with the moments that give reason."""
    path = raw.find(*_in_places("test_set4DSTC10-AVSD_multiref+reason.json"))
    for entry, turns in _dialogues(raw, path, 1804):
        references = tuple(turns[-1].texts("answer"))
        _check_references(references, turns[-1].where)
        row = _last_turn(entry, turns, references)
        yield replace(row, fields={**row.fields, "reason": turns[-1].get("reason")})


def read_training(raw: RawFiles, config: PrepareConfig, names: tuple[str, ...], count: int) -> Iterable[Row]:
    """Read dialogues in groups of five rounds, each a conversation of its own that begins anew."""
    path = raw.find(*(place for name in names for place in _in_places(name)))
    for entry, turns in _dialogues(raw, path, count, firm=False):
        name = entry.text("image_id")
        for group in range(len(turns) // GROUP):
            rounds = turns[group * GROUP : (group + 1) * GROUP]
            last = rounds[-1]
            yield Row(
                id=f"{name}_{group}",
                question=last.text("question"),
                messages=[*_history(rounds[:-1]), *_asked(last, _disclosed(last))],
                media=_media(name),
                references=(_disclosed(last),),
                fields={"image_id": name},
            )


def read_validation(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read every turn of the validation dialogues, each after the true answers before it."""
    names = [f"{name}_set4{edition}-AVSD.json" for edition in ("DSTC10", "DSTC7") for name in ("valid", "val")]
    path = raw.find(*(place for name in names for place in _in_places(name)))
    for entry, turns in _dialogues(raw, path, 1787, firm=False):
        for length in range(1, len(turns) + 1):
            yield _last_turn(entry, turns[:length], (_disclosed(turns[length - 1]),))


def _in_places(name: str) -> tuple[str, str]:
    return name, f"data/{name}"


def _dialogues(raw: RawFiles, path: Path, count: int, firm: bool = True) -> list[Dialogue]:
    others = {1710: "the DSTC7 and DSTC8 test sets", 1804: "the DSTC10 test set", 7659: "the training set"}
    others |= {1787: "the validation set"}
    expected = Expected(count, firm, {key: name for key, name in others.items() if key != count}, "dialogues")
    entries = raw.entries(path, expected, under="dialogs")
    dialogues = [(entry, entry.entries("dialog")) for entry in entries]
    for entry, turns in dialogues:
        if not turns:
            raise InputError(f"{entry.where}: dialog is empty; every dialogue has at least one turn")
    return dialogues


def _coco_references(raw: RawFiles, name: str) -> dict[str, tuple[str, ...]]:
    """Return the references of a file in COCO's caption form by the names of its images."""
    path = raw.find(*_in_places(name))
    content = Entry(raw.json(path), str(path))
    names = {image.whole("id"): image.text("name") for image in content.entries("images")}
    raw.check(path, len(names), Expected(1710, noun="images"))
    found: dict[str, list[str]] = {name: [] for name in names.values()}
    for annotation in content.entries("annotations"):
        number = annotation.whole("image_id")
        if number not in names:
            raise InputError(f"{annotation.where}: image_id {number} is of no image; download the file again")
        found[names[number]].append(annotation.text("caption"))
    for image, captions in found.items():
        _check_references(captions, f"{path}: image {image!r}")
    return {image: tuple(captions) for image, captions in found.items()}


def _check_references(references: Iterable[str], where: str) -> None:
    count = len(list(references))
    if count != REFERENCES:
        raise InputError(f"{where}: has {count} references; the published files have {REFERENCES}")


def _last_turn(entry: Entry, turns: list[Entry], references: tuple[str, ...]) -> Row:
    name, last = entry.text("image_id"), turns[-1]
    return Row(
        id=f"{name}_{len(turns) - 1}",
        question=last.text("question"),
        messages=[*_history(turns[:-1]), *_asked(last, references[0])],
        media=_media(name),
        references=references,
        category=f"turn {len(turns)}",
        fields={"image_id": name, "turns": len(turns)},
    )


def _history(turns: list[Entry]) -> list[dict[str, str]]:
    return [message for turn in turns for message in _asked(turn, _disclosed(turn))]


def _asked(turn: Entry, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": turn.text("question")}, {"role": "assistant", "content": answer}]


def _disclosed(turn: Entry) -> str:
    answer = turn.text("answer")
    if answer == UNDISCLOSED:
        raise InputError(f"{turn.where}: the answer is withheld; use a file that has it")
    return answer


def _media(name: str) -> Media:
    return Media(name, places(*(f"{folder}{name}.mp4" for folder in FOLDERS)))


BENCHMARK = make_benchmark(
    Preparation(
        "avsd",
        {
            "dstc7": Split(partial(read_official, edition="DSTC7"), 1710, by_turn(LENGTHS_DSTC7)),
            "dstc8": Split(partial(read_official, edition="DSTC8"), 1710, by_turn(LENGTHS_DSTC8)),
            "dstc10": Split(read_dstc10, 1804),
            "dstc7-single": Split(partial(read_mock, edition="DSTC7"), 1710, by_turn(LENGTHS_DSTC7), firm=False),
            "dstc8-single": Split(partial(read_mock, edition="DSTC8"), 1710, by_turn(LENGTHS_DSTC8), firm=False),
            "train": Split(
                partial(
                    read_training,
                    names=("train_set4DSTC10-AVSD.json", "train_set4DSTC7-AVSD.json"),
                    count=7659,
                ),
                15318,
                firm=False,
            ),
            "val": Split(read_validation, 17870, firm=False),
        },
        prompts=("reference",),
        channels=("audio", "frames"),
    ),
    title="AVSD (DSTC7, DSTC8, DSTC10)",
    max_new_tokens=1024,
)
