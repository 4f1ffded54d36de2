"""The benchmark of the patch compares what it says it compares; its times are nobody's promise."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch

import pave

SCRIPT = Path(pave.__file__).parents[2] / "benchmarks" / "patch.py"
CPU = torch.device("cpu")
OPTIONS = ["--quick", "--sizes", "small", "--channels", "audio", "dense-280", "--batches", "2", "--seconds", "0.001"]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("patch_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["patch_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def test_runs(benchmark: ModuleType, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        result = benchmark.main([*OPTIONS, "--threads", "1", "--out", str(tmp_path / "out.json")])
    finally:
        torch.set_num_threads(threads)
    said = capfd.readouterr()
    assert json.loads(said.out.splitlines()[-1]) == json.loads((tmp_path / "out.json").read_text()) == result
    assert "profiler" not in said.err
    assert [(case["channel"], case["dtype"]) for case in result["cases"]] == [
        (channel, dtype) for channel in ("audio", "dense-280") for dtype in ("float32", "bfloat16")
    ]
    for case in result["cases"]:
        assert case["largest_difference"] < (1e-4 if case["dtype"] == "float32" else 0.1)
        for name in ("forward", "forward_backward"):
            found = case[name]
            assert all(len(found[variant]["sec"]) == 2 for variant in ("patch", "loop", "machine"))
            assert found["patch"]["flops"] == found["machine"]["flops"] > 0
            assert found["patch"]["peak_bytes"] > 0 and 0 < found["machine_share"] and found["speedup"] > 0
        assert case["forward_backward"]["patch"]["flops"] > 2 * case["forward"]["patch"]["flops"]


@pytest.mark.parametrize("channel", ["audio", "dense-64", "dense-280", "depth"])
def test_loop_and_batch_are_the_same_function(benchmark: ModuleType, channel: str) -> None:
    """Values and gradients, to rounding; and both hear their side channel."""
    case = benchmark.make_case("small", channel, 2, "float32", CPU)
    gradients = []
    for residuals in (benchmark.batched, benchmark.looped):
        case.patch.zero_grad()
        out = residuals(case)
        torch.autograd.backward(out, case.cotangents)
        gradients.append(
            [*(residual.detach() for residual in out), *(weight.grad for weight in case.patch.parameters())]
        )
    for batched, looped in zip(*gradients, strict=True):
        torch.testing.assert_close(batched, looped, rtol=1e-3, atol=1e-3)
    other = benchmark.Case(case.patch, case.queries, case.sides[::-1], case.cotangents)
    assert not torch.allclose(benchmark.looped(other)[0], benchmark.looped(case)[0])


def test_counts_the_products_of_a_pass(benchmark: ModuleType) -> None:
    left, right = torch.randn(3, 5), torch.randn(7, 5)
    flops, products = benchmark._count(lambda: left @ right.T)
    assert flops == 2 * 3 * 5 * 7
    assert products == Counter({benchmark.Product(((3, 5), (5, 7)), (False, True)): 1})
    assert sum(benchmark._flops(product) for product in products) == flops
    benchmark._bare(products, left)()


def test_peak_memory_is_what_a_pass_holds_at_once(benchmark: ModuleType) -> None:
    def run() -> None:
        for _ in range(3):
            first = torch.ones(1000, 1000)
            del first

    assert 4_000_000 <= benchmark._peak_bytes(run, CPU) < 4_100_000
