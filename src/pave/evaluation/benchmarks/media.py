"""Finds the media of a sample, and says what is not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pave.errors import InputError
from pave.evaluation.benchmarks.rows import Media, Place

VIEWS_FOLDER, FILMS_FOLDER = "views", "films"


@dataclass(frozen=True)
class Found:
    """The media of a sample, as ``samples.jsonl`` names them.

    Args:
        video: The video, or ``None``.
        side: Channel to file, or to ``None``.
        missing: What was looked for in vain, by its first place.
        unmade: Whether a film could be made of what is there.
    """

    video: str | None
    side: dict[str, str | None]
    missing: tuple[str, ...]
    unmade: bool = False


@dataclass
class MediaFinder:
    """Looks for media once, however many questions are about them.

    Args:
        root: Folder of the media.
        out: Where the data set will stand: media in it are named relative to it.
        fresh: Where it is being written.
        channels: Side channels to name.
        features: Channel to folder of feature files.
        films: Whether to write films that must be made.
    """

    root: Path
    out: Path
    fresh: Path
    channels: tuple[str, ...]
    features: Mapping[str, Path]
    films: bool
    _exists: dict[Path, bool] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; name the one that holds the media")
        self._indices = {channel: _index(folder) for channel, folder in self.features.items()}

    def find(self, media: Media) -> Found:
        """Find, or make, what there is of a sample's media.

        Raises:
            InputError: If features of one name lie in two places, or a film cannot be made.
        """
        video, unmade = self._first(media.video), False
        if video is None and media.film is not None:
            source = self._first(media.film.sources)
            unmade = source is not None and not self.films
            video = self._make(media, source) if source is not None and self.films else None
        missing = [] if video is not None else [media.video[0].path]
        side: dict[str, str | None] = {}
        for channel in self.channels:
            side[channel], lacking = self._channel(channel, media, video)
            missing += [path for path in lacking if path not in missing]
        written = None if video is None else self._written(video)
        return Found(written, side, tuple(missing), unmade)

    def _channel(self, channel: str, media: Media, video: Path | None) -> tuple[str | None, list[str]]:
        if channel in self.features:
            feature = self._indices[channel].get(media.name)
            wanted = (self.features[channel] / media.name).as_posix()
            return (None, [wanted]) if feature is None else (self._written(_one(feature, wanted)), [])
        if media.cameras and channel == "views":
            return self._views(media)
        own = media.side.get(channel)
        path = video if own is None else self._first(own)
        if path is not None:
            return self._written(path), []
        return None, [own[0].path] if own else []

    def _views(self, media: Media) -> tuple[str | None, list[str]]:
        found = [self._first(camera) for camera in media.cameras]
        lacking = [camera[0].path for camera, path in zip(media.cameras, found, strict=True) if path is None]
        present = [path for path in found if path is not None]
        if not present:
            return None, lacking
        name = f"{VIEWS_FOLDER}/{media.name}.json"
        if name not in self._made:
            cameras = [{"path": str(path.absolute())} for path in present]
            (self.fresh / VIEWS_FOLDER).mkdir(exist_ok=True)
            (self.fresh / name).write_text(json.dumps({"cameras": cameras}, indent=1) + "\n", encoding="utf-8")
            self._made.add(name)
        return name, lacking

    def _make(self, media: Media, source: Path) -> Path:
        from pave.evaluation.benchmarks.films import write_film

        assert media.film is not None
        name = f"{FILMS_FOLDER}/{media.name}.mp4"
        if name not in self._made:
            (self.fresh / FILMS_FOLDER).mkdir(exist_ok=True)
            write_film(media.film, source, self.fresh / name)
            self._made.add(name)
        return self.out / name

    def _first(self, candidates: tuple[Place, ...]) -> Path | None:
        return next((self.root / place.path for place in candidates if self._has(place)), None)

    def _has(self, place: Place) -> bool:
        path = self.root / place.path / place.holds
        if path not in self._exists:
            self._exists[path] = path.exists()
        return self._exists[path]

    def _written(self, path: Path) -> str:
        full, folder = path.absolute(), self.out.absolute()
        return full.relative_to(folder).as_posix() if full.is_relative_to(folder) else str(full)


def _index(folder: Path) -> dict[str, list[Path]]:
    """Return the files and folders below a folder by their names without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one that holds the features")
    index: dict[str, list[Path]] = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            index.setdefault(name, []).append(Path(place, name))
        for name in files:
            index.setdefault(Path(name).stem, []).append(Path(place, name))
    return index


def _one(found: list[Path], wanted: str) -> Path:
    """Return the only feature file of a name; of a folder with one file, that file."""
    if len(found) > 1:
        raise InputError(f"features of {wanted} lie at {found[0]} and at {found[1]}; leave one of them")
    content = list(found[0].iterdir()) if found[0].is_dir() else []
    return content[0] if len(content) == 1 else found[0]
