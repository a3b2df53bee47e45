"""The tab of the page with what was measured on the bundled models, and how to read it."""

from pathlib import Path

import gradio as gr

STUDY = Path(__file__).parent.parent / "study"
PICTURES = {
    "differences.png": "Dogs minus mixed, photo by photo, and the mean with its 95 % interval",
    "plate.png": "The part of each example photo where bicubic interpolation loses most",
    "curves.png": "How the Dogs model learned in the adversarial stage: losses, and PSNR on photos it never saw",
    "curves-wgan-gp.png": "Dogs by the paper's recipe with a Wasserstein loss: losses like those it shows",
}
INTRO = """## Does the specialist win? On dogs yes, by little.
Fifty photos of dogs that neither model learned from. Where exact pixels were trained for (L1 stage), *Dogs* is ahead by
0.02 dB, too little to see; where texture is invented (adversarial stage), by 0.35 dB, on 46 of 50 photos. But there it
is ahead by 0.17 dB on thirty photos without dogs too, and *Mixed* has the better LPIPS on the mean, so much of that
lead is not about dogs. Each model was trained once, and another training may come out differently.
"""
EXPLANATION = """
### About the 64.27 and 65.84 dB of the paper
The paper behind this page reports 64.27 dB for a model of mixed animals and 65.84 dB for one of dogs. An 8-bit picture
that was rounded from a perfect one has 58.9 dB, so these cannot be PSNRs of an enlargement in the usual sense. A peak
of 255 applied to values in 0..1 adds 48.13 dB; read so, the paper measured 16.14 and 17.71 dB. The difference, 1.57 dB,
is the same either way.

Its recipe, run once here (2000 steps, crops of 32 pixels), gives 25.40 dB for mixed animals and 23.65 dB for dogs on
the fifty photos. Both are below bicubic, and the specialist loses; in its last 500 steps each still moved by a decibel.
"""


def add_study_tab() -> None:
    """Add it to the page."""
    with gr.Tab("Study"):
        gr.Markdown(INTRO)
        gr.Markdown((STUDY / "table.md").read_text(), elem_classes="figures")
        for name, caption in PICTURES.items():
            gr.Markdown(f"### {caption}")
            gr.Image(str(STUDY / name), show_label=False, alt_text=caption, format="png", interactive=False, buttons=[])
        gr.Markdown(EXPLANATION)
