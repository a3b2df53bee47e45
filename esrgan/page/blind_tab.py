"""The tab of the page where a visitor judges by eye which model is closer, before it is told which is which."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
from PIL import Image

from ..evaluation.study import read_truth
from ..files import replacing
from ..images.reading import EXAMPLES, find_images, write_image
from ..images.resize import SCALE, shrink
from .blind import MODELS, ROUNDS, BlindTest, Photo, choose_parts, rounds
from .controls import FAILED, IN_TURN, PROMPT, QUIET, Answer
from .failures import failure, refusing, telling
from .jobs import Studio
from .listeners import heard
from .results import Result
from .stage import HERE, address
from .uploads import make_folder
from .wording import captions, tell_blind
from .zero_gpu import on_gpu

HINT = f"""Beside a part of a photo lie two results, one by *Mixed* and one by *Dogs*, on random sides. Which one is
closer? After {ROUNDS} rounds you see which was which, and whether your eyes agree with what was measured. Keys 1 and 2
answer as well."""


class Game:
    """A test and its pictures in a folder alone, by names that do not tell which model made them."""

    def __init__(self, test: BlindTest, folder: Path) -> None:
        self.folder = folder
        self.names = [[f"{secrets.token_hex(8)}.png" for _ in range(3)] for _ in test.rounds]
        for i, (round_, names) in enumerate(zip(test.rounds, self.names, strict=True)):
            left, right = test.shown(i)
            for name, shown in zip(names, (left, "photo", right), strict=True):
                write_image(round_.pictures[shown], folder / name)
        self.test = replace(test, rounds=tuple(replace(round_, pictures={}) for round_ in test.rounds))

    def addresses(self) -> list[list[str]]:
        """Of each round: the result on the left, the photo, the result on the right."""
        return [[address(self.folder / name) for name in names] for names in self.names]


class BlindTab:
    """The tab: made inside a page's blocks, it adds itself to them.

    Args:
        studio: whose models are judged.
        detail: where their dial stands on the examples.
        compared: the result of the visitor's own photo.
    """

    def __init__(self, studio: Studio, detail: float, compared: gr.State) -> None:
        self.rounds = on_gpu(
            partial(rounds, studio),
            lambda parts, *_: sum(studio.peeked_pixels(photo.small, box) for photo, box in parts),
        )
        self.detail = detail
        with gr.Tab("Blind test"):
            gr.Markdown(HINT)
            with gr.Row():
                examples = gr.Button("Begin with the examples", variant="primary", min_width=200)
                own = gr.Button("Begin with the photo I compared", min_width=200)
            self.told = gr.Markdown(elem_classes="verdict")
            self.board = make_board()
            self.save = gr.DownloadButton("Save my answers (CSV)", size="sm", visible=False)
        game = gr.State(None)
        begun = [self.told, self.board, self.save, game]
        for button, begin in ((examples, self.begin_with_examples), (own, self.begin_with_own)):
            button.click(
                telling(begin, self.nothing),
                compared,
                begun,
                api_visibility="private",
                show_progress="minimal",
                show_progress_on=self.told,
                **IN_TURN,
            ).failure(lambda: "", None, self.told, **QUIET)
        self.board.finish(self.finish, game, [self.told, self.board, self.save], **PROMPT).failure(
            lambda: self.nothing(f"{FAILED}Begin another test."), None, begun, **QUIET
        )

    def nothing(self, words: str) -> Answer:
        """No test, but words."""
        return words, None, gr.DownloadButton(visible=False), None

    def begin_with_examples(self, _: Result) -> Iterator[Answer]:
        """Rounds of all example photos."""
        truths = {path.stem: read_truth(path) for path in find_images(EXAMPLES)}
        yield from self._begin(
            [Photo(name, truth, shrink(truth, SCALE)) for name, truth in truths.items()], self.detail
        )

    def begin_with_own(self, result: Result) -> Iterator[Answer]:
        """Rounds of the photo that was compared last."""
        if result.figures is None:
            raise failure("Compare a photo of your own first.")
        pictures = []
        for name in ("original", "small"):
            with refusing(), Image.open(result.paths[name]) as image:
                pictures.append(image.convert("RGB"))
        yield from self._begin([Photo(result.stem, *pictures)], result.detail, result.damaged)

    def _begin(self, photos: list[Photo], detail: float, damaged: bool = False) -> Iterator[Answer]:
        seed = secrets.randbits(32)
        rng = random.Random(seed)
        parts, found = choose_parts(photos, rng), []
        yield self.nothing("Preparing …")
        with refusing():
            for round_ in heard(self.rounds(parts, detail, damaged)):
                found.append(round_)
                yield f"Preparing: {len(found)} of {len(parts)} rounds", gr.skip(), gr.skip(), gr.skip()
        game = Game(BlindTest(seed, tuple(found), tuple(rng.choice(MODELS) for _ in found)), make_folder())
        yield "", {"rounds": game.addresses()}, gr.skip(), game

    def finish(self, game: Game | None, event: gr.EventData) -> Answer:
        """Which was which, what was chosen, and what the metrics say."""
        count = len(game.test.rounds) if game else 0
        try:
            choices = [(0, 1).index(choice) for choice in event.choices]
        except (AttributeError, TypeError, ValueError):
            choices = []
        if not game or len(choices) != count:
            raise failure(f"A finished test has {count} answers, each 0 or 1.")
        path = game.folder / "blind-test.csv"
        with refusing(), replacing(path) as temporary:
            temporary.write_text(game.test.csv(choices), encoding="utf-8")
        value = {"rounds": game.addresses(), "told": captions(game.test, choices), "chosen": choices}
        return tell_blind(game.test, choices), value, gr.DownloadButton(value=str(path), visible=True)


def make_board() -> gr.HTML:
    """What shows the pictures and takes the answers: `blind.js` says what its value is."""
    template, css, script = ((HERE / f"blind.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return gr.HTML(html_template=template, css_template=css, js_on_load=script, elem_classes="blind-test")
