"""Cost of a base: its vision path for every step of a video, and its language model's prefill."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForImageTextToText, PretrainedConfig, PreTrainedModel

from pave.bases import family_of
from pave.config import BaseRecord
from pave.cost.scene import BYTES, BaseCost, Part, Scene
from pave.cost.video import Step, one_step
from pave.cost.weightless import Meter, is_experts, metered
from pave.errors import InputError
from pave.model import PaveModel


def meta_base(config: PretrainedConfig) -> PreTrainedModel:
    """Return the base of a configuration on the meta device, without weights.

    Raises:
        InputError: If it needs a package that is not installed, or transformers does not know its class.
    """
    try:
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config).eval()
    except (ImportError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from None


def meta_model(config: PretrainedConfig, name: str = "base") -> PaveModel:
    """Return the base of a configuration on the meta device, ready for patches.

    Args:
        config: Of the base.
        name: Of the base, for error messages.

    Raises:
        InputError: If its family is not supported.
    """
    family = family_of(config)
    return PaveModel(meta_base(config), BaseRecord(name, config.model_type, family.token_dim, family.vision_dim))


def count_base(model: PaveModel | PreTrainedModel, scene: Scene, layout: str | None = None) -> BaseCost:
    """Count a base without patches that reads one video and generates a first token.

    Args:
        model: The base, from :func:`meta_model` or :func:`meta_base`.
        scene: What it reads.
        layout: Layout of its video and newline tokens, known to a :class:`~pave.model.PaveModel`; else its own.

    Raises:
        InputError: If the base takes its video in a form that is not known here.
    """
    base = model.base if isinstance(model, PaveModel) else model
    core = base.base_model
    step = one_step(base.config, scene)
    with metered(core) as meter, _flops_by_child(core, meter) as flops:
        rows = _token_rows(_video_features(base, core), step.inputs)
    # Towers read each step on its own, so that one step tells the cost of all.
    flops = {name: count * (1 if step.whole else step.steps) for name, count in flops.items()}
    tokens = (rows - step.tail) // (step.steps if step.whole else 1) - step.lead
    video = _video_tokens(model, step, tokens, layout)
    language_model = next(name for name in ("language_model", "text_model") if hasattr(core, name))
    flops[language_model], cache = _prefill(base, core.get_submodule(language_model), video, scene.prompt_tokens)
    parameters = _parameters_by_child(base, core, language_model)
    parts = tuple(Part(name.replace("_", " "), parameters[name], flops.get(name, 0)) for name in parameters)
    active = sum(parameters.values()) - _resting(base)
    return BaseCost(parts, step.steps, tokens, video + scene.prompt_tokens, active, cache)


def count_longer(model: PaveModel, cost: BaseCost, added: int) -> int:
    """Return the operations that the prefill takes more if the language model reads so many more tokens.

    Args:
        model: The base, from :func:`meta_model`.
        cost: Its cost without them.
        added: How many.
    """
    core = model.base.base_model
    decoder = next(getattr(core, name) for name in ("language_model", "text_model") if hasattr(core, name))
    longer, _ = _prefill(model.base, decoder, cost.sequence + added, 0)
    shorter, _ = _prefill(model.base, decoder, cost.sequence, 0)
    return longer - shorter


def _video_features(base: PreTrainedModel, core: nn.Module) -> Any:
    for owner, name in ((core, "get_video_features"), (base, "get_video_features"), (core, "get_image_features")):
        if hasattr(owner, name):
            return getattr(owner, name)
    raise InputError(f"{type(base).__name__} has neither get_video_features nor get_image_features")


def _token_rows(method: Any, inputs: Mapping[str, Any]) -> int:
    names = inspect.signature(method).parameters
    output = method(**{name: value for name, value in inputs.items() if name in names}, return_dict=True)
    return sum(math.prod(tokens.shape[:-1]) for tokens in tree_leaves(output.pooler_output))


def _video_tokens(model: PaveModel | PreTrainedModel, step: Step, tokens: int, layout: str | None) -> int:
    if layout is None or not isinstance(model, PaveModel) or layout == model.family.layouts[0]:
        return step.steps * (step.lead + tokens) + step.tail
    side = math.isqrt(tokens)
    return model.family.token_count(step.steps, (side, side), layout)


@contextmanager
def _flops_by_child(core: nn.Module, meter: Meter) -> Iterator[dict[str, int]]:
    """Count the operations of each direct child that is called; what is called outside all of them is ``other``."""
    flops: dict[str, int] = {}
    handles = []
    for name, child in core.named_children():
        handles += _count_child(meter, name, child, flops)
    start = meter.flops
    try:
        yield flops
    finally:
        for handle in handles:
            handle.remove()
    outside = meter.flops - start - sum(flops.values())
    if outside:
        flops["other"] = outside


def _count_child(meter: Meter, name: str, child: nn.Module, flops: dict[str, int]) -> list[Any]:
    def before(*_: Any) -> None:
        flops[name] = flops.get(name, 0) - meter.flops

    def after(*_: Any) -> None:
        flops[name] += meter.flops

    return [child.register_forward_pre_hook(before), child.register_forward_hook(after)]


def _prefill(base: PreTrainedModel, language_model: PreTrainedModel, video: int, prompt: int) -> tuple[int, int]:
    """Operations of the language model over the whole sequence and of its head on the last token; bytes it keeps."""
    decoder = language_model.base_model
    inputs: dict[str, Any] = {"input_ids": torch.zeros(1, video + prompt, dtype=torch.long)}
    if base.config.model_type == "ernie4_5_vl_moe":
        # The video's tokens have experts of their own, and so have the two of the prompt that enclose them.
        enclosing = min(2, prompt)
        inputs["moe_mm_token_type_ids"] = torch.tensor([[2] * (video + enclosing) + [0] * (prompt - enclosing)])
    with metered(decoder) as meter:
        decoder(**inputs, use_cache=True)
    return meter.flops + 2 * _head(base).weight.numel(), BYTES * meter.cached


def _head(base: PreTrainedModel) -> Any:
    """The head of the language model, which some bases keep inside it."""
    return base.get_output_embeddings() or base.base_model.language_model.get_output_embeddings()


def _parameters_by_child(base: PreTrainedModel, core: nn.Module, language_model: str) -> Mapping[str, int]:
    """Parameters of each child of the inner model; the head counts as the language model's, the rest as ``other``."""
    owner: dict[Tensor, str] = {}
    for name, child in core.named_children():
        for weight in child.parameters():
            owner.setdefault(weight, name)
    for weight in _head(base).parameters():
        owner.setdefault(weight, language_model)
    counts = dict.fromkeys((name for name, _ in core.named_children()), 0)
    for weight in base.parameters():
        name = owner.get(weight, "other")
        counts[name] = counts.get(name, 0) + weight.numel()
    return counts


def _resting(base: PreTrainedModel) -> int:
    """Parameters of routed experts that a text token is not sent to."""
    config = base.config.get_text_config()
    names = ("num_experts_per_tok", "top_k_experts", "moe_k")
    chosen = next((getattr(config, name) for name in names if getattr(config, name, None)), 0)
    resting = 0
    for path, module in base.named_modules():
        if is_experts(module):
            weights = [weight for weight in module.parameters(recurse=False) if weight.ndim == 3]
            used = 0 if ".vision_moe." in path else chosen
            resting += sum(weight.numel() // len(weight) * (len(weight) - used) for weight in weights)
    return resting
