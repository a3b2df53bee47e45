"""The model card that goes with weights: what they are, what made them, how to use them, what they cannot do."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, RepoCard

from ..errors import HubError
from ..evaluation.metrics import METRICS
from ..evaluation.study import protocol
from ..evaluation.tables import table
from ..models.source import is_hub_id, parse
from .history import CURVES
from .options import LICENCE
from .recipes import Esrgan
from .records import PRECISIONS, Segment
from .validation import PLATE

STAGES = {
    "psnr": "trained for exact pixels (L1 loss): the highest PSNR, a soft look",
    "gan": "trained against a discriminator: crisper texture, at some cost in PSNR",
}
RECIPES = {
    "esrgan": "the two stages of [ESRGAN](https://arxiv.org/abs/1809.00219)",
    "paper": "the recipe of [Super-Resolution Analysis of Animal Images Based on ESRGAN Model]"
    "(https://doi.org/10.5220/0012804200003885)",
}
LIMITS = {
    "bicubic": "Trained on photos shrunk by bicubic interpolation, without noise or compression: on a photo that was "
    "blurred, compressed\nor sharpened otherwise it also enlarges those defects.",
    "camera": "Trained on photos shrunk with blur, noise and JPEG, for photos as they come from phones and the web: it "
    "smooths\naway some detail of a clean one.",
}
CARD = "README.md"
FOLDER = "path/to/this/folder"
PICTURES = {
    PLATE: "Samples beside bicubic and the truth",
    CURVES: "Losses and measurements of the training",
}
RESULTS = "model-index"  # what the Hub calls them in a card's front matter
MADE = re.compile(r"<!-- Front matter as made: (\{.*?\}) -->")
NOTES = ("<!-- Write your own notes below; publishing again keeps them. -->", "<!-- End of your own notes. -->")

TEMPLATE = """---
{metadata}
---
# {title}

An ESRGAN generator (RRDBNet, {num_blocks} blocks) that enlarges photos by 4, {stage}.

With its library (`pip install -e .` in a clone of the repository `esrgan-animals`):

```python
from esrgan import Generator, Upscaler, read_image

generator = Generator.from_pretrained("{source}")
Upscaler(generator)(read_image("photo.jpg")).save("photo_x4.png")
```

The tensors have BasicSR's names, so `model.safetensors` also opens in spandrel, chaiNNer and ComfyUI.

{notes}

## Training

{steps} steps{start} on {photos} photos (`{data}`), by {recipe}.{results}{dashboard}

{segments}{settings}

## Limits

{limits} Detail that the small photo does not have is guessed; do not use
the result as evidence of what was there.

## Papers

- Li, S. (2023). *Super-Resolution Analysis of Animal Images Based on ESRGAN Model.* DAML 2023, 433-437.
  [10.5220/0012804200003885](https://doi.org/10.5220/0012804200003885)
- Wang, X. et al. (2018). *ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks.* ECCV Workshops.
  [arXiv:1809.00219](https://arxiv.org/abs/1809.00219)

{made}
"""


@dataclass(frozen=True)
class Facts:
    """What a card tells of a training.

    Attributes:
        recipe: what trained the generator.
        stage: `psnr` or `gan`.
        steps: how many the weights have behind them, over both stages.
        data: name of the training data.
        photos: how many there were, in words or digits.
        is_hub_dataset: whether the data's name is its Hub id.
        licence: of the weights, as the Hub calls it.
        effective_batch_size: photos for each optimiser step, over all processes and accumulated batches.
        segments: what ran how.
        init_from: the weights that the training started from, named if everyone can have them; None for a random start.
        scores: mean validation metrics, if they were measured.
        bicubic: bicubic's PSNR-Y in dB on the same photos.
        validation_photos: how many those were.
        dashboard: the address of its curves on the web.
    """

    recipe: Esrgan
    stage: str
    steps: int
    data: str
    photos: str
    is_hub_dataset: bool = False
    licence: str = LICENCE
    effective_batch_size: int | None = None
    segments: Sequence[Segment] = ()
    init_from: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    bicubic: float | None = None
    validation_photos: int = 0
    dashboard: str | None = None


def model_card(facts: Facts) -> ModelCard:
    """Describe a generator; its metadata are what the Hub reads."""
    recipe, start = facts.recipe, public_name(facts.init_from)
    title = f"ESRGAN x4, {facts.data}"
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="x4 super-resolution",
            dataset_type="photos",
            dataset_name=f"{facts.validation_photos} validation photos",
            dataset_args={"protocol": protocol(recipe.degradation)},
            metric_type=metric.split("_")[0],
            metric_name=METRICS[metric].label,
            metric_value=round(value, METRICS[metric].digits),
        )
        for metric, value in facts.scores.items()
        if math.isfinite(value)
    ]
    metadata = ModelCardData(
        license=facts.licence,
        library_name="esrgan",
        pipeline_tag="image-to-image",
        tags=["super-resolution", "esrgan", "animals"],
        datasets=[facts.data] if facts.is_hub_dataset else None,
        base_model=parse(start).place if start else None,
        model_name=title if results else None,
        eval_results=results or None,
    )
    settings = [[name, str(value)] for name, value in asdict(recipe).items()]
    return ModelCard(
        TEMPLATE.format(
            metadata=metadata.to_yaml(),
            title=title,
            num_blocks=recipe.num_blocks,
            stage=STAGES[facts.stage],
            source=FOLDER,
            notes="\n".join(NOTES),
            steps=facts.steps,
            start=f", starting from {f'`{start}`' if start else 'earlier weights'}," if facts.init_from else "",
            photos=facts.photos,
            data=facts.data,
            recipe=RECIPES[type(recipe).__name__.lower()],
            results=_tell_results(facts),
            dashboard=f"\n\n[The curves of this training]({facts.dashboard})" if facts.dashboard else "",
            limits=LIMITS[recipe.degradation],
            made=_spell_made(metadata.to_dict()),
            segments=_tell_segments(facts),
            settings=table(["setting", "value"], settings),
        ),
        ignore_metadata_errors=False,
    )


def public_name(weights: str | None) -> str | None:
    """The name of weights if everyone can have them by it, as from the Hub."""
    return weights if weights and is_hub_id(parse(weights).place) else None


def _tell_segments(facts: Facts) -> str:
    if not facts.segments:
        return ""
    head = ["from step", "learning rate", "effective batch", "processes", "accumulated", "precision"]
    head += ["device", "versions"]
    rows = [
        [
            f"{segment.stage} {segment.step}",
            f"{segment.psnr_learning_rate if segment.stage == 'psnr' else segment.learning_rate:g}",
            f"{facts.effective_batch_size}",
            f"{segment.processes}",
            f"{segment.gradient_accumulation_steps}",
            PRECISIONS.get(segment.mixed_precision, segment.mixed_precision),
            segment.device,
            segment.versions,
        ]
        for segment in facts.segments
    ]
    return f"{table(head, rows)}\n\n"


def _tell_results(facts: Facts) -> str:
    if not facts.scores or facts.bicubic is None:
        return ""
    told = ", ".join(
        f"{METRICS[metric].label} {METRICS[metric].spell(value)}" for metric, value in facts.scores.items()
    )
    photos = f"{facts.validation_photos} validation photos"
    return f"\n\nOn {photos}: {told}; bicubic's PSNR-Y is {facts.bicubic:.2f} dB. {protocol(facts.recipe.degradation)}"


def published_card(
    card: str, repo_id: str, before: str, names: Collection[str] = (), licence: str | None = None
) -> str:
    """A folder's card for the Hub: its snippet loads from there, and what was written by hand there is kept.

    Args:
        card: the folder's.
        repo_id: where it is published.
        before: the card that is there, or nothing. Its notes serve where `card` has none, and whatever was changed in
            its front matter since that was made, other than the results.
        names: files that are published with it; pictures among them are shown.
        licence: takes the place of any other.

    Raises:
        HubError: there is no front matter to be read in one of the cards.
    """
    shown = "".join(f"![{meaning}]({name})\n\n" for name, meaning in PICTURES.items() if name in names)
    card = card.replace(FOLDER, repo_id).replace("## Limits", f"{shown}## Limits")
    blank = "\n".join(NOTES)
    if not any(marker in card for marker in NOTES):
        card = f"{card}\n{blank}\n"
    kept = re.search("(.*)".join(map(re.escape, NOTES)), before, re.DOTALL)
    card = card.replace(blank, kept[0]) if kept else card
    changed = {**_changed_by_hand(before, repo_id), **({"license": licence} if licence else {})}
    if not changed:
        return card
    parsed = _parse(card, "the model folder")
    for key, value in changed.items():
        parsed.data[key] = value
    return str(parsed)


def _changed_by_hand(card: str, repo_id: str) -> dict[str, Any]:
    """What a published card's front matter says otherwise than it was made; None for what was taken out of it."""
    if not card:
        return {}
    now = _parse(card, repo_id).data.to_dict()
    noted = MADE.search(card)
    try:
        made = json.loads(noted[1]) if noted else {}
    except (ValueError, RecursionError) as error:
        raise HubError(
            f"{repo_id}: the comment of README.md that says its front matter as made is damaged ({error}); remove it "
            "there, so that what the front matter says is kept."
        ) from error
    return {key: now.get(key) for key in {**made, **now} if key != RESULTS and now.get(key) != made.get(key)}


def _spell_made(metadata: Mapping[str, Any]) -> str:
    made = json.dumps({key: value for key, value in metadata.items() if key != RESULTS})
    return f"<!-- Front matter as made: {made.replace('>', chr(92) + 'u003e')} -->"


def _parse(card: str, place: str) -> RepoCard:
    try:
        return RepoCard(card)
    except Exception as error:  # whatever YAML can be wrong in
        raise HubError(
            f"{place}: the front matter of README.md is no table in YAML; mend it there, so that it can be kept."
        ) from error
