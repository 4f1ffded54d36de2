"""Public benchmarks, from the raw files as they are published to data sets of this library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pave.registry import Registry

if TYPE_CHECKING:
    from pave.evaluation.benchmarks.benchmark import Benchmark

registry: Registry[Benchmark] = Registry(
    "benchmark",
    "pave.benchmarks",
    {
        "avqa": "pave.evaluation.benchmarks.avqa:BENCHMARK",
        "avsd": "pave.evaluation.benchmarks.avsd:BENCHMARK",
        "blindspot": "pave.evaluation.benchmarks.blindspot:BENCHMARK",
        "ego-exo4d": "pave.evaluation.benchmarks.ego_exo4d:BENCHMARK",
        "mlvu": "pave.evaluation.benchmarks.mlvu:BENCHMARK",
        "music-avqa": "pave.evaluation.benchmarks.music_avqa:BENCHMARK",
        "mvbench": "pave.evaluation.benchmarks.mvbench:BENCHMARK",
        "scanqa": "pave.evaluation.benchmarks.scanqa:BENCHMARK",
        "sqa3d": "pave.evaluation.benchmarks.sqa3d:BENCHMARK",
        "video-mme": "pave.evaluation.benchmarks.video_mme:BENCHMARK",
    },
)
