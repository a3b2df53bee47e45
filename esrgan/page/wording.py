"""Figures in words and tables that a layperson understands."""

import math
from collections.abc import Iterable, Mapping, Sequence

from ..evaluation.maps import DOUBT_END, ERROR_END, colour_scale
from ..evaluation.metrics import METRICS
from ..evaluation.study import LEAST_PHOTOS, Evaluation, finite
from .blind import MODELS, SCORED, BlindTest, by_chance
from .jobs import Figures, Step, error_name
from .limits import spell_seconds
from .models import label

WORKING = "## Working on it …"
SIZES = {1.0: "a large difference", 0.3: "a clear difference", 0.1: "a small difference", 0.0: "too little to see"}
SCALE = f'<span class="scale" style="background: {colour_scale()}"></span>'
VISIBLE = {"psnr_y": 0.1, "lpips": 0.01}  # differences below are not seen
NO_ORIGINAL = "nobody has a larger original."
AGREEMENTS = {40.0: "look the same", 32.0: "differ in fine detail only", -math.inf: "differ visibly"}

NUMBERS = """**PSNR** says how close pixels are to those of the original, in decibels (dB). More is better: with 1 dB
more they are off by about a tenth less; less than 0.1 dB nobody sees. PSNR-Y looks at brightness alone, PSNR-RGB at the
colours too. **SSIM-Y** compares structure, such as edges and fur; 1 is identical. **LPIPS**, where it is shown, asks a
network that knows photos how different two pictures look; less is better, less than 0.01 is hardly seen. **Bicubic**
is enlargement without AI: the mark to beat."""
INTERVAL = """**95 % interval**: over all photos of this kind, the mean most likely lies in this range. Where zero lies
in it, neither model is ahead for sure."""


def explained(words: str, more: str) -> str:
    """Markdown: words, and what opens behind the question mark at their end."""
    summary = f'{words}&nbsp;<span class="mark">?</span>'
    return f'<details class="more"><summary>\n\n{summary}\n\n</summary>\n\n{more}\n\n</details>'


def picture_labels(ways: Iterable[str]) -> dict[str, str]:
    """What the page calls each picture of a step, by its name."""
    return {
        "original": "Original",
        **{way: label(way) for way in ways},
        "map": "Map: who is closer",
        **{error_name(way): f"Error: {label(way)}" for way in ways},
        "doubt": "Doubt",
    }


MAPS = explained(
    "*Map: who is closer*: blue where Dogs came closer to your photo, orange where Mixed did.<br>"
    f"*Error*: brightness exact {SCALE} off by {ERROR_END} of 255 levels or more.",
    "The strongest colour of the map stands for the largest difference in this photo. The colours of an error are the "
    "same for every photo.",
)
DOUBT = explained(
    f"*Doubt*: the models agree {SCALE} they do not. **What is bright is most likely invented**: do not identify an "
    "animal by it.",
    f"""Results of Mixed and Dogs are compared, each at its softest and its crispest; of damaged photos, those of their
weights for such. At the brightest colour their brightness differs by {DOUBT_END} of 255 levels or more (standard
deviation). What is dark may be wrong too, where all of them make the same mistake.""",
)


def tell_doubt(done: float) -> str:
    """How far the map of doubt is, 0..1."""
    return f"Comparing the models: {100 * done:.0f} %"


def tell_progress(step: Step, seconds: float) -> str:
    """What is being done, after so many seconds, and how many are left: until a twentieth is done, by earlier jobs."""
    estimate = ""
    total = seconds / step.done if step.done > 0.05 else step.seconds
    if total and step.done < 1:
        estimate = f", {spell_seconds(total - seconds)} left"
    return add_notes(f"{WORKING}\n{step.text}{estimate}", step.notes)


def add_notes(words: str, notes: Sequence[str]) -> str:
    """With what was done to the photo below."""
    return "\n\n".join([words, " ".join(notes)] if notes else [words])


def rank(value: float | None) -> float:
    """To sort by: None, a perfect match, comes first."""
    return math.inf if value is None else value


def spell(key: str, value: float | None, sign: str = "") -> str:
    """A value as the page shows it; `sign` is "+" for a difference."""
    if value is None:
        return "undefined" if sign else "identical"
    return METRICS[key].spell(value, sign)


def table(figures: Mapping[str, Figures], difference: Figures | None = None) -> str:
    """Markdown: a row for each way, the best of each column in bold, then the difference."""
    keys = list(next(iter(figures.values())))
    lines = [f"| | {' | '.join(METRICS[key].label for key in keys)} |", "|---" * (len(keys) + 1) + "|"]
    values = {key: [rank(row[key]) for row in figures.values()] for key in keys}
    best = [METRICS[key].best(values[key]) for key in keys]
    for way, row in figures.items():
        cells = [spell(key, row[key]) for key in keys]
        winners = [spell(key, None if math.isinf(value) else value) for key, value in zip(keys, best, strict=True)]
        marked = (f"**{cell}**" if cell == winner else cell for cell, winner in zip(cells, winners, strict=True))
        lines.append(f"| {label(way)} | {' | '.join(marked)} |")
    if difference:
        lines.append(f"| Dogs minus mixed | {' | '.join(spell(key, difference[key], '+') for key in keys)} |")
    return "\n".join(lines)


def tell_comparison(figures: Figures) -> tuple[str, str]:
    """Which model won, in words; the table."""
    plain, mixed, dogs = (rank(figures[way]["psnr_y"]) for way in ("bicubic", "mixed", "dogs"))
    difference = 0.0 if mixed == dogs else dogs - mixed
    texture = figures["dogs_minus_mixed"].get("lpips") or 0.0
    headline = "No visible difference"
    if abs(difference) >= VISIBLE["psnr_y"]:
        margin = f" by {abs(difference):.2f} dB" if math.isfinite(difference) else ""
        headline = f"The {'Dogs' if difference > 0 else 'Mixed'} model wins{margin}"
    elif abs(texture) >= VISIBLE["lpips"]:
        headline = f"The {'Dogs' if texture < 0 else 'Mixed'} model has the truer texture"
    perfect = [name for name, value in (("Mixed", mixed), ("Dogs", dogs)) if math.isinf(value)]
    above = [way for way, value in (("Mixed", mixed), ("Dogs", dogs)) if value > plain]
    who = ("Neither comes", f"Only {''.join(above)} comes", "Both come")[len(above)]
    told = f"{' and '.join(perfect)} gave your photo back without any error."
    if not perfect:
        closer, other = ("Dogs", "Mixed") if difference > 0 else ("Mixed", "Dogs")
        margin = spell("psnr_y", abs(difference))
        size = next(words for least, words in SIZES.items() if abs(difference) >= least)
        told = f"{closer} comes **{margin} dB** closer to your photo than {other}, {size}."
        if not float(margin):
            told = "Dogs and Mixed come equally close to your photo."
    return (
        f"## {headline}\n{told} {who} closer to it than plain enlargement (bicubic).",
        table({way: row for way, row in figures.items() if way != "dogs_minus_mixed"}, figures["dogs_minus_mixed"]),
    )


def tell_batch(evaluation: Evaluation, problems: Sequence[str]) -> tuple[str, str]:
    """Which model won over many photos, and how sure that is; the tables."""
    difference = evaluation.difference("mixed", "dogs")["psnr_y"]
    count = len(evaluation.photos)
    signed = METRICS["psnr_y"].spell(difference.mean, "+")
    low, high = (METRICS["psnr_y"].spell(value, "+") for value in (difference.low, difference.high))
    headline, sure = "No winner", "Other photos of this kind could reverse this"
    if difference.low > 0 or difference.high < 0:
        headline = f"The {'Dogs' if difference.mean > 0 else 'Mixed'} model wins"
        sure = "Other photos of this kind would hardly reverse this"
    if count < LEAST_PHOTOS:
        headline, sure = "Too few photos to tell", f"{LEAST_PHOTOS} are the least for a verdict"
    left_out = "\n\nLeft out:" + "".join(f"\n- {problem}" for problem in problems) if problems else ""
    return (
        f"## {headline}\nDogs minus mixed over {count} photo{'s' * (count > 1)}: **{signed} dB** (95 % interval {low} "
        f"to {high}). Dogs came closer on {difference.wins}. {sure}.{left_out}",
        evaluation.markdown(),
    )


def tell_blind(test: BlindTest, choices: Sequence[int]) -> str:
    """Which model the eye preferred, whether that may be chance, and how often the metrics agreed."""
    chosen = test.chosen(choices)
    count, most = len(chosen), max(chosen.count(model) for model in MODELS)
    favourite = next(model for model in MODELS if chosen.count(model) == most)
    headline = f"You preferred {label(favourite)} in {most} of {count} rounds"
    if 2 * most == count:
        headline = "You preferred neither model"
    chance = by_chance(count, most)
    sure = "so this proves nothing yet" if chance >= 0.05 else "so this is hardly chance"
    coin = f"Tossing a coin prefers one model as often in {100 * chance:.0f} % of such tests, {sure}."
    agreements = " and ".join(
        f"with **{METRICS[metric].label.split()[0]}** in {hits} of {decided}"
        for metric in SCORED
        for hits, decided in [test.agreement(chosen, metric)]
        if decided
    )
    agreed = f"You agreed {agreements} rounds. " if agreements else ""
    return f"## {headline}\n{agreed}{coin} ✓ marks what a metric finds closer; your choice is framed."


def captions(test: BlindTest, choices: Sequence[int]) -> list[list[str]]:
    """What stands under the three pictures of each round once it is over."""
    told = []
    for i, (round_, chosen) in enumerate(zip(test.rounds, test.chosen(choices), strict=True)):
        row = []
        for model in test.shown(i):
            lines = [f"{label(model)}{', your choice' * (model == chosen)}"]
            for metric in SCORED:
                if metric in round_.scores[model]:
                    value = spell(metric, finite(round_.scores[model][metric]))
                    lines.append(f"{METRICS[metric].label.split()[0]} {value}{' ✓' * (model == round_.closer(metric))}")
            row.append("\n".join(lines))
        told.append([row[0], "The photo", row[1]])
    return told


def tell_upscale(figures: Figures) -> tuple[str, str]:
    """How far the models agree, in words; the table of consistency."""
    found = "Shrunk back, a result should be your photo again. This is how close each comes:\n\n"
    found += table(figures["consistency"])
    if "mixed_against_dogs" not in figures:
        who = " and ".join(label(way) for way in figures["consistency"] if way != "bicubic")
        return f"## Enlarged by {who}\nWhether the detail is true cannot be measured: {NO_ORIGINAL}", found
    agreement = figures["mixed_against_dogs"]["psnr_y"]
    words = next(words for least, words in AGREEMENTS.items() if rank(agreement) >= least)
    between = "identical" if agreement is None else f"PSNR-Y {agreement:.2f} dB"
    return (
        f"## The two results {words}\nHow alike they are: **{between}**. Which one is truer cannot be measured: "
        f"{NO_ORIGINAL}",
        found,
    )
