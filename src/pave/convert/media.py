"""Released patches on raw media: an encoder in place of the feature files that the reference reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pave import encoders
from pave.checkpoint import Content
from pave.errors import InputError, nearest


def with_encoders(contents: Sequence[Content], settings: Mapping[str, dict[str, Any]]) -> list[Content]:
    """Return patches that read their channels through these encoders, whose settings are checked by building them.

    Args:
        contents: The patches.
        settings: Channel to the encoder's settings, with its name under ``type``; other channels stay as they are.

    Raises:
        InputError: If a channel is none of the patches', or an encoder cannot be built or makes features of another
            width than the patch reads.
    """
    channels = [content.spec.patch.channel for content in contents if content.spec.patch is not None]
    for channel in settings:
        if channel not in channels:
            raise InputError(
                f"an encoder is given for channel {channel!r}; the checkpoint has {', '.join(channels)}"
                f"{nearest(channel, channels)}"
            )
    return [_with_encoder(content, settings) for content in contents]


def _with_encoder(content: Content, settings: Mapping[str, dict[str, Any]]) -> Content:
    patch, preprocessing = content.spec.patch, content.preprocessing
    if patch is None or preprocessing is None or patch.channel not in settings:
        return content
    chosen = settings[patch.channel]
    encoder = encoders.build(chosen, f"encoder of {patch.channel}")
    # An encoder of the base's tower has no width before it has met the base.
    width = None if encoder.needs_tower else encoder.width
    if width not in (None, patch.side_dim):
        raise InputError(
            f"encoder of {patch.channel}: {chosen['type']!r} makes features of width {width}, the patch reads "
            f"{patch.side_dim}; give the encoder that it was trained with"
        )
    return replace(content, preprocessing=replace(preprocessing, encoder=dict(chosen)))
