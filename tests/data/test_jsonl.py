"""Annotations: what is read, and what every bad line says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pave.data.jsonl import read_samples
from pave.errors import InputError

MESSAGES = [{"role": "user", "content": "what ?"}, {"role": "assistant", "content": "a bell"}]


def record(**fields: Any) -> dict[str, Any]:
    return {"id": "one", "video": "clip.mp4", "side": {"audio": "clip.mp4"}, "messages": MESSAGES, **fields}


def write(folder: Path, *lines: Any) -> Path:
    (folder / "clip.mp4").touch()
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = folder / "samples.jsonl"
    path.write_text(text)
    return path


def test_reads_every_field_and_keeps_the_rest(tmp_path: Path) -> None:
    write(tmp_path, record(blind=0.5, form="order"), "", record(id="two", video=None, side={"audio": None}))
    first, second = read_samples(tmp_path)
    assert first.video == tmp_path / "clip.mp4" and first.side == {"audio": tmp_path / "clip.mp4"}
    assert (first.question, first.answer) == ("what ?", "a bell")
    assert first.extra == {"blind": 0.5, "form": "order"}
    assert second.video is None and second.side == {"audio": None}
    assert second.source == f"{tmp_path / 'samples.jsonl'}:3"


def test_side_may_be_left_out_and_channels_declared(tmp_path: Path) -> None:
    line = record(side={"pulse": "clip.mp4"})
    plain = record(id="two")
    del plain["side"]
    path = write(tmp_path, line, plain)
    samples = read_samples(path, ["pulse"])
    assert set(samples[0].side) == {"pulse"} and samples[1].side == {}


def test_a_channel_that_nothing_reads_is_none_of_a_mistake(tmp_path: Path) -> None:
    (sample,) = read_samples(write(tmp_path, record(side={"pulse": "clip.mp4"})))
    assert set(sample.side) == {"pulse"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": ', "not valid JSON"),
        ("[1]", "holds a JSON list; each line must be an object"),
        ({"id": "one", "messages": MESSAGES}, "field 'video' is missing"),
        ({"id": "one", "vidio": None, "messages": MESSAGES}, "field 'video' is missing; did you mean 'vidio'"),
        ({"id": "one", "video": None}, "field 'messages' is missing"),
        (record(id=7), "field 'id' is 7; it must be a text"),
        (record(id="zero"), "id 'zero' stands already at .*:1"),
        (record(video=3), "video is 3; it must be the path of a file, or null"),
        (record(video="none.mp4"), "video file .*none.mp4 does not exist"),
        (record(side={"audio": "none.wav"}), r"side\['audio'\] file .*none.wav does not exist"),
        (record(side=["audio"]), "field 'side' is .*; it must map channel names to files"),
        (
            record(side={"audoi": "clip.mp4"}),
            "unknown channel 'audoi' in 'side'; known: audio, .*; did you mean 'audio'",
        ),
        (record(messages=[]), "field 'messages' must be a list of at least one turn"),
        (record(messages=[{"role": "user"}]), r"messages\[0\] must be an object with exactly 'role' and 'content'"),
        (record(messages=[{"role": "user", "content": " "}]), r"messages\[0\]: content is ' '; it must be a text"),
        (record(video="x" * 300), "video file .* cannot be looked at"),
        (record(messages=[{"role": "user", "content": "half \ud83d"}]), "field 'messages' holds half a character"),
        (record(id="half \ud83d"), "field 'id' holds half a character; mend or drop it"),
        (record(source="\ude00"), "field 'source' holds half a character"),
        (record(messages=[{"role": "user", "content": 5}]), r"messages\[0\]: content is 5"),
        (record(messages=[{"role": "system", "content": "hi"}]), "messages hold no user turn"),
        (record(messages=MESSAGES[::-1]), r"messages\[0\] has role 'assistant' where 'user' must stand"),
        (record(messages=[MESSAGES[0], MESSAGES[0]]), r"messages\[1\] has role 'user' where 'assistant' must stand"),
        (record(messages=[MESSAGES[0], {"role": "bot", "content": "x"}]), r"messages\[1\] has role 'bot'"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path, record(id="zero"), line)
    with pytest.raises(InputError, match=message) as error:
        read_samples(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert "\n" not in str(error.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; give a .jsonl file, or a folder that holds samples.jsonl"):
        read_samples(tmp_path)
    with pytest.raises(InputError, match="holds no samples"):
        read_samples(write(tmp_path, ""))
    (tmp_path / "samples.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(InputError, match=r"samples.jsonl:1: not UTF-8 text"):
        read_samples(tmp_path)
