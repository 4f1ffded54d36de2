"""LoRA on the language model; the only package that imports ``peft``."""

from pave.lora.layers import adapter_config
from pave.lora.lora_set import LoraSet

__all__ = ["LoraSet", "adapter_config"]
