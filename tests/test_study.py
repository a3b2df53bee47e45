"""What README, docs, model cards and page show is what was measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import BUNDLED, ROOT
from PIL import Image

from docs import write
from esrgan import Generator, Upscaler
from esrgan.evaluation import report
from esrgan.evaluation.report import KINDS, STUDY, answer, differences_table, lead, summary_table, table, way_label
from esrgan.evaluation.study import bicubic, measure, paired_difference, read_truth

STUDIES = [name for name in (*KINDS, "examples") if (STUDY / f"{name}.json").is_file()]


def made_up(psnr: tuple[float, float, float], lpips: tuple[float, float, float]) -> report.Study:
    """A study of 3 photos with these differences: mean, low, high."""
    scores = {"psnr_y": 30.0, "lpips": 0.2}
    difference = {
        metric: dict(zip(("mean", "low", "high", "wins"), (*values, 2), strict=True))
        for metric, values in (("psnr_y", psnr), ("lpips", lpips))
    }
    return {
        "mean": dict.fromkeys(("bicubic", "mixed:psnr", "dogs:psnr", "mixed:gan", "dogs:gan"), scores),
        "difference": {f"dogs:{stage}_minus_mixed:{stage}": difference for stage in ("psnr", "gan")},
        "photos": dict.fromkeys("abc"),
    }


@pytest.mark.parametrize(
    ("interval", "metric", "said"),
    [
        ((0.27, 0.17, 0.39), "psnr_y", "ahead by 0.27 dB"),
        ((-0.27, -0.39, -0.17), "psnr_y", "behind by 0.27 dB"),
        ((0.02, -0.01, 0.05), "psnr_y", "not clearly different"),
        ((-0.014, -0.026, -0.004), "lpips", "ahead by 0.014"),
        ((0.007, 0.005, 0.008), "lpips", "behind by 0.007"),
    ],
)
def test_a_lead_is_told_by_the_interval_and_by_what_is_better(interval, metric, said) -> None:
    assert lead(dict(zip(("mean", "low", "high"), interval, strict=True)), metric) == said


def test_the_answer_over_seeds_says_whether_it_is_about_dogs() -> None:
    def answers(psnr: tuple[float, float, float], lpips: tuple[float, float, float]) -> dict:
        return {
            metric: dict(zip(("mean", "low", "high", "spread"), (*values, 0.05), strict=True))
            for metric, values in (("psnr_y", psnr), ("lpips", lpips))
        }

    study = {
        "gan": {
            "seeds": [0, 1, 2],
            "bicubic": {"dogs": dict.fromkeys("abc"), "others": dict.fromkeys("ab")},
            "answers": {
                "dogs minus mixed, on dogs": answers((0.25, 0.1, 0.4), (-0.01, -0.02, -0.001)),
                "dogs minus mixed, on others": answers((0.2, -0.1, 0.4), (0.004, 0.001, 0.007)),
                "gain of dogs on dogs minus its gain on others": answers((0.05, -0.1, 0.2), (-0.014, -0.02, -0.01)),
            },
        }
    }
    assert report.answer_over_seeds(study) == (
        "Over 3 trainings of each, the specialist is ahead by 0.25 dB in PSNR-Y and ahead by 0.010 in LPIPS on 3 "
        "photos of dogs, and not clearly different in PSNR-Y and behind by 0.004 in LPIPS on 2 photos of "
        "other animals (adversarial stage). Whether it gains more on dogs than on others: undecided in PSNR-Y, more "
        "by 0.014 in LPIPS."
    )
    assert (
        "| dogs minus mixed, on dogs, adversarial stage | +0.25 (+0.10 to +0.40) | ± 0.05 | -0.010 (-0.020 to -0.001) |"
        in report.seeds_table(study)
    )
    on_dogs = study["gan"]["answers"]["dogs minus mixed, on dogs"]
    for lpips, said in (
        ((-0.02, -0.001), "yes"),
        ((-0.01, 0.01), "yes"),
        ((0.01, 0.02), "by one measure, not by both"),
    ):
        on_dogs["lpips"] |= dict(zip(("low", "high", "mean"), (*lpips, sum(lpips) / 2), strict=True))
        assert report.plain_answer(study).endswith(f"? Here: {said}")
    on_dogs["psnr_y"] |= {"low": -0.1}
    assert report.plain_answer(study).endswith("? Here: no")


def test_the_answer_names_every_kind_of_photo() -> None:
    studies = {
        "photos of dogs": made_up((0.27, 0.17, 0.39), (-0.014, -0.026, -0.004)),
        "photos of other animals": made_up((0.1, -0.1, 0.3), (0.002, 0.001, 0.003)),
    }
    assert answer(studies) == (
        "Compared with the generalist, the specialist is ahead by 0.27 dB in PSNR-Y and ahead by 0.014 in LPIPS on 3 "
        "photos of dogs, and not clearly different in PSNR-Y and behind by 0.002 in LPIPS on 3 photos of "
        "other animals (adversarial stage of both)."
    )
    assert "+0.27 (+0.17 to +0.39) | -0.014 (-0.026 to -0.004) | +0.10" in summary_table(studies)
    assert "| PSNR-Y (dB) | +0.27 | +0.17 to +0.39 | 2 of 3 |" in differences_table(studies["photos of dogs"])


def test_a_way_is_told_in_words() -> None:
    labels = [way_label(way) for way in ("bicubic", "dogs:psnr", "dogs:0.8", "mixed:gan")]
    assert labels == ["bicubic", "dogs, L1 stage", "dogs, at 0.8", "mixed, adversarial stage"]
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


@pytest.mark.parametrize("path", write.TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_has_the_figures_that_were_measured(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == write.texts()[path], "run python docs/write.py"


def test_every_marked_block_is_one_that_is_written() -> None:
    known = {*write.blocks(), *KINDS, *(f"{name} differences" for name in KINDS)}
    for path in write.TEXTS:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"<!-- table: (.+?) -->", text)) <= known, path
        assert len(re.findall(r"<!-- table: ", text)) == text.count("<!-- end -->"), path


@pytest.mark.parametrize("name", STUDIES)
def test_means_and_intervals_are_those_of_the_photos(name: str) -> None:
    study = report.read_study(name)
    ways = {
        way: list(zip(*(scores[way].items() for scores in study["photos"].values()), strict=True))
        for way in study["mean"]
    }
    for way, columns in ways.items():
        for column in columns:
            assert study["mean"][way][column[0][0]] == pytest.approx(np.mean([value for _, value in column]))
    for pair, metrics in study["difference"].items():
        b, a = pair.split("_minus_")
        for metric, difference in metrics.items():
            values = [[scores[way][metric] for scores in study["photos"].values()] for way in (a, b)]
            again = paired_difference(*values, lower_is_better=metric == "lpips")
            assert difference == pytest.approx(vars(again))


@pytest.mark.parametrize("way", ["bicubic", "dogs:gan", "mixed:psnr"])
def test_the_bundled_weights_measure_what_the_study_says(way: str) -> None:
    source, _, stage = way.partition(":")
    method = Upscaler(Generator.from_pretrained(source, stage=stage)) if stage else bicubic
    measured = measure(method, read_truth(BUNDLED / "dog.jpg"))
    said = report.read_study("examples")["photos"]["dog.jpg"][way]
    assert measured["psnr_y"] == pytest.approx(said["psnr_y"], abs=0.05), "bfloat16 and float32 differ by that"
    assert measured["ssim_y"] == pytest.approx(said["ssim_y"], abs=0.001)


def test_the_picture_of_the_differences_is_of_these_scores(tmp_path: Path) -> None:
    write.write_differences(tmp_path / "again.png")
    again, kept = (
        np.asarray(Image.open(path).convert("RGB"), float)
        for path in (tmp_path / "again.png", STUDY / "differences.png")
    )
    assert again.shape == kept.shape
    assert np.abs(again - kept).mean() < 2, "run python docs/write.py"


def test_the_scores_are_of_this_grammar() -> None:
    for name in STUDIES:
        study = json.loads((STUDY / f"{name}.json").read_text(encoding="utf-8"))
        assert all("@" not in way for way in study["mean"])
        assert {way.partition(":")[2] for way in study["mean"]} >= {"", "psnr", "gan"}
