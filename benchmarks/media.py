"""What decoding costs: frames at seconds against decoding the whole file, and sound against a plain decoding loop.

    python benchmarks/media.py                # a film of five minutes, written for the purpose
    python benchmarks/media.py --quick        # seconds
    python benchmarks/media.py --film my.mp4  # your own

Every round measures all variants in turn, in rotating order, so that whatever else the machine does hits them alike; a
ratio is the median over the rounds. All variants of a task must give the same result, or the benchmark fails. The last
line of standard output is the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from rounds import in_turn

from pave.files import write_whole
from pave.media.audio import read_audio, stream_audio
from pave.media.probe import probe
from pave.media.video import frames_at, uniform_times_sec
from pave.training.facts import versions

SAMPLE_RATE = 16_000
TASKS = ("frames", "sound")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        film = options.film or _write_film(Path(folder) / "film.mp4", options)
        info = probe(film)
        times_sec = uniform_times_sec(info.duration_sec, options.frames)
        variants: dict[str, dict[str, Callable[[], np.ndarray]]] = {
            "frames": {
                "pave": lambda: frames_at(film, times_sec).pixels,
                "whole file": lambda: _whole_film(film, times_sec),
            },
            "sound": {
                "pave": lambda: _sound(film),
                "pave streamed": lambda: _streamed(film),
                "plain": lambda: _plain(film),
            },
        }
        for task in TASKS:
            check_same(variants[task])
        result = {
            "benchmark": "media",
            "film": {
                "seconds": info.duration_sec,
                "width": info.width,
                "height": info.height,
                "bytes": film.stat().st_size,
            },
            "frames_sampled": options.frames,
            "rounds": options.rounds,
            "versions": versions(),
            **{task: in_turn(variants[task], options.rounds) for task in TASKS},
        }
    _print(result)
    if options.out is not None:
        write_whole(options.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of frames at seconds and of sound, against plain decoding.")
    parser.add_argument("--film", type=Path, help="a film with sound; by default one is written")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the film that is written")
    parser.add_argument("--height", type=int, default=360, help="its height in pixels; 16:9")
    parser.add_argument("--fps", type=int, default=25, help="its frames a second")
    parser.add_argument("--frames", type=int, default=32, help="frames sampled from it")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="a short, small film and two rounds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.height, options.frames, options.rounds = 8.0, 72, 4, 2
    return options


def _write_film(path: Path, options: argparse.Namespace) -> Path:
    """Write moving noise with a rising tone; keyframes stand ten seconds apart, as films on the web have them."""
    height, width = options.height, options.height * 16 // 9 // 2 * 2
    wall = np.random.default_rng(0).integers(0, 255, (height, 2 * width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=options.fps)
        picture.height, picture.width, picture.pix_fmt = height, width, "yuv420p"
        picture.codec_context.gop_size = 10 * options.fps
        track = container.add_stream("aac", rate=48_000, layout="mono")
        for index in range(round(options.seconds * options.fps)):
            pixels = np.ascontiguousarray(wall[:, index % width : index % width + width])
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode())
        for start in range(0, round(options.seconds * 48_000), 1024):
            times_sec = (start + np.arange(1024)) / 48_000
            tone = (0.3 * np.sin(2 * np.pi * (200 + 5 * times_sec) * times_sec)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return path


def _whole_film(path: Path, times_sec: np.ndarray) -> np.ndarray:
    """Decode every frame and keep those that are on screen at the given times."""
    pixels, shown, wanted = [], None, list(times_sec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        start = stream.start_time or 0
        for frame in container.decode(stream):
            time_sec = float((frame.pts - start) * stream.time_base)
            while wanted and shown is not None and time_sec > wanted[0] + 1e-6:
                pixels.append(shown.to_ndarray(format="rgb24"))
                wanted.pop(0)
            shown = frame
    assert shown is not None
    return np.stack(pixels + [shown.to_ndarray(format="rgb24")] * len(wanted))


def _sound(path: Path) -> np.ndarray:
    audio = read_audio(path, SAMPLE_RATE)
    assert audio is not None
    return audio.samples


def _streamed(path: Path) -> np.ndarray:
    """Take the pieces as they come and keep one number of each, as an encoder of long files would."""
    pieces = stream_audio(path, SAMPLE_RATE)
    assert pieces is not None
    return np.array([float(np.square(piece, dtype=np.float64).sum()) for piece in pieces]).sum(keepdims=True)


def _plain(path: Path) -> np.ndarray:
    """Decode and resample in one loop, with no care for clocks, gaps or channels."""
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in [*parts, *resampler.resample(None)]])


def check_same(variants: dict[str, Callable[[], np.ndarray]]) -> None:
    """Check pixels one by one, and sounds by their energy: codecs pad the ends of a track."""
    first, *others = variants
    expected = variants[first]()
    for name in others:
        found = variants[name]()
        if expected.dtype == np.uint8:
            same = np.array_equal(expected, found)
        else:
            same = abs(_energy(expected) - _energy(found)) < 0.01 * _energy(expected)
        if not same:
            raise RuntimeError(f"{name} gives another result; the comparison is void")


def _energy(sound: np.ndarray) -> float:
    """Return the energy of a sound; one number is an energy already."""
    return float(sound.sum() if sound.size == 1 else np.square(sound, dtype=np.float64).sum())


def _print(result: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    film = result["film"]
    title = f"{film['seconds']:.0f} s of {film['width']} x {film['height']}, {result['frames_sampled']} frames"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for heading in ("", "", "median", "of pave"):
        table.add_column(heading, justify="right" if heading else "left")
    for task in TASKS:
        for name, seconds in result[task]["median_sec"].items():
            table.add_row(task, name, f"{1000 * seconds:.1f} ms", f"{result[task]['ratio'].get(name, 1.0):.2f}")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
