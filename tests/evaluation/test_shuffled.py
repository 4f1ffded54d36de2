"""A shuffled set: every clip has the side channels of another, everything else is as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pave.data.jsonl import read_samples
from pave.errors import InputError
from pave.evaluation.shuffled import write_shuffled
from tests.tiny import write_data


def test_only_side_channels_change(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "set", count=8, videos=4, benchmark="blindspot"), tmp_path / "out"
    assert write_shuffled(data, out) == 8
    before, after = read_samples(data), read_samples(out)
    given = {}
    for old, new in zip(before, after, strict=True):
        assert (new.id, new.messages, new.extra, new.video) == (old.id, old.messages, old.extra, old.video)
        assert new.side["audio"] != old.side["audio"]
        # All questions about a clip hear the same other one.
        assert given.setdefault(new.video, new.side["audio"]) == new.side["audio"]
    assert sorted(given.values()) == sorted({sample.side["audio"] for sample in before})


def test_the_seed_decides(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=12, videos=12)
    sides = []
    for number, seed in enumerate((0, 0, 1)):
        write_shuffled(data, tmp_path / str(number), seed)
        sides.append([sample.side["audio"] for sample in read_samples(tmp_path / str(number))])
    assert sides[0] == sides[1] != sides[2]


def test_samples_without_channels_stay(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "set", count=3, videos=3), tmp_path / "out"
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    lines[1] |= {"side": {"audio": None}, "missing": ["1.wav"]}
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert write_shuffled(data, out) == 2
    first, lacking, last = read_samples(out)
    assert lacking.side == {"audio": None} and lacking.extra["missing"] == ["1.wav"]
    before = read_samples(data)
    assert (first.side["audio"], last.side["audio"]) == (before[2].side["audio"], before[0].side["audio"])


def test_what_cannot_be_shuffled(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=3, videos=1)
    with pytest.raises(InputError, match="set: holds no two clips with side channels"):
        write_shuffled(data, tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        write_shuffled(data, data)
    assert not (tmp_path / "out").exists()
