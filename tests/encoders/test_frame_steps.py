"""Which frame stands for a step: none is left out at the video's own rate, and each is seen when it appears."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pave.encoders.frame_steps import batches_of_frames, every_frame, frames_of, steps_at
from tests.media.writing import grey_frames, grey_levels, write_media


@given(st.lists(st.floats(0.002, 3.0), max_size=60), st.floats(0.5, 60.0))
def test_each_step_gets_what_appears_in_it_or_is_on_screen(gaps: list[float], rate: float) -> None:
    frames_sec = np.concatenate([[0.0], np.cumsum(gaps)])
    edges_sec = np.arange(int(frames_sec[-1] * rate) + 2) / rate
    chosen = frames_of(frames_sec, edges_sec[:-1], edges_sec[1:])
    assert (np.diff(chosen) >= 0).all()
    for start, end, frame in zip(edges_sec[:-1], edges_sec[1:], chosen, strict=True):
        rounding = min(0.001, 0.1 / rate)
        inside = frames_sec[(frames_sec >= start - rounding) & (frames_sec < end - rounding)]
        if len(inside):
            assert abs(frame - (start + end) / 2) == pytest.approx(np.abs(inside - (start + end) / 2).min())
            assert frame in inside
        else:
            assert frame == frames_sec[frames_sec < start - rounding][-1]


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("rate", [24, 25, 30, 60000 / 1001])
def test_at_its_own_rate_no_frame_is_left_out(rate: float, rounded: bool) -> None:
    frames_sec = np.arange(500) / rate
    frames_sec = frames_sec.round(3) if rounded else frames_sec
    edges_sec = np.arange(501) / rate
    np.testing.assert_array_equal(frames_of(frames_sec, edges_sec[:-1], edges_sec[1:]), frames_sec)


def test_steps_cover_the_video_to_its_end(tmp_path) -> None:
    path = write_media(tmp_path / "a.mp4", grey_frames(13), fps=10)
    steps = steps_at(path, 4.0)
    np.testing.assert_allclose(steps.starts_sec, np.arange(6) / 4)
    assert steps.ends_sec[-1] == pytest.approx(1.3)
    np.testing.assert_allclose(steps.times_sec(), [0.125, 0.375, 0.625, 0.875, 1.125, 1.275])
    np.testing.assert_allclose(steps.times_sec(4), [0.5, 1.15])


def test_every_frame_is_a_step_while_it_is_on_screen(tmp_path) -> None:
    times_sec = np.array([0.0, 0.1, 2.0, 2.04])
    path = write_media(tmp_path / "a.mp4", grey_frames(4), times_sec, fps=10)
    steps = every_frame(path)
    np.testing.assert_allclose(steps.frames_sec, times_sec, atol=1e-4)
    np.testing.assert_allclose(steps.times_sec()[:3], [0.05, 1.05, 2.02], atol=1e-4)
    assert steps.times_sec()[3] > 2.04


def test_batches_hold_the_frames_in_order(tmp_path) -> None:
    path = write_media(tmp_path / "a.mp4", grey_frames(10), fps=10)
    batches = list(batches_of_frames(path, np.array([0.0, 0.2, 0.2, 0.5, 0.9]), 2))
    assert [tuple(batch.shape) for batch in batches] == [(2, 3, 32, 48), (2, 3, 32, 48), (1, 3, 32, 48)]
    levels = np.concatenate([batch.float().mean(dim=(1, 2, 3)).numpy() for batch in batches])
    np.testing.assert_allclose(levels, grey_levels(10)[[0, 2, 2, 5, 9]], atol=4)
