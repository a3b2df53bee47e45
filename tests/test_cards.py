"""What a model card says, to the Hub and to people."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from esrgan.errors import HubError
from esrgan.evaluation.study import protocol
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


def test_its_limits_are_those_of_the_photos_it_was_trained_on() -> None:
    clean, camera = (model_card(replace(FACTS, recipe=Esrgan(degradation=name))).text for name in ("bicubic", "camera"))
    assert "without noise or compression" in clean
    assert "without noise or compression" not in camera
    assert "shrunk with blur, noise and JPEG" in camera


def test_its_text_names_the_figures_the_start_and_the_paper() -> None:
    text = model_card(FACTS).text
    assert "starting from `me/esrgan-x4-mixed@v1`, on 100 photos (`me/dog-photos`)" in text
    assert "PSNR-Y (dB) 27.94, PSNR-RGB (dB) 26.50, SSIM-Y 0.7885, LPIPS 0.213; bicubic's PSNR-Y is 27.14 dB" in text
    assert "10.5220/0012804200003885" in text
    address = "https://huggingface.co/spaces/me/curves"
    assert "curves of this training" not in text
    assert f"bicubic's PSNR-Y is 27.14 dB. {protocol('bicubic')}\n\n[The curves of this training]({address})\n" in (
        model_card(replace(FACTS, dashboard=address)).text
    )


@pytest.mark.parametrize("start", [None, "dogs", "LOCAL"])
def test_what_others_cannot_have_is_not_named(start: str | None, tmp_path: Path) -> None:
    start = str(tmp_path) if start == "LOCAL" else start
    card = model_card(Facts(Paper(), "psnr", 10, "animals/photos", "100", init_from=start))
    assert (card.data.base_model, card.data.datasets, card.data.eval_results) == (None, None, None)
    assert str(tmp_path) not in str(card)
    assert ("starting from earlier weights" in card.text) == (start is not None)
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


HAND = {"license": "cc-by-4.0", "language": "en", "thumbnail": "https://example.org/a.png", "datasets": ["me/own"]}


def with_front_matter(card: str, **changes: object) -> str:
    changed = ModelCard(card)
    for key, value in changes.items():
        changed.data[key] = value
    return str(changed)


def front_matter(card: str) -> dict:
    return ModelCard(card).data.to_dict()


def test_the_front_matter_of_the_hub_is_kept_however_often_it_is_published() -> None:
    card = str(model_card(replace(FACTS, is_hub_dataset=False)))
    hub = with_front_matter(published_card(card, "me/dogs", ""), **HAND, pipeline_tag=None)
    better = str(model_card(replace(FACTS, is_hub_dataset=False, scores=SCORES | {"psnr_y": 29.0}, init_from=None)))
    for _ in range(3):
        hub = published_card(better, "me/dogs", hub)
        said = front_matter(hub)
        assert {key: said[key] for key in HAND} == HAND
        assert "pipeline_tag" not in said
        assert said["tags"] == ["super-resolution", "esrgan", "animals"]
        assert "base_model" not in said, "that was no change by hand"
        assert said["model-index"] == front_matter(better)["model-index"]


def test_what_a_training_said_is_not_taken_for_a_change_by_hand() -> None:
    first = published_card(str(model_card(replace(FACTS, licence="mit"))), "me/dogs", "")
    local = str(model_card(replace(FACTS, is_hub_dataset=False, data="photos", licence="cc0-1.0")))
    said = front_matter(published_card(local, "me/dogs", first))
    assert said["license"] == "cc0-1.0"
    assert "datasets" not in said


def test_a_licence_that_is_asked_for_takes_the_place_of_any_other() -> None:
    hub = with_front_matter(published_card(str(model_card(FACTS)), "me/dogs", ""), **HAND)
    said = front_matter(published_card(str(model_card(FACTS)), "me/dogs", hub, licence="apache-2.0"))
    assert (said["license"], said["language"]) == ("apache-2.0", "en")
    assert model_card(replace(FACTS, licence="odd --> <b>")).data.license == "odd --> <b>"
    odd = str(model_card(replace(FACTS, licence="odd --> <b>")))
    assert published_card(odd, "me/dogs", published_card(odd, "me/dogs", "")) == published_card(odd, "me/dogs", "")


@pytest.mark.parametrize("front", ["license: [", "- a\n- b", "1: 2"])
def test_front_matter_that_cannot_be_read_is_one_sentence(front: str) -> None:
    with pytest.raises(HubError, match=r"^me/dogs: the front matter of README\.md is no table in YAML; mend it there"):
        published_card(str(model_card(FACTS)), "me/dogs", f"---\n{front}\n---\n# Dogs\n")


def test_a_note_of_the_front_matter_that_was_broken_is_one_sentence() -> None:
    hub = published_card(str(model_card(FACTS)), "me/dogs", "")
    broken = hub.replace("<!-- Front matter as made: {", "<!-- Front matter as made: {,")
    assert broken != hub
    with pytest.raises(HubError, match=r"^me/dogs: the comment of README\.md .* is damaged .*; remove it there"):
        published_card(str(model_card(FACTS)), "me/dogs", broken)


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
