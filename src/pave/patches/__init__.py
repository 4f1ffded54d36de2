"""Patches: the trained modules that read a side channel, for a residual on the video tokens or tokens of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pave.registry import Registry

if TYPE_CHECKING:
    from pave.config import PatchConfig
    from pave.patches.patch import Patch

registry: Registry[type[Patch]] = Registry(
    "patch type",
    "pave.patches",
    {
        "append": "pave.patches.append:AppendPatch",
        "cross_attention": "pave.patches.cross_attention:CrossAttentionPatch",
    },
)


def build(config: PatchConfig) -> Patch:
    """Build the bare module of a patch, freshly initialised; a residual is then exactly 0.

    Raises:
        InputError: If ``config.type`` is unknown, or a width is still to be filled in by a base.
    """
    return registry.get(config.type)(config)
