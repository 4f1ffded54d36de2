"""Tiny random bases of both families with real processors, small videos and samples; each builds in about a second."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from pave.config import LoraSpec, PatchConfig, Preprocessing
from pave.encoders.base import Encoder
from pave.model import PaveModel
from pave.types import SideChannel

FAMILIES = ("llava_onevision", "qwen2_5_vl")
VOCABULARY = 200
PAD, UNKNOWN, START, END, NEWLINE, SPACE = range(6)
VISION_START, VISION_END, IMAGE, VIDEO = 196, 197, 198, 199
WORDS = (
    "user assistant system You are helpful . what which colour made the sound ? is on left right first red green blue "
    "yellow cube ball ring cone bell drum yes no and then it was a"
).split()

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": PAD,
}

# Each as its family writes a conversation: the first renders " \n" before an answer but prompts with "\n" alone.
LLAVA_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}<video>{% endif %}{% endfor %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ '\\n' + part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant .<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


FRAMES = 4
SIDE_DIM = 6
ENCODER = {"type": "precomputed", "width": SIDE_DIM}
PATCH = PatchConfig(channel="audio", side_dim=SIDE_DIM, hidden_dim=16, heads=2, query="vision")
"""It asks with what takes more care than the default: features that have to be kept beside the video tokens."""
LORA = LoraSpec(r=4, alpha=8, dropout=0.1)
PREPROCESSING = Preprocessing(FRAMES, ENCODER)


@dataclass(frozen=True)
class CountingConfig:
    type: str = "counting"


class CountingEncoder(Encoder[CountingConfig]):
    """Stands for an encoder of sound: a fixed signal for each file, absent for a file whose name holds ``silent``."""

    config_class = CountingConfig
    width, tokens = SIDE_DIM, 2

    def __init__(self) -> None:
        super().__init__(CountingConfig())
        self.calls = 0

    def encode(self, path: Path) -> SideChannel | None:
        self.calls += 1
        return None if "silent" in path.name else side_channel(sum(path.name.encode()))


def side_channel(seed: int) -> SideChannel:
    generator = torch.Generator().manual_seed(seed)
    return SideChannel(torch.randn(5, 2, SIDE_DIM, generator=generator), torch.arange(5) * 0.4)


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """One word, space or newline a token, so that decoding gives the text back exactly."""
    image, video = ("<image>", "<video>") if family == "llava_onevision" else ("<|image_pad|>", "<|video_pad|>")
    special = {"<pad>": PAD, "<unk>": UNKNOWN, "<|im_start|>": START, "<|im_end|>": END}
    special |= {"<|vision_start|>": VISION_START, "<|vision_end|>": VISION_END, image: IMAGE, video: VIDEO}
    vocabulary = {**special, "\n": NEWLINE, " ": SPACE}
    vocabulary |= {word: index for index, word in enumerate(WORDS, start=6)}
    vocabulary |= {f"filler{index}": index for index in range(6 + len(WORDS), VISION_START)}
    return word_tokenizer(vocabulary, ["<|vision_start|>", "<|vision_end|>", image, video])


def word_tokenizer(vocabulary: dict[str, int], special: Sequence[str], **named: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words, spaces and line breaks."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n| |[^\s.?]+|[.?]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", *special],
        **named,
    )


def make_processor(family: str) -> ProcessorMixin:
    tokenizer = make_tokenizer(family)
    if family == "llava_onevision":
        size = {"height": 56, "width": 56}
        return LlavaOnevisionProcessor(
            LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[56, 56]]),
            tokenizer,
            LlavaOnevisionVideoProcessor(size=size),
            num_image_tokens=16,
            vision_feature_select_strategy="full",
            chat_template=LLAVA_TEMPLATE,
        )
    size = {"shortest_edge": 56 * 56, "longest_edge": 56 * 112}
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size),
        tokenizer,
        Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        chat_template=QWEN_TEMPLATE,
    )


def make_model(family: str, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = _llava() if family == "llava_onevision" else _qwen()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        # Default weights (std 0.02) leave a tiny tower nearly mute, and every difference drowns in rounding.
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
            elif name.endswith("image_newline"):
                weight.normal_(0, 0.5, generator=generator)
    model.generation_config.pad_token_id = PAD
    model.generation_config.eos_token_id = END
    return model.eval()


def _llava() -> PreTrainedModel:
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "vision_use_head": False,
    }
    config = LlavaOnevisionConfig(
        text_config={**TEXT, "model_type": "qwen2"},
        vision_config=vision,
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        projector_hidden_act="gelu",
    )
    return LlavaOnevisionForConditionalGeneration(config)


def _qwen() -> PreTrainedModel:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 32,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config=vision,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def save_base(family: str, folder: Path, seed: int = 0) -> Path:
    """Write model and processor, so that the folder can be given as a base."""
    make_model(family, seed).save_pretrained(folder)
    make_processor(family).save_pretrained(folder)
    return folder


@functools.cache
def base_folder(family: str) -> Path:
    """Folder of one base a family, written once a process."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{family}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return save_base(family, folder)


def patched(family: str, lora: bool = True, seed: int = 0) -> PaveModel:
    """A model whose patch and LoRA do something."""
    model = PaveModel.from_base(base_folder(family))
    model.add_patch("audio", PATCH, LORA if lora else None, PREPROCESSING)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model


def write_video(path: Path, seed: int = 0, frames: int = 12, rate: int = 6, height: int = 64, width: int = 64) -> Path:
    """Write a few seconds of moving noise as mp4."""
    rng = np.random.default_rng(seed)
    patch = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            picture = np.full((height, width, 3), 20 * (seed % 8) + 40, dtype=np.uint8)
            left = (index * 4 + 8 * seed) % (width - 16)
            picture[16:32, left : left + 16] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_data(folder: Path, count: int = 6, videos: int = 3, **fields: Any) -> Path:
    """Write a data set of ``count`` questions about ``videos`` clips; ``fields`` are added to every line."""
    (folder / "clips").mkdir(parents=True)
    (folder / "features").mkdir()
    for index in range(videos):
        write_video(folder / "clips" / f"{index:06}.mp4", seed=index)
        signal = side_channel(index)
        tensors = {"values": signal.values, "times_sec": signal.times_sec}
        save_file(tensors, folder / "features" / f"{index:06}.safetensors")
    lines = [json.dumps({**line(index, index % videos), **fields}) + "\n" for index in range(count)]
    (folder / "samples.jsonl").write_text("".join(lines))
    return folder


def line(index: int, clip: int) -> dict[str, Any]:
    question = f"what made the sound {['first', 'left', 'right'][index % 3]} ?"
    answer = ["red cube", "green ball", "blue ring", "yes"][index % 4]
    return {
        "id": f"tiny-{index}",
        "video": f"clips/{clip:06}.mp4",
        "side": {"audio": f"features/{clip:06}.safetensors"},
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        "blind": 0.5,
        "form": ["order", "place"][index % 2],
    }
