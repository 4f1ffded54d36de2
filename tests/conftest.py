"""What every test runs under."""

import os

# oneDNN's AMX kernels get bfloat16 convolutions of 4 to 15 channels wrong, which tiny models have (torch 2.14).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
