"""Which function answers which check vector: (benchmark, convention) of a vectors file to a call on its inputs.

A row of such a file has ``benchmark``, ``convention``, ``prediction``, mostly ``references`` or ``options``, and
``expected``. Rows of one sample go to the rule itself, so that they show what its source does with an empty answer
too; rows of several go through the scorers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pave.evaluation.benchmarks import mvbench as mvbench_raw
from pave.evaluation.benchmarks import subtitles
from pave.evaluation.benchmarks import video_mme as video_mme_raw
from pave.evaluation.conventions import (
    avqa,
    avsd,
    ego_exo4d,
    letters,
    mlvu,
    music_avqa,
    mvbench,
    option_sets,
    scanqa,
    sqa3d,
    video_mme,
    vsi_bench,
)
from pave.evaluation.conventions.captions import caption_metrics, overlap_metrics, per_sample, tokenised
from pave.evaluation.conventions.convention import Metric, Scored
from pave.evaluation.conventions.java import ptb_tokenise
from pave.evaluation.conventions.registry import get
from pave.evaluation.conventions.text import clean_answer
from pave.media.reference_frames import evenly_numbered

Row = Mapping[str, Any]
Replay = Callable[[Row], Any]

VIDEO_FRAME_RATE, VIDEO_FRAMES, SHOWN_FRAMES = 10.0, 100, 4
"""The stub video of the subtitle prompt's vector."""


def _text(rule: Callable[[str], Any]) -> Replay:
    return lambda row: rule(row["prediction"])


def _one(rule: Callable[[str, str], Any], kind: Callable[[Any], Any] = int) -> Replay:
    return lambda row: kind(rule(row["prediction"], row["references"][0]))


def _all(**rules: Callable[[str, Any], bool]) -> Replay:
    return lambda row: {name: int(rule(row["prediction"], row["references"])) for name, rule in rules.items()}


def _scored(row: Row) -> list[Scored]:
    return [
        Scored(name, text, tuple(row["references"][name]), {"category": None})
        for name, text in row["prediction"].items()
    ]


def _convention(benchmark: str, name: str, unit: float = 1.0, first: bool = False) -> Replay:
    """Return the metrics of a convention, divided by its ``unit``, in the shape that the row expects."""

    def replay(row: Row) -> dict[str, Any]:
        samples = _scored(row)
        if first:
            samples = [Scored(x.id, x.prediction, x.references[:1], x.fields) for x in samples]
        return _caption_report(get(benchmark, name).score(samples), row, unit)

    return replay


def _caption_report(metrics: Mapping[str, Metric], row: Row, unit: float = 1.0) -> dict[str, Any]:
    values = {name: metric.value / unit for name, metric in metrics.items()}
    if "corpus" not in row["expected"]:
        return values
    return {
        "corpus": values,
        "per_item": {name: (per_sample(metric) / unit).tolist() for name, metric in metrics.items()},
    }


def _captions(ptb: bool) -> Replay:
    def replay(row: Row) -> dict[str, Any]:
        predictions, references = list(row["prediction"].values()), list(row["references"].values())
        report = _caption_report(caption_metrics(predictions, references, ptb), row)
        ours, theirs = tokenised(predictions, references)
        report["tokenized_prediction"] = {key: [text] for key, text in zip(row["prediction"], ours, strict=True)}
        report["tokenized_references"] = {key: list(of) for key, of in zip(row["references"], theirs, strict=True)}
        return report

    return replay


def _overlap(row: Row) -> dict[str, Any]:
    return _caption_report(overlap_metrics(list(row["prediction"].values()), list(row["references"].values())), row)


def _avsd(name: str, filtered: Callable[[str], str] = str, first: bool = False, unit: float = 1.0) -> Replay:
    scores = _convention("avsd", name, unit, first)

    def replay(row: Row) -> dict[str, Any]:
        report: dict[str, Any] = scores(row)
        tokens = ptb_tokenise([filtered(text) for text in row["prediction"].values()])
        report["tokenized_prediction"] = {key: [text] for key, text in zip(row["prediction"], tokens, strict=True)}
        return report

    return replay


def _scanqa_file(row: Row) -> dict[str, float]:
    scores = [
        scanqa.official_scores(row["prediction"][truth["question_id"]]["answer_top10"], truth["answers"])
        for truth in row["references"]
    ]
    names = ("Top1 (EM)", "Top10 (EM)", "Top1 (F-value)")
    return {name: 100 * sum(of) / len(of) for name, of in zip(names, zip(*scores, strict=True), strict=True)}


def _subtitle_prompt(row: Row) -> str:
    asked = row["prediction"]
    said = subtitles.shown(row["references"], evenly_numbered(VIDEO_FRAMES, SHOWN_FRAMES), VIDEO_FRAME_RATE)
    return video_mme_raw.prompt("lmms-eval", asked["question"], asked["options"], said)


def _mlvu_average(name: str) -> Replay:
    def replay(row: Row) -> float:
        answered = row["prediction"]
        right = [float(answer["pred_answer"] == answer["answer"]) for answer in answered]
        return mlvu.averages(right, [answer["task_type"] for answer in answered])[name].value

    return replay


def _number(read: Callable[[str], float | None]) -> Replay:
    return lambda row: vsi_bench.relative_accuracy(read(row["prediction"]), float(row["references"][0]))


def _submission(view: Any) -> Replay:
    return lambda row: ego_exo4d.official_scores(row["prediction"], row["references"], view)


_CLEANED = _all(em=scanqa.cleaned_exact, em_refined=scanqa.cleaned_refined)

REPLAYS: Mapping[tuple[str, str], Replay] = {
    ("ScanQA/SQA3D", "leo.clean_answer"): _text(clean_answer),
    ("ScanQA", "leo.em"): _all(em=scanqa.leo_exact, em_refined=scanqa.cleaned_refined),
    ("ScanQA", "llava3d_pave.em"): _CLEANED,
    ("ScanQA", "video3dllm.em"): _all(em=scanqa.exact),
    ("ScanQA", "video3dllm.ngram_text"): _text(scanqa.without_full_stops),
    ("ScanQA", "official.qclass1"): _text(scanqa.question_class),
    ("ScanQA", "official.unigram_f"): lambda row: scanqa.unigram_f(row["prediction"], row["references"]),
    ("ScanQA", "official.evals_json"): _scanqa_file,
    ("ScanQA", "official.captions"): _convention("scanqa", "official", scanqa.PERCENT),
    ("ScanQA", "llava3d_pave.captions"): _convention("scanqa", "pave-reference", scanqa.PERCENT),
    ("ScanQA", "leo.captions"): _convention("scanqa", "leo", scanqa.PERCENT),
    ("ScanQA", "video3dllm.captions"): _convention("scanqa", "video3d", scanqa.PERCENT),
    ("SQA3D", "leo_pave.em"): _CLEANED,
    ("SQA3D", "video3dllm.em"): _all(em=scanqa.cleaned_exact),
    ("SQA3D", "official.llm_lenient"): _one(sqa3d.lenient),
    ("SQA3D", "pave.type"): _text(sqa3d.first_word_type),
    ("SQA3D", "official.mcan_type"): _text(sqa3d.mcan_type),
    ("SQA3D", "video3dllm.type"): _text(sqa3d.prefix_type),
    ("MUSIC-AVQA", "official.question_tokens"): lambda row: music_avqa.question_tokens(
        row["prediction"]["question_content"], row["prediction"]["templ_values"]
    ),
    ("MUSIC-AVQA", "pave.substring"): _one(music_avqa.substring),
    ("MUSIC-AVQA", "strict_equality"): _one(music_avqa.strict),
    ("AVQA", "pave.substring"): _one(avqa.letter_inside),
    ("Video-MME", "official.extract"): _text(lambda text: letters.first_letter(text, letters.VIDEO_MME_PREFIXES)),
    ("Video-MME", "vlmevalkit.extract"): _text(lambda text: letters.first_letter(text, letters.VLMEVALKIT_PREFIXES)),
    ("Video-MME", "lmms_eval_0.2-0.3.extract"): _text(lambda text: letters.first_letter(text, letters.LMMS_PREFIXES)),
    ("Video-MME", "lmms_eval_0.7.extract"): _text(letters.ranked_letter),
    ("Video-MME", "official.aggregate"): lambda row: video_mme.official_accuracies(row["prediction"]),
    ("Video-MME", "lmms_eval.prompt"): lambda row: video_mme_raw.prompt(
        "lmms-eval", row["prediction"]["question"], row["prediction"]["options"]
    ),
    ("Video-MME", "lmms_eval.prompt_subtitle"): _subtitle_prompt,
    ("MVBench", "official.check_ans"): _one(mvbench.official_match, bool),
    ("MVBench", "vlmevalkit.check_ans"): _one(mvbench.vlmevalkit_match, bool),
    ("MVBench", "lmms_eval.mcq_acc"): _one(mvbench.lmms_match),
    ("MVBench", "lmms_eval.prompt"): lambda row: mvbench_raw.prompt(
        "lmms-eval", row["prediction"]["question"], row["prediction"]["candidates"]
    ),
    ("MVBench", "lmms_eval.aggregate"): lambda row: mvbench.answered_accuracy(
        [answer["score"] for answer in row["prediction"]], [answer["pred_answer"] for answer in row["prediction"]]
    ),
    ("MLVU", "official.check_ans"): _one(mlvu.official_match, bool),
    ("MLVU", "lmms_eval_0.2-0.3.extract"): _text(mlvu.lmms_letter),
    ("MLVU", "lmms_eval_0.7.extract"): _text(letters.ranked_letter),
    ("MLVU", "official.extract_scores"): _text(mlvu.extract_scores),
    ("MLVU", "official_and_lmms_eval.m_avg"): _mlvu_average("m_avg"),
    ("MLVU", "vlmevalkit.m_avg"): _mlvu_average("accuracy"),
    ("Ego-Exo4D DPE", "official.ego"): _submission("ego"),
    ("Ego-Exo4D DPE", "official.exo"): _submission("exo"),
    ("Ego-Exo4D DPE", "official.combined"): _submission("combined"),
    ("Ego-Exo4D DPE", "pave.substring"): _one(ego_exo4d.substring),
    ("VSI-Bench", "official.mra"): _number(vsi_bench.first_number),
    ("VSI-Bench", "lmms_eval_main.mra"): _number(vsi_bench.any_number),
    ("VSI-Bench", "official.mca"): _one(vsi_bench.letter_accuracy, float),
    ("VSI-Bench", "official.aggregate"): lambda row: vsi_bench.official_averages(row["prediction"]),
    ("WorldSense", "lmms_eval.parse"): lambda row: option_sets.worldsense_letter(row["prediction"], row["options"]),
    ("OmniBench", "lmms_eval.parse"): _text(option_sets.omnibench_letter),
    ("EgoSchema", "lmms_eval.parse"): lambda row: option_sets.egoschema_letter(row["prediction"], row["options"]),
    ("caption", "pycocoevalcap1.2.ptb"): _captions(ptb=True),
    ("caption", "pycocoevalcap1.2.ptb_first_reference"): _captions(ptb=True),
    ("caption", "pycocoevalcap1.2.no_tokenizer"): _captions(ptb=False),
    ("caption", "ptb.tokenize"): lambda row: ptb_tokenise([row["prediction"]])[0],
    ("caption", "cider_bleu_rouge.edge"): _overlap,
    ("AVSD", "dstc7.stopword_filter"): _text(avsd.dstc7_filter),
    ("AVSD", "dstc8_dstc10.stopword_filter"): _text(avsd.dstc10_filter),
    ("AVSD", "dstc7.multiref"): _avsd("dstc7-8", avsd.dstc7_filter),
    ("AVSD", "dstc7_filter_on_dstc8"): _avsd("dstc7-8", avsd.dstc7_filter),
    ("AVSD", "dstc8.multiref"): _avsd("dstc8", avsd.dstc10_filter),
    ("AVSD", "dstc10.multiref"): _avsd("dstc10", avsd.dstc10_filter),
    ("AVSD", "no_filter.multiref"): _avsd("no-filter"),
    ("AVSD", "no_filter.first_of_six"): _avsd("no-filter", first=True),
    ("AVSD", "pave.singref"): _avsd("single-reference", unit=100.0),
    ("AVSD", "dstc10.iou"): lambda row: {
        "iou1": avsd.iou1(row["prediction"], row["references"]),
        "iou2": avsd.iou2(row["prediction"], row["references"]),
    },
}
