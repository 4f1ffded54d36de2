from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pave.encoders import windows as module
from pave.encoders.windows import Windows
from pave.errors import InputError

RATE = 800


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.integers(1, 1_000),
    window_sec=st.floats(0.05, 1.0),
    hop_sec=st.floats(0.05, 1.0),
    cuts=st.lists(st.integers(1, 999), max_size=5),
    batch_size=st.integers(1, 7),
)
def test_windows_are_the_slices_of_the_sound_however_it_is_cut(
    tmp_path, monkeypatch, samples, window_sec, hop_sec, cuts, batch_size
):
    sound = np.arange(1, samples + 1, dtype=np.float32)
    pieces = np.split(sound, sorted(cut for cut in cuts if cut < samples))
    monkeypatch.setattr(module, "stream_audio", lambda *a, **k: iter(pieces))
    windows = Windows(window_sec, hop_sec, RATE)

    batches = list(windows.over(tmp_path / "any.wav", 0.0, batch_size))

    found = np.concatenate(batches)
    assert len(found) == windows.count(samples)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    padded = np.pad(sound, (0, windows.samples + round(hop_sec * RATE) + 1))
    for step, window in enumerate(found):
        start = round(step * hop_sec * RATE)
        assert np.array_equal(window, padded[start : start + windows.samples])
    if hop_sec <= window_sec:
        assert set(sound) <= set(found.flatten()), "every sample is in a window"
    if len(found) > 1:
        previous_end = round((len(found) - 2) * hop_sec * RATE) + windows.samples
        assert previous_end < samples, "no window begins after the sound is covered"


def test_times_are_the_centres():
    assert Windows(2.0, 0.5, RATE).times_sec(4).tolist() == [1.0, 1.5, 2.0, 2.5]


def test_no_sound_no_windows():
    assert Windows(2.0, 1.0, RATE).count(0) == 0


def test_memory_is_that_of_a_piece_and_a_window(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "long.wav", np.zeros(RATE * 600), RATE)
    held: list[int] = []
    join = np.concatenate

    def watching(arrays, *arguments):
        joined = join(arrays, *arguments)
        held.append(len(joined))
        return joined

    monkeypatch.setattr(module.np, "concatenate", watching)
    count = sum(len(batch) for batch in Windows(2.0, 1.0, RATE).over(tmp_path / "long.wav", 0.0, 4))

    assert count == 599
    assert max(held) <= 13 * RATE, "ten seconds of a piece, two of a window and what is between"


@pytest.mark.parametrize(("window_sec", "hop_sec"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_windows_that_are_none(window_sec, hop_sec):
    with pytest.raises(InputError, match="must be at least one sample"):
        Windows(window_sec, hop_sec, RATE)
