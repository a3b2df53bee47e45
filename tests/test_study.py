"""The README, the page and the model cards tell the figures of the measured table, whatever weights are bundled."""

import re

import pytest
from conftest import ROOT

from esrgan.page.study_tab import INTRO, STUDY

TABLE = (STUDY / "table.md").read_text()
RESULTS = (ROOT / "README.md").read_text().split("\n## Results\n")[1].split("\n## ")[0]


def rows(name: str) -> list[list[str]]:
    """The cells after `name` in each row of the table that begins with it."""
    found = [line.strip("| \n").split(" | ")[1:] for line in TABLE.splitlines() if line.startswith(f"| {name} |")]
    assert found, name
    return found


def test_readme_has_every_row_of_scores() -> None:
    scores = re.findall(r"^\|[^|]+(\|(?: [\d.]+ \|){4})$", TABLE, re.MULTILINE)
    assert len(scores) == 7
    for row in scores:
        assert row in RESULTS


@pytest.mark.parametrize("metric", ["PSNR-Y (dB)", "PSNR-RGB (dB)", "SSIM-Y", "LPIPS"])
def test_readme_has_both_differences_of_each_metric(metric: str) -> None:
    exact, crisp = rows(metric)
    assert f"| {' | '.join(exact + crisp)} |" in RESULTS


def test_page_tells_both_differences_of_psnr() -> None:
    (exact, *_), (crisp, _, wins) = rows("PSNR-Y (dB)")
    told = " ".join(INTRO.split())
    assert f"is ahead by {exact.lstrip('+')} dB" in told
    assert f"by {crisp.lstrip('+')} dB, on {wins} photos" in told


@pytest.mark.parametrize("model", ["mixed", "dogs"])
def test_card_has_what_its_weights_measured(model: str) -> None:
    card = (ROOT / "esrgan" / "pretrained" / model / "README.md").read_text()
    for row, weights in (("L1 stage", "L1 stage"), ("adversarial", "adversarial stage")):
        ((psnr, _, ssim, lpips),) = rows(f"{model}, {row}")
        assert f"after the {weights} | {psnr} | {ssim} | {lpips} |" in card
