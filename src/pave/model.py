"""PaveModel: a frozen base, the patches on it, and what each of them does to each sample of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from pave.bases import family_of
from pave.bases.family import check_seam
from pave.bases.load import load_base
from pave.call import Batch, prepare
from pave.config import BaseRecord, LoraSpec, PatchConfig, PatchSpec, Preprocessing
from pave.errors import InputError
from pave.hosted import Hosted
from pave.lora import LoraSet
from pave.patches import build
from pave.patches.compose import Choice, Chosen, Side, check_names, weigh
from pave.sharding import awake, tied
from pave.types import VideoTokens


class PaveModel(Hosted):
    """A pretrained Video LLM and the patches on it.

    The base stays as it is: its weights are frozen, its code is not touched. A patch acts on a sample if it is chosen
    for it and the sample has its channel; where none acts, logits and generated ids are the base's, bit for bit. In
    training mode the LoRA of a chosen patch acts on every sample of the batch, with or without the channel.

    Use :meth:`from_base` or :meth:`from_pretrained` to make one.

    Attributes:
        balanced: Whether residuals of patches that act on a video together are brought to one size, so that each is
            heard as if alone (:func:`pave.patches.compose.balance`); by default they are summed as they are. A patch
            that acts alone is the same either way.
    """

    def __init__(self, base: PreTrainedModel, record: BaseRecord) -> None:
        super().__init__()
        check_seam(type(base))
        self.family = family_of(base.config, base)
        self.record = record
        self.base = base.requires_grad_(False)
        self.patches = nn.ModuleDict()
        self.specs: dict[str, PatchSpec] = {}
        self.preprocessing: dict[str, Preprocessing] = {}
        self.lora = LoraSet(base, self.family.lora_targets(base))
        self.balanced = False
        self._active: dict[str, float] | None = None
        self._patches_on = True
        self.train(False)

    @classmethod
    def from_base(cls, base: str | Path | PreTrainedModel, revision: str | None = None, **options: Any) -> PaveModel:
        """Load a base, without patches.

        Args:
            base: A shipped name, a folder, a hub id, or a loaded model of ``transformers``.
            revision: Commit, tag or branch of a hub repository.
            options: Passed on to ``from_pretrained``, such as ``dtype``, ``device_map`` or ``quantization_config``.

        Raises:
            InputError: If the base is unknown, or of a family that is not supported.
        """
        return cls(*load_base(base, revision, **options))

    @classmethod
    def from_pretrained(
        cls, patch: str | Path, base: str | Path | PreTrainedModel | None = None, **options: Any
    ) -> PaveModel:
        """Load a patch and the base under it.

        Args:
            patch: A shipped name, a patch folder or a hub id.
            base: Base to use in place of the one that the patch records, which is taken at the revision recorded.
            options: As in :meth:`from_base`.

        Raises:
            InputError: If the folder is no patch folder, or does not fit the base.
        """
        from pave.checkpoint import locate_patch, read_spec

        folder = locate_patch(patch)
        if base is None:
            record = read_spec(folder).base
            base, options = record.name, {"revision": record.revision, **options}
        model = cls.from_base(base, **options)
        model.load_patch(folder)
        return model

    def add_patch(
        self,
        name: str,
        config: PatchConfig | None,
        lora: LoraSpec | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        """Add a fresh patch, whose residual, if it makes one, is exactly 0, and make it trainable.

        Args:
            name: Name of the patch on this model.
            config: The fusion module; its query and token widths are filled in. ``None`` adds a LoRA only.
            lora: The LoRA on the language model.
            preprocessing: How media become its inputs; saved with it.

        Raises:
            InputError: If the name is taken or unusable, a width or the layout does not fit the base, a target of the
                LoRA is no layer of the base, or LoRAs are merged into it.
        """
        self.lora.check_not_merged()
        if name in self.specs:
            raise InputError(f"patch {name!r} is on this model already; choose another name or remove it first")
        if not is_patch_name(name):
            raise InputError(f"patch name {name!r} cannot be used; choose another of letters, digits and underscores")
        spec = PatchSpec(self.record, self._fitted(config) if config else None, lora)
        patch = build(spec.patch).to(self.device) if spec.patch is not None else None
        if lora is not None:
            self.lora.add(name, lora)
        if patch is not None:
            self.patches[name] = patch
        self.specs[name] = spec
        if preprocessing is not None:
            self.preprocessing[name] = preprocessing
        self.train(self.training)

    def _fitted(self, config: PatchConfig) -> PatchConfig:
        """Fill in or check what the base decides, and the layout that all its patches share."""
        for name, spec in self.specs.items():
            if spec.patch is not None and spec.patch.layout != config.layout:
                raise InputError(
                    f"patch: layout {config.layout!r} differs from {spec.patch.layout!r} of patch {name!r}"
                )
        return self.family.fit(config, self.record.name)

    def remove_patch(self, name: str) -> None:
        """Take a patch and its LoRA off the model.

        Raises:
            InputError: If there is no such patch, or LoRAs are merged into the base.
        """
        check_names([name], self.specs)
        self.lora.check_not_merged()
        if name in self.patches:
            del self.patches[name]
        if name in self.lora.specs:
            self.lora.remove(name)
        del self.specs[name]
        self.preprocessing.pop(name, None)
        if self._active is not None:
            self._active.pop(name, None)

    def set_patches(self, patches: Chosen | None) -> None:
        """Set which patches act where a call does not say.

        Args:
            patches: Names, or names with the weight by which residual and LoRA are scaled; ``None`` for all patches,
                as on a new model, including those added later.

        Raises:
            InputError: If there is no such patch, or a weight is no finite number.
        """
        self._active = None if patches is None else weigh(patches, self.specs)

    @property
    def active_patches(self) -> dict[str, float]:
        """Patches that act where a call does not say, with their weights, in the order of their names."""
        return dict.fromkeys(sorted(self.specs), 1.0) if self._active is None else dict(self._active)

    def load_patch(self, source: str | Path, name: str | None = None, trainable: bool = False) -> str:
        """Load a patch from a shipped name, a folder or a hub id, and return the name it got.

        Args:
            source: Where it is.
            name: Name on this model; by default its channel, with ``_`` for what no name may hold, or ``lora_only``
                for a LoRA alone.
            trainable: Whether its weights are to be trained on.

        Raises:
            InputError: If the folder is no patch folder, or does not fit the base, or LoRAs are merged into it.
        """
        from pave.attach import load_patch

        return load_patch(self, source, name, trainable)

    def replace_patch(self, name: str, source: str | Path) -> None:
        """Put other weights, or another patch of the same channel, in the place of one, without a rebuild.

        Where every size is the same, the weights are written into the modules that stand; name, weight among the
        active patches and whether it is trained stay. On an error the model is as it was.

        Args:
            name: The patch that goes.
            source: The one that comes: a shipped name, a folder or a hub id.

        Raises:
            InputError: If there is no such patch, the folder is no patch folder or does not fit, or LoRAs are merged
                into the base.
        """
        from pave.attach import replace_patch

        check_names([name], self.specs)
        active = self._active
        self._active = None
        try:
            replace_patch(self, name, source)
        finally:
            self._active = active

    def export_merged(self, folder: str | Path) -> None:
        """Write a copy of the base with the LoRAs of the active patches in its weights, and the patches without them.

        ``folder/base`` is a model of ``transformers``; ``folder/patches/NAME`` is a patch made for it.

        Args:
            folder: Where to; it must not exist, or be empty.

        Raises:
            InputError: If a patch on the model is not active, since a LoRA that always acts would change it; if the
                base's weights are quantised, offloaded or sharded; or if the folder holds something.
        """
        from pave.export import export_merged

        export_merged(self, Path(folder))

    def save_patch(self, name: str, folder: str | Path, training: Mapping[str, Any] | None = None) -> None:
        """Write one patch as a patch folder, atomically.

        Args:
            name: The patch.
            folder: Where to; it must not exist, or be a patch folder, which is replaced.
            training: Facts about its making, recorded and shown in its card.

        Raises:
            InputError: If there is no such patch, a weight of it is not finite, or the folder holds something else.
        """
        from pave.attach import save_patch

        check_names([name], self.specs)
        save_patch(self, name, Path(folder), training or {})

    def set_trainable(self, names: Sequence[str]) -> None:
        """Train exactly these patches and their LoRAs.

        Raises:
            InputError: If there is no such patch.
        """
        check_names(names, self.specs)
        for name, patch in self.patches.items():
            patch.requires_grad_(name in names)
        self.lora.set_trainable(names)

    @property
    def layout(self) -> str:
        """Layout of video and newline tokens that the patches share; the base's own without patches."""
        layouts = [spec.patch.layout for spec in self.specs.values() if spec.patch is not None]
        return layouts[0] if layouts else self.family.layouts[0]

    @property
    def language_model(self) -> nn.Module:
        """The part of the base that reads tokens, of text and of videos, in one sequence."""
        return self.base.get_submodule(self.family.language_model)

    @property
    def is_base_only(self) -> bool:
        """Whether this is inside :meth:`base_only`."""
        return not self._patches_on

    @contextmanager
    def base_only(self) -> Iterator[None]:
        """Inside this, the model is its base, bit for bit (in the layout that its patches share)."""
        before, self._patches_on = self._patches_on, False
        try:
            yield
        finally:
            self._patches_on = before

    def encode_videos(
        self, inputs: Mapping[str, Any], video_times_sec: Sequence[Any] | None = None, vision: bool | None = None
    ) -> list[VideoTokens]:
        """Run the frozen video path once; the result stands in for pixels as ``videos=`` of later calls.

        Args:
            inputs: What the base's processor made of a batch.
            video_times_sec: For each video the seconds of its frames (F,) or steps (T,).
            vision: Whether features from before the projector are wanted, too; by default if a patch asks with them.

        Raises:
            InputError: If the times do not fit the videos.
        """
        if vision is None:
            vision = any(spec.patch is not None and spec.patch.reads_vision for spec in self.specs.values())
        with awake(self.base.base_model):
            return self.family.encode(self.base, inputs, video_times_sec, vision)

    def forward(
        self,
        side: Side | None = None,
        video_times_sec: Sequence[Any] | None = None,
        patches: Choice = None,
        videos: Sequence[VideoTokens] | None = None,
        **inputs: Any,
    ) -> ModelOutput:
        """Run the patched base; its logits stand at the tokens of ``input_ids``, whatever patches append to them.

        Args:
            side: For each channel one side channel a video, ``None`` where it is absent.
            video_times_sec: For each video the seconds of its frames (F,) or steps (T,).
            patches: Patches to use, for all samples or for each: names, or names with the weight by which residual
                and LoRA are scaled; by default the active ones (:meth:`set_patches`).
            videos: Already encoded videos in place of pixels, from :meth:`encode_videos`.
            inputs: Inputs of the base, as its processor made them, and its options (``labels``, ...).

        Raises:
            InputError: If channels, videos, times, placeholders or patches do not fit one another, or are of another
                type.
        """
        call = prepare(self, Batch(side, video_times_sec, patches, videos), inputs)
        with self.lora.routed(call.loras), tied(self.base.get_input_embeddings(), call.idle):
            output: ModelOutput = self.base(**call.inputs)
        return output if call.lengthened is None else call.lengthened.shorten(output)

    @torch.no_grad()
    def generate(
        self,
        side: Side | None = None,
        video_times_sec: Sequence[Any] | None = None,
        patches: Choice = None,
        videos: Sequence[VideoTokens] | None = None,
        **inputs: Any,
    ) -> Tensor | ModelOutput:
        """Generate with the patched base; arguments are those of :meth:`forward` and of the base's ``generate``.

        What comes back starts with ``input_ids`` as they were given.

        Raises:
            InputError: As in :meth:`forward`.
        """
        call = prepare(self, Batch(side, video_times_sec, patches, videos), inputs)
        with self.lora.routed(call.loras), self.family.generating(self.base, call.inputs) as given:
            said: Tensor | ModelOutput = self.base.generate(**given)
        return said if call.lengthened is None else call.lengthened.restored(said, inputs["input_ids"])

    def train(self, mode: bool = True) -> PaveModel:
        """Set training mode; of the base only its language model follows, the frozen rest stays as in inference."""
        super().train(mode)
        self.base.eval()
        self.language_model.train(mode)
        return self


def is_patch_name(name: str) -> bool:
    """Whether a patch can have this name on a model."""
    # peft mistakes an adapter whose name is a part of "lora_" for its own weights.
    return name.isidentifier() and not hasattr(nn.ModuleDict, name) and name not in "lora_"
