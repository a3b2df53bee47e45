"""What the repository's study measured, as tables and sentences: README, docs, model cards and page all take it here.

A study is what `Evaluation.json` gives, in `esrgan/study`: `dogs.json` and `others.json` for the bundled weights on
photos of dogs and of other animals, `examples.json` on the photos that come with the library, `paper.json` for the
recipe of the paper (without the photos' own scores), `camera.json` and `camera-clean.json` for the camera stage on
photos of dogs that were shrunk as a camera does, and cleanly, `recipes.json` and `recipes-further.json` for what
options change in a training from the L1 stage, and from the finished weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import read_table
from .metrics import METRICS
from .tables import table

STUDY = Path(__file__).parent.parent / "study"
KINDS = {"dogs": "photos of dogs", "others": "photos of other animals"}
STAGES = {
    "psnr": "L1 stage",
    "0.5": "halfway between its stages",
    "gan": "adversarial stage",
    "camera": "camera stage",
    "paper": "the paper's recipe",
}
EXACT, CRISP = "psnr", "gan"

Study = dict[str, Any]


def read_study(name: str) -> Study:
    """A study by its name."""
    return read_table(STUDY / f"{name}.json")


def read_studies() -> dict[str, Study]:
    """What was measured on the bundled weights, by what the photos show."""
    return {kind: read_study(name) for name, kind in KINDS.items() if (STUDY / f"{name}.json").is_file()}


def way_label(way: str) -> str:
    """A way to upscale in words: `dogs:psnr` is "dogs, L1 stage"."""
    source, colon, stage = way.partition(":")
    return f"{source}, {stage_label(stage)}" if colon else way


def stage_label(stage: str) -> str:
    """A stage in words: `psnr` is "L1 stage"."""
    return STAGES.get(stage, f"at {stage}")


def count(study: Study) -> int:
    """How many photos were measured."""
    return len(study["photos"]) or study["count"]


def scores_table(study: Study, kind: str) -> str:
    """The mean of each metric for each way; `kind` says what the photos show."""
    metrics = list(study["mean"]["bicubic"])
    rows = [[way_label(way), *(METRICS[m].spell(mean[m]) for m in metrics)] for way, mean in study["mean"].items()]
    return table([f"{count(study)} {kind}", *(METRICS[metric].label for metric in metrics)], rows)


def differences_table(study: Study, stages: Sequence[str] = (EXACT, CRISP)) -> str:
    """Dogs minus mixed in each metric, with the 95 % interval over photos, for each of the stages."""
    chosen = [difference_of(study, stage) for stage in stages]
    head = ["dogs minus mixed"]
    for stage in stages:
        head += [STAGES[stage], "95 % interval", "dogs better"]
    rows = []
    for metric in chosen[0]:
        row = [METRICS[metric].label]
        for difference in chosen:
            wins = difference[metric].get("wins")
            row += [
                *spell_difference(difference[metric], metric),
                "not kept" if wins is None else f"{wins} of {count(study)}",
            ]
        rows.append(row)
    return table(head, rows)


def pairs_table(study: Study) -> str:
    """PSNR-Y and LPIPS of each pair of ways that was compared, with the 95 % interval over photos."""
    rows = []
    for name, difference in study["difference"].items():
        second, first = map(way_label, name.split("_minus_"))
        row = [f"{second}, minus {first}"]
        for metric in ("psnr_y", "lpips"):
            row += spell_difference(difference[metric], metric)
        rows.append(row)
    return table(["", "PSNR-Y (dB)", "95 % interval", "LPIPS", "95 % interval"], rows)


def recipes_table(study: Study) -> str:
    """Each recipe's PSNR-Y and LPIPS, and what it changes of those of `esrgan`, with the 95 % interval over photos."""
    rows = []
    for way, mean in study["mean"].items():
        difference = study["difference"].get(f"{way}_minus_esrgan")
        row = [f"`{way}`" if way.startswith("--") else way]
        for metric in ("psnr_y", "lpips"):
            change = "{} ({})".format(*spell_difference(difference[metric], metric)) if difference else ""
            row += [METRICS[metric].spell(mean[metric]), change]
        rows.append(row)
    return table([f"{count(study)} photos", "PSNR-Y (dB)", "change", "LPIPS", "change"], rows)


def summary_table(studies: dict[str, Study]) -> str:
    """One table for all: PSNR-Y and LPIPS of each way on each kind of photo, and dogs minus mixed in its last rows."""
    metrics = ("psnr_y", "lpips")
    head = [""]
    for kind, study in studies.items():
        head += [f"{count(study)} {kind}: {METRICS['psnr_y'].label}", METRICS["lpips"].label]
    ways = ["bicubic", *(f"{name}:{stage}" for stage in (EXACT, CRISP) for name in ("mixed", "dogs"))]
    rows = [
        [way_label(way), *(METRICS[m].spell(study["mean"][way][m]) for study in studies.values() for m in metrics)]
        for way in ways
    ]
    for stage in (EXACT, CRISP):
        row = [f"dogs minus mixed, {STAGES[stage]}"]
        for study in studies.values():
            for metric in metrics:
                mean, interval = spell_difference(difference_of(study, stage)[metric], metric)
                row.append(f"{mean} ({interval})")
        rows.append(row)
    return table(head, rows)


def difference_of(study: Study, stage: str) -> dict[str, dict[str, float]]:
    """Dogs minus mixed at a stage, by metric: `mean`, `low`, `high`, `wins`."""
    return study["difference"][f"dogs:{stage}_minus_mixed:{stage}"]


def spell_difference(difference: dict[str, float], metric: str) -> tuple[str, str]:
    """Its mean and its interval."""
    mean, low, high = (METRICS[metric].spell(difference[key], "+") for key in ("mean", "low", "high"))
    return mean, f"{low} to {high}"


def side(difference: dict[str, float], metric: str) -> str | None:
    """Whether the second of two is `ahead` or `behind`; None where the interval holds zero."""
    if difference["low"] <= 0 <= difference["high"]:
        return None
    return "ahead" if (difference["mean"] < 0) == (METRICS[metric].best is min) else "behind"


def amount(difference: dict[str, float], metric: str) -> str:
    """By how much two differ."""
    unit = " dB" if "dB" in METRICS[metric].label else ""
    return f"by {METRICS[metric].spell(abs(difference['mean']))}{unit}"


def lead(difference: dict[str, float], metric: str) -> str:
    """Where the second of two stands to the first, in words."""
    where = side(difference, metric)
    return f"{where} {amount(difference, metric)}" if where else "not clearly different"


def leads(differences: dict[str, dict[str, float]]) -> str:
    """Both figures of a difference, in words."""
    return f"{lead(differences['psnr_y'], 'psnr_y')} in PSNR-Y and {lead(differences['lpips'], 'lpips')} in LPIPS"


def plain_answer(study: Study) -> str:
    """Does the specialist do better on dogs, in a few words, from what `esrgan study` writes."""
    differences = study[CRISP]["answers"]["dogs minus mixed, on dogs"]
    found = {where for metric in ("psnr_y", "lpips") if (where := side(differences[metric], metric))}
    words = {
        "": "no difference was found",
        "ahead": "yes",
        "behind": "no",
        "ahead behind": "by one measure, not by both",
    }
    return f"Does a model of dogs alone do better on dogs? Here: {words[' '.join(sorted(found))]}"


def answer_over_seeds(study: Study) -> str:
    """The same over several trainings, and whether the lead is about dogs, from what `esrgan study` writes."""
    stage = study[CRISP]
    answers = stage["answers"]
    parts = [
        f"{leads(answers[f'dogs minus mixed, on {name}'])} on {len(stage['bicubic'][name])} {kind}"
        for name, kind in KINDS.items()
    ]
    more = answers["gain of dogs on dogs minus its gain on others"]
    in_words = {"ahead": "more", "behind": "less"}
    gains = [
        f"{in_words[where]} {amount(more[metric], metric)}" if (where := side(more[metric], metric)) else "undecided"
        for metric in ("psnr_y", "lpips")
    ]
    return (
        f"Over {len(stage['seeds'])} trainings of each, the specialist is {', and '.join(parts)} (adversarial stage). "
        f"Whether it gains more on dogs than on others: {gains[0]} in PSNR-Y, {gains[1]} in LPIPS."
    )


def seeds_table(study: Study) -> str:
    """What was asked of the trainings: each answer with its interval over seeds and photos, and the spread of seeds."""
    head = ["", "PSNR-Y (dB)", "between seeds", "LPIPS", "between seeds"]
    rows = []
    for stage, results in study.items():
        for question, answers in results["answers"].items():
            row = [f"{question}, {stage_label(stage)}"]
            for metric in ("psnr_y", "lpips"):
                mean, interval = spell_difference(answers[metric], metric)
                row += [f"{mean} ({interval})", f"± {METRICS[metric].spell(answers[metric]['spread'])}"]
            rows.append(row)
    return table(head, rows)


def answer(studies: dict[str, Study]) -> str:
    """Does the specialist win, in one sentence: the generators of the adversarial stage, on each kind of photo."""
    parts = [f"{leads(difference_of(study, CRISP))} on {count(study)} {kind}" for kind, study in studies.items()]
    return f"Compared with the generalist, the specialist is {', and '.join(parts)} (adversarial stage of both)."
