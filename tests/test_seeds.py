"""Intervals over trainings and photos, by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esrgan.evaluation.seeds import SeedStudy, estimate


def scores(values: list[float]) -> dict[str, dict[str, float]]:
    return {f"photo{i}.png": {"psnr_y": value} for i, value in enumerate(values)}


def study(gain: float, photos: int = 12, seeds: int = 3) -> SeedStudy:
    """Dogs are ahead of mixed by `gain` on dogs and by 0.1 on others, in each seed and photo."""
    base = [20.0 + i for i in range(photos)]
    mixed = {seed: {"dogs": scores(base), "others": scores(base)} for seed in range(seeds)}
    dogs = {
        seed: {"dogs": scores([value + gain for value in base]), "others": scores([value + 0.1 for value in base])}
        for seed in range(seeds)
    }
    return SeedStudy(
        {"mixed": mixed, "dogs": dogs}, {"dogs": scores(base), "others": scores(base)}, own={"dogs": "dogs"}
    )


def test_gain_and_interaction_by_hand() -> None:
    found = study(0.5)
    gain = found.gain("dogs", "dogs", "psnr_y")
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.5, 0.5, 0.5))
    assert gain.by_seed == pytest.approx((0.5, 0.5, 0.5))
    assert found.interaction("dogs", "others", "psnr_y").mean == pytest.approx(0.4)
    assert gain.verdict == "decided, over 3 seeds"


def test_report_says_how_sure_it_is() -> None:
    assert "| PSNR-Y (dB) | +0.50 | +0.50 to +0.50 | ± 0.00 | decided, over 3 seeds |" in study(0.5).markdown()
    assert "one training each" in study(0.5, seeds=1).markdown()
    assert "no verdict from 9 photos; 10 are the least" in study(0.5, photos=9).markdown()
    assert "| dogs: 12 photos, 3 seeds | PSNR-Y (dB) |" in study(0.5).markdown()
    assert "gain of dogs on dogs minus its gain on others" in study(0.5).markdown()


def test_spread_between_seeds_widens_the_interval_that_photos_alone_give() -> None:
    table = np.array([[0.4] * 50, [0.0] * 50, [-0.1] * 50])
    found = estimate([table])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((-0.1, 0.4))
    assert found.spread == pytest.approx(0.2646, abs=1e-4)
    # (0.1 / 1.96)^2 = 0.0026; 0.07 / 0.0026 = 26.9 seeds in all
    assert found.verdict == "undecided; about 24 more seeds"


def test_where_photos_are_the_reason_more_seeds_would_not_decide() -> None:
    photos = np.tile([1.0, -0.8], 10)
    assert estimate([np.array([photos, photos])]).verdict == "undecided; more seeds alone would not decide it"


def test_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        table = 0.3 + rng.normal(0, 0.1, (8, 1)) + rng.normal(0, 0.3, (1, 40)) + rng.normal(0, 0.1, (8, 40))
        found = estimate([table], seed=trial)
        hits += found.low <= 0.3 <= found.high
    assert 85 <= hits <= 99


@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_mean_lies_in_the_interval_and_sign_turns_with_it(rows: list[list[float]]) -> None:
    table = np.array(rows)
    there, back = estimate([table]), estimate([-table])
    assert there.low - 1e-9 <= there.mean <= there.high + 1e-9
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_json_has_every_photo_so_that_anyone_can_compute_the_answers_again() -> None:
    table = study(0.5).json()
    assert table["results"]["dogs"]["2"]["dogs"]["photo3.png"] == {"psnr_y": 23.5}
    assert table["answers"]["dogs minus mixed, on dogs"]["psnr_y"]["verdict"] == "decided, over 3 seeds"
