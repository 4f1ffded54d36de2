"""Every feature type of the reference: where its tokens lie, and when its steps are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pave.encoders import build
from pave.encoders.base import Encoder
from pave.errors import InputError
from tests.encoders.test_features import Bomb
from tests.media.writing import grey_frames, write_media


def numbered(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).view(shape).to(dtype)


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path


def reader(recipe: str, **settings: Any) -> Encoder:
    return build({"type": "precomputed", "recipe": recipe, **settings})


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """3 s of 10 frames a second."""
    return write_media(tmp_path / "film.mp4", grey_frames(30))


@pytest.fixture
def cameras(tmp_path: Path) -> Path:
    folder = tmp_path / "takes" / "448"
    for camera in (2, 1, 3):
        save(folder / f"exo{camera}.pt", torch.full((4, 9, 5), float(camera)) + numbered(4, 1, 1) * 10)
    return folder


@pytest.mark.parametrize("recipe", ["languagebind", "languagebind_14x14", "internvideo2", "siglip", "reference"])
@pytest.mark.parametrize(("tokens", "kept"), [(5, 4), (197, 196), (196, 196), (257, 256), (4, 4), (2, 1), (1, 1)])
def test_the_cls_token_of_dense_features_is_left_out(tmp_path: Path, recipe: str, tokens: int, kept: int) -> None:
    values = numbered(6, tokens, 3, dtype=torch.bfloat16)
    side = reader(recipe, times="index").encode(save(tmp_path / "a.pt", values))
    assert torch.equal(side.values, values[:, tokens - kept :])
    assert side.grid == (kept**0.5, kept**0.5)


@pytest.mark.parametrize("recipe", ["audio", "reference"])
def test_sound_is_one_token_a_step(tmp_path: Path, recipe: str) -> None:
    values = numbered(7, 3).requires_grad_()
    side = reader(recipe, times="index").encode(save(tmp_path / "a.pt", values))
    assert torch.equal(side.values, values.detach().view(7, 1, 3)) and not side.values.requires_grad


def test_clips_of_several_tokens_of_sound_stand_in_a_row(tmp_path: Path) -> None:
    values = numbered(2, 3, 4)
    path = save(tmp_path / "a.pt", values)
    assert torch.equal(reader("audio", hop_sec=0.16).encode(path).values, values.view(6, 1, 4))
    with pytest.raises(InputError, match="does not tell the times of its steps; set 'hop_sec'"):
        reader("audio").encode(path)


@pytest.mark.parametrize("recipe", ["3d_feature", "reference"])
def test_a_scene_is_32_square_views(tmp_path: Path, recipe: str) -> None:
    values = numbered(1, 32 * 9, 2)
    side = reader(recipe, times="index").encode(save(tmp_path / "a.pt", values))
    assert torch.equal(side.values, values.view(32, 9, 2)) and side.grid == (3, 3)


@pytest.mark.parametrize("recipe", ["exo", "exo_random", "reference"])
def test_cameras_stand_moment_by_moment(cameras: Path, recipe: str) -> None:
    side = reader(recipe, times="index").encode(cameras)
    assert side.values.shape == (12, 9, 5)
    assert side.values[:, 0, 0].tolist() == [1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32, 33]
    assert side.times_sec.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_imagebinds_windows_are_2_s_long_and_start_every_second(tmp_path: Path) -> None:
    side = reader("audio", offset_sec=0.5).encode(save(tmp_path / "a.pt", numbered(59, 4)))
    assert side.times_sec.tolist() == [index + 1.5 for index in range(59)]


@pytest.mark.parametrize("recipe", ["languagebind", "languagebind_14x14"])
def test_dense_frames_are_timed_by_their_video(tmp_path: Path, film: Path, recipe: str) -> None:
    path = save(tmp_path / "a.pt", numbered(8, 5, 4))
    side = reader(recipe).encode(path, film)
    assert reader(recipe).needs_video
    np.testing.assert_allclose(side.times_sec, np.array([0, 4, 8, 12, 16, 20, 24, 29]) / 10, atol=1e-3)
    with pytest.raises(InputError, match=r"a\.pt: its steps are frames of a video.* name the video as well"):
        reader(recipe).encode(path)


def test_cameras_are_timed_by_the_video_that_they_are_aligned_with(film: Path, cameras: Path) -> None:
    side = reader("exo").encode(cameras, film)
    np.testing.assert_allclose(side.times_sec, np.repeat([0, 0.9, 1.9, 2.9], 3), atol=1e-3)


def test_a_scene_is_timed_like_a_folder_of_pictures(tmp_path: Path) -> None:
    side = reader("3d_feature").encode(save(tmp_path / "a.pt", numbered(1, 32, 2)))
    assert side.times_sec.tolist() == list(range(32))


@pytest.mark.parametrize("recipe", ["internvideo2", "siglip", "reference"])
def test_what_implies_no_times_asks_for_them(tmp_path: Path, film: Path, recipe: str) -> None:
    path = save(tmp_path / "a.pt", numbered(6, 5, 4))
    with pytest.raises(InputError, match="does not tell the times of its steps"):
        reader(recipe).encode(path, film)
    side = reader(recipe, hop_sec=0.5, start_sec=0.25).encode(path)
    assert side.times_sec.tolist() == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]


def test_training_draws_cameras_by_the_number_of_the_draw(cameras: Path) -> None:
    def drawn(numbers: Iterable[int], seed: int = 3) -> list[tuple[float, ...]]:
        encoder = reader("exo_random", times="index", seed=seed)
        encoder.training = True
        whole = encoder.encode(cameras)
        assert encoder.thins and whole.steps == 12
        sides = [encoder.thin(whole, cameras, None, number) for number in numbers]
        return [tuple(side.values[: side.steps // 4, 0, 0].tolist()) for side in sides]

    assert set(drawn(range(60))) == {(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)}
    assert drawn(range(60)) == drawn(reversed(range(60)))[::-1] != drawn(range(60), seed=4)
    assert not reader("exo_random", times="index").thins


@pytest.mark.parametrize(
    ("recipe", "content", "says"),
    [
        ("languagebind", numbered(4, 6, 3), "has 6 tokens a step; they must be a square, or a CLS token and a square"),
        ("languagebind", numbered(4, 3), "this recipe reads"),
        ("audio", numbered(2, 2, 2, 2), "this recipe reads"),
        ("audio", numbered(4, 3).fill_(torch.nan), "NaN or infinity at step 0"),
        ("3d_feature", numbered(1, 100, 3), r"a scene has \(1, 32 P, D\)"),
        ("3d_feature", numbered(2, 32, 3), r"a scene has \(1, 32 P, D\)"),
        ("exo", numbered(4, 4, 3), "no such folder"),
        ("siglip", {"values": numbered(4, 4, 3), "times_sec": numbered(4)}, "holds its own times; leave 'recipe' out"),
        ("reference", numbered(3, 7, 2), "has 7 tokens a step"),
        ("reference", Bomb(), "never unpickled"),
        ("audio", numbered(4, 7), "have width 7, the settings say 3"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, recipe: str, content: Any, says: str) -> None:
    path = save(tmp_path / "bad.pt", content)
    with pytest.raises(InputError, match=says) as error:
        reader(recipe, times="index", width=3).encode(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_folders_that_do_not_fit_are_named(tmp_path: Path, cameras: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").touch()
    with pytest.raises(InputError, match="empty: holds no feature files"):
        reader("exo", times="index").encode(tmp_path / "empty")
    save(cameras / "exo4.pt", numbered(5, 9, 5))
    with pytest.raises(InputError, match=r"exo4\.pt: has shape \(5, 9, 5\), exo1\.pt \(4, 9, 5\)"):
        reader("exo", times="index").encode(cameras)
    (cameras / "notes.txt").write_text("1")
    with pytest.raises(InputError, match=r"notes\.txt: no feature file"):
        reader("exo", times="index").encode(cameras)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"recipe": "languagebnd"}, "did you mean 'languagebind'"),
        ({"times": "minutes"}, "times is 'minutes'; choose from"),
        ({"times": "index", "hop_sec": 1.0}, "leave one of them out"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build({"type": "precomputed", **settings})
