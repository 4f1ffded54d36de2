"""Encoders: from media files to side channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pave.registry import Registry

if TYPE_CHECKING:
    from pave.encoders.base import Encoder

registry: Registry[type[Encoder]] = Registry(
    "encoder",
    "pave.encoders",
    {
        "audio": "pave.encoders.audio:AudioEncoder",
        "depth": "pave.encoders.depth:DepthEncoder",
        "frames": "pave.encoders.frames:FramesEncoder",
        "imagebind": "pave.encoders.imagebind:ImageBindEncoder",
        "languagebind": "pave.encoders.languagebind:LanguageBindEncoder",
        "llava3d": "pave.encoders.llava3d:LLaVA3DEncoder",
        "log_mel": "pave.encoders.log_mel:LogMelEncoder",
        "precomputed": "pave.encoders.precomputed:PrecomputedEncoder",
        "views": "pave.encoders.views:ViewsEncoder",
    },
)


def build(settings: dict[str, Any], where: str = "") -> Encoder:
    """Build an encoder from its settings, a mapping with the encoder's name under ``type``.

    Raises:
        InputError: On an unknown type, or a setting that this encoder does not have.
    """
    from pave.encoders.base import build_encoder

    return build_encoder(settings, where)
