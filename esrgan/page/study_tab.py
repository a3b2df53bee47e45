"""The tab of the page with what was measured on the bundled models, and how to read it."""

import gradio as gr

from ..evaluation.report import (
    STUDY,
    answer,
    answer_over_seeds,
    count,
    differences_table,
    plain_answer,
    read_studies,
    read_study,
    seeds_table,
    summary_table,
)
from ..evaluation.study import PROTOCOL
from .wording import INTERVAL, NUMBERS, explained

PICTURES = {
    "seeds.png": "Dogs minus mixed in three pairs of short trainings, and the mean with its 95 % interval",
    "differences.png": "Dogs minus mixed, photo by photo, and the mean with its 95 % interval",
    "plate.png": "The part of each example photo where bicubic interpolation loses most",
    "curves.png": "How the Dogs model learned: losses of both stages, and PSNR and LPIPS on photos it never saw",
    "curves-wgan-gp.png": "How a model of dogs learned by the paper's recipe, with losses like those it shows",
}
WORDS = f"""A *specialist* learned from dogs alone, a *generalist* from many kinds of animals. Both learn in two stages.
In the **L1 stage** a model learns to be right on average, pixel by pixel: exact, a little soft. In the **adversarial
stage** a second network, which tells its pictures from photos, teaches it texture: crisp, partly invented. The *Detail*
slider goes from the one to the other. **Between seeds**: how far trainings differ that begin with other random numbers.

{INTERVAL}

{NUMBERS}"""
READING = """The models are small and learned for a quarter of an hour, three times for each set from other random
numbers: another training comes out differently, and the intervals count that in. A longer training may end elsewhere.
No model learned from any of the photos that it was measured on. A lead on dogs alone would be about dogs; a lead on
other animals too is about the training."""
BUNDLED = """
They were trained once each, so these intervals speak of other photos, not of other trainings.
"""


def explain_paper() -> str:
    """How to read the paper's figures, and what its recipe gave here."""
    paper = read_study("paper")
    bicubic, mixed, dogs = (paper["mean"][way]["psnr_y"] for way in ("bicubic", "mixed:paper", "dogs:paper"))
    return f"""
### About the 64.27 and 65.84 dB of the paper
The paper behind this page reports 64.27 dB for a model of mixed animals and 65.84 dB for one of dogs. An 8-bit picture
that was rounded from a perfect one has 58.9 dB, so these cannot be PSNRs of an enlargement in the usual sense. A peak
of 255 applied to values in 0..1 adds 48.13 dB; read so, the paper measured 16.14 and 17.71 dB. The difference, 1.57 dB,
is the same either way.

Its recipe, run once here (2000 steps, crops of 32 pixels), gives {mixed:.2f} dB for mixed animals and {dogs:.2f} dB for
dogs on {count(paper)} photos of dogs, where bicubic has {bicubic:.2f} dB: too short a training to say who wins.
"""


def add_study_tab() -> None:
    """Add it to the page."""
    studies = read_studies()
    with gr.Tab("Study"):
        seeds = read_study("seeds")
        gr.Markdown(f"## {plain_answer(seeds)}\n{answer_over_seeds(seeds)}")
        gr.Markdown(explained("What these words mean", WORDS))
        gr.Markdown(explained("How far that can be trusted", READING))
        gr.Markdown(seeds_table(seeds), elem_classes="figures")
        gr.Markdown(f"### The models of this page\n{answer(studies)} {BUNDLED}")
        gr.Markdown(summary_table(studies), elem_classes="figures")
        for kind, study in studies.items():
            gr.Markdown(f"### On {count(study)} {kind}\n\n{differences_table(study)}", elem_classes="figures")
        gr.Markdown(explained("How it was measured", PROTOCOL))
        for name, caption in PICTURES.items():
            gr.Markdown(f"### {caption}")
            gr.Image(str(STUDY / name), show_label=False, alt_text=caption, format="png", interactive=False, buttons=[])
        gr.Markdown(explain_paper())
