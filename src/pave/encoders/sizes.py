"""Dimensions of released audio models, so that their cost can be counted without a download."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapTextConfig

from pave.encoders.audio_families import FAMILIES


def count_window(name: str, window_sec: float) -> tuple[int, int]:
    """Return the parameters of a known model, and its floating-point operations for one window of sound.

    Args:
        name: One of :data:`SIZES`.
        window_sec: Length of the window.
    """
    model, extractor = SIZES[name]()
    family = FAMILIES[model.config.model_type](model, extractor, window_sec)
    silence = np.zeros((1, round(window_sec * extractor.sampling_rate)), np.float32)
    inputs = {key: value.to("meta") for key, value in family.inputs(silence).items()}
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        family.module(**inputs)
    return sum(weight.numel() for weight in family.module.parameters()), int(counter.get_total_flops())


def _larger_clap() -> tuple[nn.Module, ClapFeatureExtractor]:
    audio = {
        "hidden_size": 1024,
        "patch_embeds_hidden_size": 128,
        "depths": [2, 2, 12, 2],
        "num_attention_heads": [4, 8, 16, 32],
    }
    with torch.device("meta"):
        model = ClapModel(ClapConfig(audio_config=audio, text_config=ClapTextConfig()))
    return model.eval(), ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")


SIZES: dict[str, Callable[[], tuple[nn.Module, ClapFeatureExtractor]]] = {
    "laion/larger_clap_general": _larger_clap,
    "laion/larger_clap_music": _larger_clap,
}
"""Hub ids; calling one gives the model without weights, and its feature extractor."""
