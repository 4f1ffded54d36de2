"""The media of ScanNet scenes, which ScanQA and SQA3D ask about."""

from __future__ import annotations

from pave.evaluation.benchmarks.rows import Film, Media, Place, places

PICTURES_PER_SEC = 30.0
"""Of ScanNet's recordings, whose exported pictures are named by frame number."""


def scene_media(scene: str) -> Media:
    """Return where a scene's film and its RGB-D recording may lie.

    A film is best; the paper's folder of 32 posed pictures works under ``preset: reference``; a film can be made of
    the exported colour pictures.
    """
    films = (f"{folder}{scene}.mp4" for folder in ("", "videos/", f"scans/{scene}/", f"{scene}/"))
    pictures = (f"{folder}{scene}" for folder in ("posed_images_new/", "posed_images/"))
    homes = tuple(f"{folder}{scene}" for folder in ("scans/", ""))
    return Media(
        name=scene,
        video=places(*films, *pictures),
        side={"depth": tuple(Place(home, holds) for home in homes for holds in ("color", "cameras.json"))},
        film=Film(tuple(Place(f"{home}/color") for home in homes), pictures_per_sec=PICTURES_PER_SEC),
    )
