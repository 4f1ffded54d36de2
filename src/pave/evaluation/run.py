"""Asks a model every question of a data set, and scores its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch
from accelerate import PartialState

from pave.data.cache import MediaCache, fill_cache, fill_store
from pave.data.collator import Collator
from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.data.stored import StoredVideos, open_store
from pave.errors import InputError
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.metrics import exact_match
from pave.evaluation.result import EvalResult, Response, scores, scores_by
from pave.files import check_vacant
from pave.model import PaveModel
from pave.training.facts import data_hash, versions
from pave.training.train import DTYPES
from pave.types import Sample

SCORED_BY: dict[str, tuple[type, ...]] = {"blind": (int, float), "form": (str,), "track": (str,)}
"""Fields of a sample that scores use, if it has them."""


def run_evaluation(config: EvalConfig) -> EvalResult:
    """Build the model that a configuration names, evaluate it, and write the result if ``out`` is given.

    Raises:
        InputError: If model, data or output folder cannot be used.
    """
    if config.out is not None:
        check_vacant(config.out)
    model = load_model(config)
    channels = [spec.patch.channel for spec in model.specs.values() if spec.patch is not None]
    samples = [sample for path in config.data for sample in read_samples(path, channels)][: config.limit]
    processor = PaveProcessor.from_model(model, config.frames)
    result = evaluate(model, samples, config.settings, processor)
    facts = {**asdict(config), "frames": processor.frames, "data_sha256": [data_hash(path) for path in config.data]}
    result = replace(result, config={**result.config, **facts})
    if config.out is not None:
        result.write(config.out)
    return result


def load_model(config: EvalConfig) -> PaveModel:
    """Load base and patches of a configuration, on the device that there is.

    Raises:
        InputError: If one is unknown, or they do not fit one another.
    """
    options: dict[str, Any] = {"dtype": DTYPES[config.precision]}
    if config.base is not None:
        model = PaveModel.from_base(config.base, **options)
        rest: Sequence[str] = config.patches
    else:
        model = PaveModel.from_pretrained(config.patches[0], **options)
        rest = config.patches[1:]
    for patch in rest:
        model.load_patch(patch)
    return model.to(PartialState().default_device)


def evaluate(
    model: PaveModel,
    samples: Sequence[Sample],
    settings: EvalSettings | None = None,
    processor: PaveProcessor | None = None,
    reader: SideReader | None = None,
    cache: MediaCache | None = None,
    base_only: bool = False,
) -> EvalResult:
    """Ask a model every question, greedily, and score its answers.

    Args:
        model: The model.
        samples: The samples; those without an answer are skipped and counted.
        settings: What decides the answers beside them.
        processor: The model's processor; by default loaded from beside its base.
        reader: The encoders of its channels; by default those that its patches were made with.
        cache: Filled and used, so that several models that share a base can be asked about media computed once.
        base_only: Ask the base alone; no side channel is read then.

    Raises:
        InputError: If no sample can be scored, or a medium cannot be used.
    """
    settings = settings or EvalSettings()
    processor = processor or PaveProcessor.from_model(model)
    store = None if settings.store is None else open_store(settings.store, model)
    if base_only:
        reader = SideReader({})
    reader = reader or SideReader.from_model(model)
    reader = SideReader(reader.encoders, store) if store is not None else reader
    scored = [sample for sample in samples if sample.answer is not None]
    skipped = {"no answer": len(samples) - len(scored)} if len(scored) < len(samples) else {}
    if not scored:
        raise InputError(f"none of {len(samples)} samples ends with an answer; there is nothing to score")
    unanswered = [_unanswered(sample) for sample in scored]
    if settings.cache_video_tokens and cache is None:
        cache = MediaCache()
    dataset = SampleDataset(scored, processor, reader, answer=False, cache=cache)
    videos = None if store is None else StoredVideos(store, model, processor)
    if cache is not None:
        fill_cache(cache, model, processor, reader, scored, settings.batch_size, settings.cache_limit_gb, videos)
    elif videos is not None:
        dataset.cache = fill_store(model, processor, reader, scored, settings.batch_size, videos)
    if store is not None:
        store.close()
    absent: Counter[str] = Counter()
    predictions = _predictions(model, dataset, settings, absent, base_only)
    responses = [_answered(response, text) for response, text in zip(unanswered, predictions, strict=True)]
    return EvalResult(
        **scores(responses, settings.seed),
        skipped=sum(skipped.values()),
        skipped_reasons=skipped,
        by_form=scores_by(responses, "form", settings.seed),
        by_track=scores_by(responses, "track", settings.seed),
        absent=dict(absent),
        base=model.record.name,
        patches=[] if base_only else list(model.specs),
        seed=settings.seed,
        config={"settings": asdict(settings), **_inputs(processor)},
        versions=versions(),
        responses=responses,
    )


def _inputs(processor: PaveProcessor) -> dict[str, Any]:
    return {"frames": processor.frames, "preset": processor.preset, "layout": processor.layout}


def _predictions(
    model: PaveModel, dataset: SampleDataset, settings: EvalSettings, absent: Counter[str], base_only: bool
) -> Iterator[str]:
    collate = dataset.processor.collator("left", dataset.reader.channels)
    with progress_bar("questions") as bar, _inference(model):
        task = bar.add_task("answering", total=len(dataset), note="")
        for start in range(0, len(dataset), settings.batch_size):
            indices = range(start, min(start + settings.batch_size, len(dataset)))
            if base_only:
                with model.base_only():
                    texts = _answers(model, dataset, indices, collate, settings, absent)
            else:
                texts = _answers(model, dataset, indices, collate, settings, absent)
            yield from texts
            bar.advance(task, len(indices))


@contextmanager
def _inference(model: PaveModel) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _answers(
    model: PaveModel,
    dataset: SampleDataset,
    indices: range,
    collate: Collator,
    settings: EvalSettings,
    absent: Counter[str],
) -> list[str]:
    features = [dataset[index] for index in indices]
    for sample in features:
        absent.update(channel for channel in collate.channels if sample.side.get(channel) is None)
    batch = _moved(collate(features), model.device)
    ids = model.generate(**batch, max_new_tokens=settings.max_new_tokens, do_sample=False, num_beams=1)
    assert isinstance(ids, torch.Tensor)
    return dataset.processor.decode(ids, batch["input_ids"].shape[1])


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _moved(entry, device) for name, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry, device) for entry in value]
    return value.to(device) if hasattr(value, "to") else value


def _unanswered(sample: Sample) -> Response:
    assert sample.answer is not None
    _check_scored_by(sample)
    return Response(
        id=sample.id,
        question=sample.question,
        answer=sample.answer,
        prediction="",
        correct=False,
        cluster=sample.id if sample.video is None else str(sample.video),
        extra=sample.extra,
    )


def _answered(response: Response, prediction: str) -> Response:
    return replace(response, prediction=prediction, correct=exact_match(prediction, response.answer))


def _check_scored_by(sample: Sample) -> None:
    for name, kinds in SCORED_BY.items():
        value = sample.extra.get(name)
        if value is not None and not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"{sample.source or sample.id}: field {name!r} is {value!r}; it must be of type {wanted}")
