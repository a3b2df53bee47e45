"""Write every figure that the repository shows, from the scores in esrgan/study.

python docs/write.py              # tables and sentences in README, docs and model cards, and the differences' picture
python docs/write.py --pictures   # and the plates, by the bundled weights

A marked block, from `<!-- table: NAME -->` to `<!-- end -->`, holds what `blocks` makes.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from esrgan import Generator, Upscaler  # noqa: E402
from esrgan.evaluation import report  # noqa: E402
from esrgan.evaluation.metrics import METRICS  # noqa: E402
from esrgan.evaluation.plots import draw_differences, draw_plate  # noqa: E402
from esrgan.evaluation.study import Evaluation, Method, bicubic, read_truth  # noqa: E402
from esrgan.files import replacing  # noqa: E402
from esrgan.images.bounded import read_image  # noqa: E402
from esrgan.images.degradation import degrade, seed_of  # noqa: E402
from esrgan.images.reading import EXAMPLES, find_images  # noqa: E402
from esrgan.images.resize import SCALE, shrink  # noqa: E402
from esrgan.models.layout import STAGES  # noqa: E402
from esrgan.page.stage import OPENING, OPENING_FOCUS, OPENING_PHOTO, OPENING_STAGE, PREVIEW  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
CELL = (384, 252)  # pixels of a picture in a plate
CARDS = [ROOT / "esrgan" / "pretrained" / name / "README.md" for name in ("mixed", "dogs")]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *CARDS]
STUDIES = report.read_studies()


def card_table(model: str) -> str:
    """Both stages of one model and bicubic, on each kind of photo."""
    studies = {f"{report.count(study)} {kind}": study for kind, study in STUDIES.items()}
    return weights_table("measured on", studies, model, (report.EXACT, report.CRISP))


def camera_table(model: str) -> str:
    """The camera stage of one model beside its adversarial one, on photos shrunk as a camera does, and cleanly."""
    studies = {"with blur, noise, JPEG": report.read_study("camera"), "cleanly": report.read_study("camera-clean")}
    head = f"{report.count(studies['cleanly'])} {report.KINDS['dogs']}, shrunk"
    return weights_table(head, studies, model, (report.CRISP, "camera"))


def weights_table(head: str, studies: dict[str, report.Study], model: str, stages: Sequence[str]) -> str:
    """The most important metrics of bicubic and of stages of one model on the photos of each study."""
    metrics = ("psnr_y", "ssim_y", "lpips")
    ways = {"bicubic": "bicubic", **{f"`{STAGES[stage]}`": f"{model}:{stage}" for stage in stages}}
    rows = [
        [kind, name, *(METRICS[metric].spell(study["mean"][way][metric]) for metric in metrics)]
        for kind, study in studies.items()
        for name, way in ways.items()
    ]
    return report.table([head, "weights", *(METRICS[metric].label for metric in metrics)], rows)


def blocks() -> dict[str, str]:
    """What each marked block holds."""
    made = {"answer": report.answer(STUDIES), "summary": report.summary_table(STUDIES)}
    for name in (*report.KINDS, "examples", "paper"):
        if (report.STUDY / f"{name}.json").is_file():
            study = report.read_study(name)
            made[name] = report.scores_table(study, report.KINDS.get(name, "photos"))
            made[f"{name} differences"] = report.differences_table(
                study, ["paper"] if name == "paper" else [report.EXACT, report.CRISP]
            )
    for name in ("camera", "camera-clean"):
        study = report.read_study(name)
        made |= {
            name: report.scores_table(study, report.KINDS["dogs"]),
            f"{name} differences": report.pairs_table(study),
        }
    made |= {name: report.recipes_table(report.read_study(name)) for name in ("recipes", "recipes-further")}
    seeds = report.read_study("seeds")
    made |= {"seeds": report.seeds_table(seeds), "answer over seeds": report.answer_over_seeds(seeds)}
    for model in ("mixed", "dogs"):
        made |= {f"card {model}": card_table(model), f"card camera {model}": camera_table(model)}
    return made


def render(text: str, made: dict[str, str]) -> str:
    """A text with its marked blocks filled anew."""

    def fill(block: re.Match[str]) -> str:
        return f"{block[1]}\n{made.get(block[2], '')}\n<!-- end -->"

    return re.sub(r"(<!-- table: ([\w -]+) -->)\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def render_metadata(card: str, model: str) -> str:
    """A model card whose metadata name what was measured."""
    parsed = ModelCard(card)
    kind, study = next(iter(STUDIES.items()))
    parsed.data["eval_results"] = [
        EvalResult(
            task_type="image-to-image",
            task_name="x4 super-resolution",
            dataset_type="photos",
            dataset_name=f"{report.count(study)} {kind}",
            dataset_args={"protocol": study["protocol"]},
            metric_type=metric.split("_")[0],
            metric_name=METRICS[metric].label,
            metric_value=round(value, METRICS[metric].digits),
        )
        for metric, value in study["mean"][f"{model}:gan"].items()
    ]
    return str(parsed)


def texts() -> dict[Path, str]:
    """Each text as it should be."""
    made = blocks()
    written = {path: render(path.read_text(encoding="utf-8"), made) for path in TEXTS}
    return written | {path: render_metadata(written[path], path.parent.name) for path in CARDS}


def write_differences(path: Path) -> None:
    """Dogs minus mixed, photo by photo, at both stages."""
    photos = next(iter(STUDIES.values()))["photos"]
    ways = next(iter(photos.values()))
    pairs = [(f"mixed:{stage}", f"dogs:{stage}") for stage in (report.EXACT, report.CRISP)]
    draw_differences(Evaluation(list(photos), {way: [s[way] for s in photos.values()] for way in ways}, pairs), path)


def write_crops(path: Path, ways: dict[str, Method | None], degradation: str = "bicubic") -> None:
    """Parts of example photos at 3 times their size, by each way; None is the photo itself."""
    corners = {"dog.jpg": (526, 333), "red_panda.jpg": (470, 345), "bird.jpg": (436, 250)}
    rows = []
    for name, (left, top) in corners.items():
        small, truth = degrade(read_truth(EXAMPLES / name), degradation, seed_of(name))
        box = (left, top, left + CELL[0] // 3, top + CELL[1] // 3)
        parts = [(method(small) if method else truth).crop(box) for method in ways.values()]
        rows.append([part.resize(CELL, Image.Resampling.NEAREST) for part in parts])
    draw_rows(path, list(ways), rows)


def write_compressed(path: Path, ways: dict[str, Method]) -> None:
    """The middles of photos that were stored badly, enlarged by each way."""
    rows = []
    for photo in sorted((PICTURES / "compressed").glob("*.png")):
        small = read_image(photo)
        left, top = ((SCALE * side - shown) // 2 for side, shown in zip(small.size, CELL, strict=True))
        box = (left, top, left + CELL[0], top + CELL[1])
        rows.append([method(small).crop(box) for method in ways.values()])
    draw_rows(path, list(ways), rows)


def draw_rows(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Image.Image]]) -> None:
    """Write a JPEG of rows of pictures of `CELL` pixels, with a head over each column."""
    gap, head = 6, 26
    across, down = CELL[0] + gap, CELL[1] + gap
    plate = Image.new("RGB", (len(heads) * across - gap, head + len(rows) * down - gap), "white")
    for x, text in enumerate(heads):
        place = (x * across + CELL[0] / 2, head / 2)
        ImageDraw.Draw(plate).text(place, text, "black", ImageFont.load_default(16), anchor="mm")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            plate.paste(picture, (x * across, head + y * down))
    plate.save(path, "JPEG", quality=85, optimize=True)


def write_pictures() -> None:
    """The plates, by the bundled weights."""
    ways = {
        f"{name}:{stage}": Upscaler(Generator.from_pretrained(name, stage=stage))
        for stage in (report.EXACT, report.CRISP)
        for name in ("mixed", "dogs")
    }
    with replacing(report.STUDY / "plate.png") as path:
        draw_plate({"bicubic": bicubic, **ways}, find_images(EXAMPLES), path)
    texture, camera = ways["dogs:gan"], Upscaler(Generator.from_pretrained("dogs", stage="camera"))
    with replacing(PICTURES / "plate.jpg") as path:
        write_crops(path, {"bicubic": bicubic, "dogs:gan": texture, "original": None})
    stages: dict[str, Method] = {"bicubic": bicubic, "adversarial stage": texture, "camera stage": camera}
    with replacing(PICTURES / "camera.jpg") as path:
        write_crops(path, {**stages, "original": None}, "camera")
    with replacing(PICTURES / "compressed.jpg") as path:
        write_compressed(path, stages)
    write_opening()


def write_opening() -> None:
    """What the page opens on: an example as its tabs show it."""
    truth = read_truth(EXAMPLES / OPENING_PHOTO)
    pictures = {"original": truth, "bicubic": bicubic(shrink(truth, 4))}
    for name in ("mixed", "dogs"):
        pictures[name] = Upscaler(Generator.from_pretrained(name, stage=OPENING_STAGE))(shrink(truth, 4))
    for name, picture in pictures.items():
        with replacing(OPENING / f"{name}.webp") as path:
            picture.save(path, "WEBP", quality=93, method=6)
    with replacing(PREVIEW) as path:
        draw_preview(pictures["bicubic"], pictures["dogs"]).save(path, "JPEG", quality=85, optimize=True)


def draw_preview(left: Image.Image, right: Image.Image) -> Image.Image:
    """Half of each of two pictures, in the shape in which links are shown."""
    preview, middle = left.copy(), left.width // 2
    preview.paste(right.crop((middle, 0, *right.size)), (middle, 0))
    ImageDraw.Draw(preview).line([(middle, 0), (middle, left.height)], "white", 3)
    height = round(left.width / 1.91)
    top = max(0, min(OPENING_FOCUS[1] - height // 2, left.height - height))
    return preview.crop((0, top, left.width, top + height))


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", action="store_true", help="compute the plates, too; minutes on a CPU")
    options = parser.parse_args()
    for path, text in texts().items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with replacing(report.STUDY / "differences.png") as path:
        write_differences(path)
    if options.pictures:
        write_pictures()


if __name__ == "__main__":
    main()
