"""Asks a model every question of a data set, and scores its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pave.checkpoint import locate_patch, read_spec
from pave.data.cache import MediaCache, fill_cache
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.stored import StoredVideos, open_store
from pave.data.window import MediaWindow
from pave.errors import InputError
from pave.evaluation.asking import Asker, replies
from pave.evaluation.collect import collect
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.facts import facts_of, inputs_of, reported
from pave.evaluation.folder import ResultFolder, Shard
from pave.evaluation.questions import Questions, read_questions, with_references
from pave.evaluation.responses import Response, response_to
from pave.evaluation.result import EvalResult
from pave.evaluation.scoring import OWN_SETS, Scoring, check_scorable, score, scoring_of
from pave.model import PaveModel
from pave.patches.compose import balance
from pave.processes import processes
from pave.training.build import DTYPES
from pave.training.facts import versions
from pave.types import Sample

OWN_LONGEST_ANSWER = 16


def run_evaluation(config: EvalConfig) -> EvalResult | None:
    """Build the model that a configuration names and evaluate it.

    With ``out`` every answer is on disk as soon as it is given, a run that was killed goes on where it was, and
    processes share the work: those of a launcher, or as ``shard`` says.

    Returns:
        The result; ``None`` in a process that did its part while another puts the parts together.

    Raises:
        InputError: If model, data or output folder cannot be used.
    """
    folder = None if config.out is None else ResultFolder(config.out)
    if folder is not None:
        folder.check_usable()
    shard = own_shard(config)
    questions = read_questions(config, channels_of(config.patches))
    scoring = scoring_for(config, questions)
    model = load_model(config)
    asker = asker_for(model, settled(config.settings, scoring), PaveProcessor.from_model(model, config.frames))
    return answer_and_score(asker, questions, scoring, config, folder, shard)


def answer_and_score(
    asker: Asker,
    questions: Questions,
    scoring: Scoring,
    config: EvalConfig,
    folder: ResultFolder | None,
    shard: Shard,
    variant: Mapping[str, Any] | None = None,
) -> EvalResult | None:
    """Ask one model all questions, or go on where an earlier run stopped, and score it.

    Args:
        asker: Whom to ask.
        questions: What.
        scoring: How answers are scored.
        config: What the user asked for.
        folder: Where answers are kept; ``None`` for memory only.
        shard: This process's part.
        variant: What was done to the media, if anything was.

    Returns:
        The result; ``None`` while parts of others lack.

    Raises:
        InputError: If the folder is another evaluation's, or a medium cannot be used.
    """
    facts = {**facts_of(asker, config, questions.samples), **({"variant": dict(variant)} if variant else {})}
    if folder is None:
        responses: list[Response] | None = _ask_all(asker, questions.samples)
    else:
        responses = collect(asker, questions.samples, facts, folder, shard)
    if responses is None:
        return None
    result = _result(asker, responses, questions, scoring, reported(facts, config), facts["versions"])
    if folder is not None:
        folder.write_result(result.to_dict())
    return result


def own_shard(config: EvalConfig) -> Shard:
    """Return the part of this process: what the configuration says, else what the launcher says.

    Raises:
        InputError: If both say something, or several processes have no folder to meet in.
    """
    state = processes()
    if state.num_processes == 1:
        return config.shard or (1, 1)
    if config.shard is not None:
        raise InputError("eval: the launcher shares out the work already; leave --shard out")
    if config.out is None:
        raise InputError("eval: several processes need --out, where their parts are put together")
    return state.process_index + 1, state.num_processes


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
    return model.to(processes().device)


def channels_of(patches: Sequence[str]) -> list[str]:
    """Return the channels that patches read, before any model is loaded.

    Args:
        patches: Shipped names, folders or hub ids.

    Raises:
        InputError: If one is unknown.
    """
    specs = [read_spec(locate_patch(patch)) for patch in patches]
    return [spec.patch.channel for spec in specs if spec.patch is not None]


def scoring_for(config: EvalConfig, questions: Questions) -> Scoring:
    """Return how a configuration's samples are scored.

    Raises:
        InputError: If benchmark or convention is unknown, the samples are of another benchmark, or they lack what the
            convention reads.
    """
    seed, skip = config.settings.seed, config.skip_missing
    scoring = scoring_of(questions.samples, config.benchmark, config.convention, seed, skip)
    check_scorable(questions.samples, scoring)
    return scoring


def settled(settings: EvalSettings, scoring: Scoring) -> EvalSettings:
    """Return settings in which the longest answer is the benchmark's own unless it was given."""
    if settings.max_new_tokens is not None:
        return settings
    if scoring.benchmark == OWN_SETS:
        return replace(settings, max_new_tokens=OWN_LONGEST_ANSWER)
    from pave.evaluation.benchmarks import registry

    known = scoring.benchmark in registry
    longest = registry.get(scoring.benchmark).generation.max_new_tokens if known else OWN_LONGEST_ANSWER
    return replace(settings, max_new_tokens=longest)


def asker_for(
    model: PaveModel,
    settings: EvalSettings,
    processor: PaveProcessor,
    reader: SideReader | None = None,
    base_only: bool = False,
) -> Asker:
    """Return a model with all that it takes to ask it.

    Args:
        model: The model.
        settings: What decides the answers beside it.
        processor: Its processor.
        reader: The encoders of its channels; by default those that its patches were made with.
        base_only: Ask the base alone; no side channel is read then.

    Raises:
        InputError: If encoders or store cannot be used, or patches cannot be balanced.
    """
    store = None if settings.store is None else open_store(settings.store, model)
    reader = SideReader({}) if base_only else reader or SideReader.from_model(model)
    reader = SideReader(reader.encoders, store) if store is not None else reader
    reader.disturb(settings.disturbance, settings.seed, training=False)
    videos = None if store is None else StoredVideos(store, model, processor)
    media = None
    if settings.cache_video_tokens or videos is not None:
        media = MediaWindow(model, processor, reader, settings.cache_limit_gb, videos)
    if settings.balance and not base_only:
        balance({name: patch for name, patch in model.patches.items() if name in model.active_patches})
    return Asker(model, processor, reader, settings, media, base_only)


def evaluate(
    model: PaveModel,
    samples: Sequence[Sample],
    settings: EvalSettings | None = None,
    processor: PaveProcessor | None = None,
    reader: SideReader | None = None,
    cache: MediaCache | None = None,
    base_only: bool = False,
    scoring: Scoring | None = None,
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
        scoring: How answers are scored; by default by the first convention of the benchmark that the samples name.

    Raises:
        InputError: If no sample can be scored, or a medium cannot be used.
    """
    settings = settings or EvalSettings()
    questions = with_references(samples)
    scoring = scoring or scoring_of(questions.samples, None, None, settings.seed, skip_missing=False)
    check_scorable(questions.samples, scoring)
    settings = settled(settings, scoring)
    asker = asker_for(model, settings, processor or PaveProcessor.from_model(model), reader, base_only)
    if cache is not None:
        _fill(cache, asker, questions.samples)
        asker = replace(asker, media=cache)
    responses = _ask_all(asker, questions.samples)
    config = {"settings": asdict(settings), **inputs_of(asker)}
    return _result(asker, responses, questions, scoring, config, versions())


def _fill(cache: MediaCache, asker: Asker, samples: Sequence[Sample]) -> None:
    settings = asker.settings
    videos = asker.media.videos if isinstance(asker.media, MediaWindow) else None
    fill_cache(
        cache,
        asker.model,
        asker.processor,
        asker.reader,
        samples,
        settings.batch_size,
        settings.cache_limit_gb,
        videos,
    )


def _ask_all(asker: Asker, samples: Sequence[Sample]) -> list[Response]:
    said = replies(asker, samples)
    return [response_to(sample, reply.text, reply.absent) for sample, reply in zip(samples, said, strict=True)]


def _result(
    asker: Asker,
    responses: Sequence[Response],
    questions: Questions,
    scoring: Scoring,
    config: Mapping[str, Any],
    used: Mapping[str, str],
) -> EvalResult:
    return EvalResult(
        **score(responses, scoring, questions.unreferenced),
        base=asker.model.record.name,
        patches=[] if asker.base_only else list(asker.model.specs),
        config=config,
        versions=used,
        responses=responses,
    )
