"""Tiny audio models of every supported family, random and saved as folders with their feature extractors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

RATE = 16_000
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAVEFORM = SMALL | {
    "conv_dim": (8, 8),
    "conv_stride": (20, 16),
    "conv_kernel": (20, 16),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def _waveform(name: str):
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**WAVEFORM))
    return model, transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE)


def _wav2vec2_bert():
    config = transformers.Wav2Vec2BertConfig(**SMALL, feature_projection_input_dim=32, conv_depthwise_kernel_size=3)
    return transformers.Wav2Vec2BertModel(config), transformers.SeamlessM4TFeatureExtractor(
        feature_size=16, num_mel_bins=16
    )


def _ast():
    config = transformers.ASTConfig(
        **SMALL, max_length=128, num_mel_bins=32, patch_size=8, frequency_stride=8, time_stride=8
    )
    return transformers.ASTModel(config), transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128)


def _whisper():
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        vocab_size=60,
        max_source_positions=150,
        num_mel_bins=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return transformers.WhisperModel(config), transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=3)


def _clap_audio_settings(fusion: bool) -> dict:
    return {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "num_mel_bins": 32,
        "spec_size": 64,
        "window_size": 4,
        "enable_fusion": fusion,
    }


def _clap_extractor(fusion: bool):
    return transformers.ClapFeatureExtractor(
        feature_size=32,
        sampling_rate=RATE,
        hop_length=160,
        max_length_s=1,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    )


def _clap(fusion: bool):
    text = SMALL | {"vocab_size": 60}
    config = transformers.ClapConfig(text_config=text, audio_config=_clap_audio_settings(fusion))
    return transformers.ClapModel(config), _clap_extractor(fusion)


BUILDERS = {
    "ast": _ast,
    "clap": lambda: _clap(False),
    "clap_fusion": lambda: _clap(True),
    "hubert": lambda: _waveform("Hubert"),
    "wav2vec2": lambda: _waveform("Wav2Vec2"),
    "wav2vec2_bert": _wav2vec2_bert,
    "wav2vec2_conformer": lambda: _waveform("Wav2Vec2Conformer"),
    "wavlm": lambda: _waveform("WavLM"),
    "whisper": _whisper,
}


def save_random(build: Callable[[], tuple[Any, Any]], folder: Path, seed: int) -> Path:
    """Save a model and its processor as a folder, with weights so large that inputs tell outputs apart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = build()
        for weight in model.parameters():
            if weight.ndim >= 2:
                torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_tiny_model(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of a family and its feature extractor as a folder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, extractor = BUILDERS[name]()
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder
