"""Overlapping clips give every step once, from where it stands nearest the middle, and hold little at a time."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.encoders.clips import cut_clips, plan_clips


@given(st.integers(1, 80), st.integers(1, 16), st.integers(1, 16))
def test_every_step_once_from_the_nearest_clip(steps: int, length: int, hop: int) -> None:
    hop = min(hop, length)
    clips = plan_clips(steps, length, hop)
    assert [step for clip in clips for step in range(clip.kept_from, clip.kept_to)] == list(range(steps))
    centres = [clip.start + (length - 1) / 2 for clip in clips]
    for clip, centre in zip(clips, centres, strict=True):
        assert clip.start + length <= max(steps, length)
        for step in range(clip.kept_from, clip.kept_to):
            assert clip.start <= step < clip.start + length
            assert abs(step - centre) <= min(abs(step - other) for other in centres) + 0.5


@given(st.integers(1, 50), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 9))
def test_clips_are_cut_from_a_stream(frames: int, length: int, hop: int, step: int, batch: int) -> None:
    stream = torch.arange(frames)
    clips = plan_clips(-(-frames // step), length, min(hop, length))
    cut = list(cut_clips(stream.split(batch), clips, length, step))
    assert len(cut) == len(clips)
    for clip, made in zip(clips, cut, strict=True):
        numbers = torch.arange(clip.start * step, (clip.start + length) * step)
        assert torch.equal(made, numbers.clamp(max=frames - 1))
