"""The frames of a video as a side channel: true times, every family, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from pave.encoders import build
from pave.errors import InputError
from tests.encoders.video_models import SIDE, VIDEO_BUILDERS, GreyTower, save_tiny_video_model
from tests.media.writing import grey_frames, write_media


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny_video_model(name, folder / name) for name in VIDEO_BUILDERS}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two and a half seconds, 50 frames of moving noise."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 400, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    frames = np.stack([noise[:, 8 * index : 8 * index + 64] for index in range(50)])
    return write_media(tmp_path_factory.mktemp("film") / "film.mp4", frames, fps=20)


def on_tower(**settings):
    encoder = build({"type": "frames", **settings})
    encoder.attach(GreyTower())
    return encoder


def on_model(folder, **settings):
    return build({"type": "frames", "model": str(folder), "device": "cpu", "frame_rate": 10.0, **settings})


def flash_film(path, times_sec, flash_sec):
    """Write dark frames, the one at ``flash_sec`` bright."""
    frames = np.full((len(times_sec), 32, 48, 3), 30, dtype=np.uint8)
    frames[np.isclose(times_sec, flash_sec)] = 220
    return write_media(path, frames, np.asarray(times_sec), fps=30)


def uneven_times(seed=0, length_sec=6.0):
    """Variable frame rate, between 8 and 40 frames a second, with a frame at 3.200 s."""
    gaps = np.random.default_rng(seed).uniform(0.025, 0.125, 400)
    times_sec = np.concatenate([[0.0], np.cumsum(gaps)])
    others = times_sec[(times_sec < length_sec) & (np.abs(times_sec - 3.2) > 0.025)]
    return np.sort(np.append(others, 3.2).round(3))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", [None, 40.0, 50.0])
def test_a_flash_is_in_the_step_that_covers_it(tmp_path, container, rate):
    path = flash_film(tmp_path / f"flash.{container}", uneven_times(), 3.2)
    side = on_tower(frame_rate=rate, grid=(1, 1)).encode(path)
    bright = side.values[:, 0, 0] > 120
    first = side.times_sec[bright][0]
    if rate is None:
        shown = np.append(uneven_times(), 6.1)
        appears = np.flatnonzero(np.isclose(shown, 3.2))[0]
        assert bright.sum() == 1
        assert first == pytest.approx((shown[appears] + shown[appears + 1]) / 2, abs=2e-3)
    else:
        assert abs(first - 3.2) <= 0.5 / rate + 1e-3


def test_a_flash_at_a_steady_rate_lights_one_step(tmp_path):
    path = flash_film(tmp_path / "flash.mp4", np.arange(120) / 20, 3.2)
    side = on_tower(frame_rate=20.0, grid=(1, 1)).encode(path)
    assert side.times_sec[side.values[:, 0, 0] > 120].tolist() == pytest.approx([3.225])
    assert side.steps == 120


def test_tokens_are_means_of_places(tmp_path):
    frames = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    frames[:, :16, 16:] = 200
    path = write_media(tmp_path / "a.mp4", frames, fps=4)
    side = on_tower(frame_rate=4.0).encode(path)
    assert side.grid == (2, 2)
    torch.testing.assert_close(side.values[0, :, 0], torch.tensor([0.0, 200.0, 0.0, 0.0]), atol=4, rtol=0)
    one = on_tower(frame_rate=4.0, grid=(1, 1), dtype="bfloat16").encode(path)
    assert (one.values.dtype, one.tokens) == (torch.bfloat16, 1)
    with pytest.raises(InputError, match=r"a\.mp4: its frames have 2 x 2 features, fewer than grid 3 x 1"):
        on_tower(grid=(3, 1)).encode(path)


def test_frames_that_stay_on_screen_are_encoded_once(tmp_path):
    path = write_media(tmp_path / "slides.mp4", grey_frames(3), np.array([0.0, 2.0, 4.0]), fps=10)
    encoder = on_tower(frame_rate=10.0, grid=(1, 1), batch_size=100)
    side = encoder.encode(path)
    assert (side.steps, encoder.tower.most) == (41, 3)
    levels = side.values[:, 0, 0]
    torch.testing.assert_close(levels[[5, 25, 40]], torch.tensor([20.0, 30.0, 40.0]), atol=3, rtol=0)


GRIDS = {"timesformer": 1, "videomae": 2, "vivit": 2, "vjepa2": 2}


@pytest.mark.parametrize("name", sorted(VIDEO_BUILDERS))
def test_every_family_gives_steps_at_their_centres(models, film, name):
    encoder = on_model(models[name])
    side = encoder.encode(film)
    group = GRIDS[name]
    centres = [(step + 0.5) * group / 10 for step in range(-(-25 // group))]
    centres[-1] = (2.5 + (len(centres) - 1) * group / 10) / 2
    assert side.times_sec.tolist() == pytest.approx(centres)
    assert (side.tokens, side.width, side.grid) == (4, encoder.width, (2, 2))
    assert side.values.std() > 0.01 and not encoder.needs_tower


def clip_of(name, film, folder, start):
    """The first frames of a clip through transformers' own model and processor: tokens as it lays them."""
    from pave.media.video import frames_at

    loaded = transformers.AutoModel.from_pretrained(folder).eval()
    count = {"timesformer": 4}.get(name, 8)
    pixels = frames_at(film, (np.arange(start, start + count) + 0.5) / 10).pixels
    processor = transformers.AutoVideoProcessor.from_pretrained(folder)
    inputs = processor([torch.from_numpy(pixels).permute(0, 3, 1, 2)], return_tensors="pt")
    with torch.no_grad():
        return loaded(**inputs).last_hidden_state[0]


@pytest.mark.parametrize("name", sorted(VIDEO_BUILDERS))
def test_tokens_are_those_of_transformers(models, film, name):
    steps = 8 // GRIDS[name] if name != "timesformer" else 4
    tokens = clip_of(name, film, models[name], 0)
    if name in ("timesformer", "vivit"):
        tokens = tokens[1:]
    places = SIDE // 8
    if name == "timesformer":
        laid = tokens.view(places, places, steps, -1).permute(2, 0, 1, 3)
    else:
        laid = tokens.view(steps, places, places, -1)
    expected = laid.unflatten(1, (2, 2)).unflatten(3, (2, 2)).mean(dim=(2, 4)).flatten(1, 2)
    side = on_model(models[name], overlap=0.0).encode(film)
    torch.testing.assert_close(side.values[:steps], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(VIDEO_BUILDERS))
def test_clips_at_once_change_nothing(models, film, name):
    one = on_model(models[name], batch_size=1).encode(film)
    many = on_model(models[name], batch_size=5).encode(film)
    torch.testing.assert_close(one.values, many.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(VIDEO_BUILDERS))
def test_a_video_shorter_than_a_clip(models, tmp_path, name):
    path = write_media(tmp_path / "short.mp4", grey_frames(1), fps=10)
    side = on_model(models[name]).encode(path)
    assert side.steps == 1 and side.times_sec.tolist() == pytest.approx([0.05])


def test_costs_and_identity(models, tmp_path):
    encoder = on_model(models["vjepa2"])
    whole = transformers.VJEPA2Model.from_pretrained(models["vjepa2"])
    assert encoder.num_parameters == sum(weight.numel() for weight in whole.encoder.parameters())
    assert encoder.flops(10.0) > encoder.flops(1.0) > 0
    assert encoder.revision == on_model(models["vjepa2"]).revision
    assert encoder.revision != on_model(save_tiny_video_model("vjepa2", tmp_path, seed=1)).revision
    tower = on_tower()
    assert (tower.width, tower.tokens, tower.revision, tower.num_parameters) == (1, 4, "grey", 0)
    with pytest.raises(InputError, match="only a file tells the number of frames"):
        on_tower(frame_rate=None).flops(1.0)


def test_long_videos_take_little_memory(tmp_path):
    """Frames come and go in batches: what is held at once does not grow with the video."""
    import tracemalloc

    peaks = []
    for seconds in (20, 200):
        frames = np.broadcast_to(np.uint8(90), (seconds * 5, 96, 128, 3))
        path = write_media(tmp_path / f"{seconds}.mp4", frames, fps=5)
        encoder = on_tower(frame_rate=5.0, grid=(1, 1))
        tracemalloc.start()
        side = encoder.encode(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert side.steps == seconds * 5
        assert encoder.tower.most == 8
    assert peaks[1] < peaks[0] + 1000 * 96 * 128 * 3 / 20


def test_bad_settings_and_files(models, tmp_path):
    for settings, message in (
        ({"frame_rate": 0.0}, r"frame_rate is 0\.0; it must be above 0"),
        ({"grid": (2, 0)}, r"grid is \[2, 0\]; give rows and columns"),
        ({"overlap": 1.0}, r"overlap is 1\.0"),
        ({"device": "toaster"}, "device 'toaster' is none"),
    ):
        with pytest.raises(InputError, match=message):
            build({"type": "frames", **settings})
    with pytest.raises(InputError, match="encoder 'frames' works with the tower of a base, and has none"):
        build({"type": "frames"}).encode(write_media(tmp_path / "a.mp4", grey_frames(3)))
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match=r"empty\.mp4: the file is empty"):
        on_tower().encode(tmp_path / "empty.mp4")
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match="is of type 'bert'; known: timesformer, videomae, vivit, vjepa2"):
        on_model(tmp_path / "bert")
    model, _ = VIDEO_BUILDERS["videomae"]()
    model.save_pretrained(tmp_path / "wrong")
    transformers.VideoMAEVideoProcessor().save_pretrained(tmp_path / "wrong")
    with pytest.raises(InputError, match="makes pictures of 224 x 224, its model takes 32 x 32"):
        on_model(tmp_path / "wrong")
    space = transformers.TimesformerConfig(attention_type="space_only")
    space.save_pretrained(tmp_path / "space")
    with pytest.raises(InputError, match="attends to space only"):
        on_model(tmp_path / "space")


def test_nan_names_the_file(models, film):
    encoder = on_model(models["vivit"])
    with torch.no_grad():
        for weight in encoder._clips.module.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"film\.mp4: side channel: values hold NaN"):
        encoder.encode(film)
