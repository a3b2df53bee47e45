"""What a model card says, to the Hub and to people."""

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from esrgan.training.model_card import FOLDER, NOTES, Facts, model_card, published_card
from esrgan.training.recipes import Esrgan, Paper

SCORES = {"psnr_y": 27.943, "psnr_rgb": 26.5, "ssim_y": 0.78846, "lpips": 0.2134}
FACTS = Facts(
    recipe=Esrgan(),
    stage="gan",
    steps=30_000,
    data="me/dog-photos",
    photos="100",
    is_hub_dataset=True,
    init_from="me/esrgan-x4-mixed@v1",
    scores=SCORES,
    bicubic=27.14,
    validation_photos=16,
)


def test_its_metadata_parse_back_into_the_same() -> None:
    card = model_card(FACTS)
    parsed = ModelCard(str(card)).data
    assert parsed.to_dict() == card.data.to_dict()
    assert (parsed.license, parsed.pipeline_tag, parsed.library_name) == ("apache-2.0", "image-to-image", "esrgan")
    assert (parsed.datasets, parsed.base_model) == (["me/dog-photos"], "me/esrgan-x4-mixed")
    assert parsed.eval_results is not None
    told = {result.metric_name: (result.metric_type, result.metric_value) for result in parsed.eval_results}
    assert told == {
        "PSNR-Y (dB)": ("psnr", 27.94),
        "PSNR-RGB (dB)": ("psnr", 26.5),
        "SSIM-Y": ("ssim", 0.7885),
        "LPIPS": ("lpips", 0.213),
    }
    for result in parsed.eval_results:
        assert result.dataset_name == "16 validation photos"
        assert "Pillow bicubic by 1/4" in str(result.dataset_args)


def test_its_text_names_the_figures_the_start_and_the_paper() -> None:
    text = model_card(FACTS).text
    assert "starting from `me/esrgan-x4-mixed@v1`, on 100 photos (`me/dog-photos`)" in text
    assert "PSNR-Y (dB) 27.94, PSNR-RGB (dB) 26.50, SSIM-Y 0.7885, LPIPS 0.213; bicubic's PSNR-Y is 27.14 dB" in text
    assert "10.5220/0012804200003885" in text


@pytest.mark.parametrize("start", [None, "dogs", "LOCAL"])
def test_what_others_cannot_have_is_not_named(start: str | None, tmp_path: Path) -> None:
    start = str(tmp_path) if start == "LOCAL" else start
    card = model_card(Facts(Paper(), "psnr", 10, "animals/photos", "100", init_from=start))
    assert (card.data.base_model, card.data.datasets, card.data.eval_results) == (None, None, None)
    assert str(tmp_path) not in str(card)
    assert ("starting from earlier weights" in card.text) == (start is not None)
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_a_perfect_score_does_not_break_the_metadata() -> None:
    card = model_card(Facts(Esrgan(), "psnr", 1, "photos", "2", scores={"psnr_y": float("inf")}, bicubic=float("inf")))
    assert "inf" not in card.data.to_yaml()


def test_pictures_that_are_published_are_shown() -> None:
    card = published_card(str(model_card(FACTS)), "me/dogs", "", ["curves.png", "model.safetensors"])
    assert re.findall(r"!\[.+\]\((.+)\)\n\n", card) == ["curves.png"]


def test_notes_written_by_hand_survive() -> None:
    card = str(model_card(FACTS))
    begin, end = NOTES
    first = published_card(card, "me/dogs", "")
    assert FOLDER not in first
    assert 'from_pretrained("me/dogs")' in first
    noted = first.replace(f"{begin}\n{end}", f"{begin}\nSniffs \\1 out **every** hair.\n\nTwice.\n{end}")
    assert noted != first
    assert published_card(card, "me/dogs", noted) == noted
    mine = card.replace(f"{begin}\n{end}", f"{begin}\nOf this folder.\n{end}")
    again = published_card(mine, "me/dogs", noted)
    assert "Of this folder." in again
    assert "Sniffs" not in again
    old = published_card("---\nlicense: mit\n---\n# Before there were notes\n", "me/dogs", noted)
    assert "Sniffs \\1 out **every** hair.\n\nTwice." in old
    assert old.count(begin) == old.count(end) == 1
