"""How each family of transformers' audio models takes a window of sound and gives tokens, in one form for all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

AST_SPECTRUM_SEC = 0.025
AST_HOP_SEC = 0.010
"""Kaldi's filter banks, which AST was trained on: spectra of 25 ms, every 10 ms, wholly inside the sound."""


class WaveformFamily:
    """Wav2Vec2, HuBERT, WavLM and their kin: tokens follow the sound, with no padding.

    Args:
        model: What ``AutoModel`` loads.
        extractor: The model's feature extractor.
        window_sec: Length of every window.
    """

    def __init__(self, model: nn.Module, extractor: Any, window_sec: float) -> None:
        self.module = self.part_of(model)
        self.extractor = extractor
        self.window_sec = window_sec

    @staticmethod
    def part_of(model: nn.Module) -> nn.Module:
        """Return the part of the model that encodes sound."""
        return model

    @staticmethod
    def longest_sec(extractor: Any) -> float:
        """Return the longest window that the model takes whole."""
        return math.inf

    def inputs(self, windows: np.ndarray) -> dict[str, Tensor]:
        """Return the model's inputs for windows of sound (B,L)."""
        features = self.extractor(list(windows), sampling_rate=self.extractor.sampling_rate, return_tensors="pt")
        return dict(features)

    def tokens(self, output: Any) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens (B,N,D) that come from sound, not from padding, and their grid."""
        hidden = output.last_hidden_state
        return hidden, (1, hidden.shape[1])


class WhisperFamily(WaveformFamily):
    """Whisper's encoder: always thirty seconds; the tokens of the padding are left out."""

    @staticmethod
    def part_of(model: nn.Module) -> nn.Module:
        """Return the encoder."""
        return model.get_encoder()

    @staticmethod
    def longest_sec(extractor: Any) -> float:
        """Return the chunk's length."""
        return float(extractor.chunk_length)

    def tokens(self, output: Any) -> tuple[Tensor, tuple[int, int]]:
        """Return the tokens (B,N,D) of the window, two spectrogram frames each."""
        hidden = output.last_hidden_state
        frames = self.window_sec * self.extractor.sampling_rate / self.extractor.hop_length
        hidden = hidden[:, : min(hidden.shape[1], math.ceil(frames / 2))]
        return hidden, (1, hidden.shape[1])


class SpectrogramFamily(WaveformFamily):
    """The audio spectrogram transformer: patches, frequency by time, after two tokens that stand for the whole."""

    @staticmethod
    def longest_sec(extractor: Any) -> float:
        """Return the length of the padded spectrogram."""
        return (extractor.max_length - 1) * AST_HOP_SEC + AST_SPECTRUM_SEC

    def tokens(self, output: Any) -> tuple[Tensor, tuple[int, int]]:
        """Return the patches (B,N,D) that start within the window, row-major in (frequency, time)."""
        config = self.module.config
        rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        patches = output.last_hidden_state[:, 2:].unflatten(1, (rows, -1))
        spectra = 1 + math.floor((self.window_sec - AST_SPECTRUM_SEC) / AST_HOP_SEC)
        columns = (spectra - config.patch_size) // config.time_stride + 1
        patches = patches[:, :, : max(1, columns)]
        return patches.flatten(1, 2), (rows, patches.shape[2])


class ClapFamily(WaveformFamily):
    """The audio part of CLAP, before its projection; its extractor fills short windows by repeating them."""

    @staticmethod
    def part_of(model: nn.Module) -> nn.Module:
        """Return the audio part."""
        return model.audio_model

    @staticmethod
    def longest_sec(extractor: Any) -> float:
        """Return the length beyond which the extractor would cut at random."""
        return extractor.nb_max_samples / extractor.sampling_rate

    def inputs(self, windows: np.ndarray) -> dict[str, Tensor]:
        """Return the model's inputs for windows of sound (B,L)."""
        features = super().inputs(windows)
        # In its fusion mode the extractor marks one sound of every batch, picked at random, as longer than it is.
        features["is_longer"] = torch.zeros(len(windows), 1, dtype=torch.bool)
        return features

    def tokens(self, output: Any) -> tuple[Tensor, tuple[int, int]]:
        """Return the tokens (B,N,D), row-major in (frequency, time)."""
        hidden = output.last_hidden_state
        return hidden.flatten(2).transpose(1, 2), (hidden.shape[2], hidden.shape[3])


FAMILIES: dict[str, type[WaveformFamily]] = {
    "audio-spectrogram-transformer": SpectrogramFamily,
    "clap": ClapFamily,
    "hubert": WaveformFamily,
    "wav2vec2": WaveformFamily,
    "wav2vec2-bert": WaveformFamily,
    "wav2vec2-conformer": WaveformFamily,
    "wavlm": WaveformFamily,
    "whisper": WhisperFamily,
}
"""By ``model_type`` of the model's configuration."""
