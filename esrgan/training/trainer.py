"""A training from photos to weights: the loop that both stages share, averaging, validation, checkpoints and resume."""

import json
import logging
import math
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.utils import parse_flag_from_env, set_seed
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from ..errors import NoSuchStage, TrainingError
from ..evaluation.metrics import METRICS
from ..evaluation.plots import draw_plate
from ..evaluation.study import bicubic, mean_scores
from ..files import replacing
from ..inference.device import has_fast_bf16
from ..inference.upscaler import Upscaler
from ..models.convert import load
from ..models.generator import Generator
from .checkpoints import Checkpoints, Progress
from .crops import Sample, make_loader
from .datasets import Photos, Stream
from .history import History
from .losses import PerceptualLoss
from .model_card import Facts, model_card
from .options import LICENCE, Options
from .recipes import Esrgan
from .stages import STAGES, Losses, Stage

logger = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...] | list[Tensor]

SAMPLES = 4  # rows of the plate

# Settings that a resumed run may change.
FREE = ("dataloader_num_workers", "psnr_learning_rate", "learning_rate", "discriminator_learning_rate")


class Stopped(Exception):
    """The training was asked to stop, and has saved."""


def make_accelerator(mixed_precision: str | None, output_dir: Path, **kwargs: Any) -> Accelerator:
    """An Accelerator whose precision, where neither the caller nor accelerate's configuration says, is the fast one.

    Args:
        mixed_precision: `no`, `fp16`, `bf16`, or None to choose.
        output_dir: where trackers write.
        **kwargs: further arguments of `Accelerator`.
    """
    configured = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))  # it does not look itself, as Accelerator does
    if mixed_precision is None and configured == "no" and has_fast_bf16(state.device):
        mixed_precision = "bf16"
    return Accelerator(
        mixed_precision=mixed_precision,
        project_dir=output_dir,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        **kwargs,
    )


def rate_factor(step: int, recipe: Esrgan, steps: int) -> float:
    """The part of the learning rate in force at `step` (counted from 0) of a stage of `steps`."""
    warmup = min(1.0, (step + 1) / (recipe.lr_warmup_steps + 1))
    if recipe.lr_scheduler == "constant":
        return warmup
    return warmup * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


def to_floats(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """What a stage's step takes, of a batch as the loader gives it."""
    low, high = ((sample[key].float() / 255).contiguous(memory_format=torch.channels_last) for key in ("low", "high"))
    return low, high, sample["mix"]


def average(recipe: Esrgan, generator: Generator) -> AveragedModel:
    """Exponential moving average of the weights.

    A GAN's weights circle around where they are going; their average is there. The decay rises with the number of steps
    (as in TensorFlow's ExponentialMovingAverage), so that short runs do not keep the random start.
    """

    @torch.no_grad()
    def update(averages: Tensors, weights: Tensors, count: Tensor | int) -> None:
        decay = min(recipe.ema_decay, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    return AveragedModel(generator, multi_avg_fn=update)


class Trainer:
    """Trains a generator by a recipe.

    Args:
        recipe: what to do.
        options: where, and what to keep.
        photos: what to learn from.
        validation: paths of photos that the averaged weights are measured on.
        accelerator: on what; see `make_accelerator`.
        on_checkpoint: called with the stage's model folder, as it is now, by the main process after each checkpoint.
    """

    def __init__(
        self,
        recipe: Esrgan,
        options: Options,
        photos: Photos | Stream,
        validation: Sequence[Path],
        accelerator: Accelerator,
        on_checkpoint: Callable[[Path], None] | None = None,
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.accelerator = accelerator
        self.photos = photos
        self.validation = validation
        self.on_checkpoint = on_checkpoint
        self.history = History(options.output_dir)
        self.checkpoints = Checkpoints(options.output_dir / "checkpoints", options.checkpoints_total_limit)
        self.best = -math.inf
        self.bicubic: float | None = None
        self.stop = False

    def train(self) -> Generator:
        """Run what is left of both stages.

        Returns:
            The averaged generator of the last stage.

        Raises:
            WeightsError: `init_from` or VGG19's weights cannot be loaded.
            TrainingError: the losses are not finite, or the checkpoint is not there or of another run.
            Stopped: SIGINT or SIGTERM came; everything is saved.
        """
        recipe, options = self.recipe, self.options
        if self.accelerator.mixed_precision == "fp16" and self.accelerator.gradient_accumulation_steps > 1:
            raise TrainingError(
                "fp16 with gradient accumulation: the optimisers would scale their sums apart; use bf16."
            )
        if recipe.gan_steps:
            PerceptualLoss(recipe.perceptual_layers)  # what it lacks is better known now than after the first stage
        set_seed(recipe.seed)
        if options.init_from:
            generator = load(options.init_from)
            self.recipe = recipe = replace(recipe, **generator.config)  # type: ignore[arg-type]
        else:
            generator = Generator(recipe.num_blocks, recipe.num_features, recipe.growth_channels)
        generator.train().to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = average(recipe, generator)
        self.accelerator.register_for_checkpointing(self.averaged)

        found = self.checkpoints.find(options.resume_from_checkpoint)
        self._write_settings(resuming=found is not None)
        if not found:
            self.history.rows.clear()
        handlers = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            first = 0
            for index, make_stage in enumerate(STAGES):
                steps = {"psnr": recipe.psnr_steps, "gan": recipe.gan_steps}[make_stage.name]
                earlier = [stage.name for stage in STAGES[:index]]
                if not steps or (found and found[1].stage not in [*earlier, make_stage.name]):
                    first += steps
                    continue
                set_seed(recipe.seed + index)
                stage = make_stage(self.accelerator, recipe, generator)
                begin, self.best = 0, -math.inf
                if found and found[1].stage == stage.name:
                    checkpoint, progress = found
                    try:
                        self.accelerator.load_state(str(checkpoint))
                    except (OSError, RuntimeError) as error:
                        raise TrainingError(f"{checkpoint}: does not fit this run ({error}).") from error
                    self.checkpoints.forget_after(checkpoint, self.accelerator)
                    begin, self.best = progress.step, progress.best
                    self.history.rewind(earlier, stage.name, begin)
                    logger.info("resumed from %s", checkpoint)
                self._run(stage, begin, first)
                first += steps
                self._keep(stage.name)
                self._show_samples(stage.name)
                generator.load_state_dict(self.averaged.module.state_dict())
                self.averaged.n_averaged.zero_()
                self.accelerator.free_memory()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self.averaged.module  # type: ignore[return-value]

    def _run(self, stage: Stage, begin: int, first: int) -> None:
        """Steps `begin` to the end of a stage that comes after `first` steps of others."""
        accelerator, options = self.accelerator, self.options
        micro = accelerator.gradient_accumulation_steps
        each = self._samples_per_step
        before = 0 if isinstance(self.photos, Stream) else first  # a stream reads again all that comes before
        numbers = range((before + begin) * each, (before + stage.steps) * each)
        loader = accelerator.prepare(
            make_loader(self.photos, self.recipe, numbers, pin_memory=accelerator.device.type == "cuda")
        )
        pending: list[Losses] = []
        bar = tqdm(
            total=stage.steps,
            initial=begin,
            desc=f"{stage.name} stage",
            unit="step",
            disable=not accelerator.is_local_main_process,
            dynamic_ncols=True,
        )
        step = begin
        with bar:
            for micro_step, sample in enumerate(loader):
                factor = rate_factor(step, self.recipe, stage.steps)
                stage.set_rate(factor)
                pending.append(stage.step(*to_floats(sample)))
                if (micro_step + 1) % micro:
                    continue
                self.averaged.update_parameters(accelerator.unwrap_model(stage.generator))  # type: ignore[attr-defined]
                step += 1
                bar.update()
                stop = self._should_stop()
                last = step == stage.steps
                checkpoint = last or stop or step % options.checkpointing_steps == 0
                if checkpoint or step % options.logging_steps == 0:
                    row = self._look(pending, stage.name, step)
                    pending.clear()
                    bar.set_postfix({key: f"{row[key]:.4g}" for key in row if key not in ("stage", "step")})
                    row["learning_rate"] = factor * stage.learning_rate
                    self.history.add(row)
                    self._track(row, first + step)
                if self.validation and (last or step % options.validation_steps == 0):
                    self._validate(stage.name, step, first)
                if checkpoint:
                    if accelerator.is_main_process:
                        self.history.write()  # before: rows too many are dropped by a resume, missing ones are lost
                    self.checkpoints.save(accelerator, Progress(stage.name, step, self.best))
                    if self.on_checkpoint and accelerator.is_main_process:
                        self._keep(stage.name)
                        self.on_checkpoint(options.output_dir / stage.name)
                if stop:
                    raise Stopped(
                        f"stopped after step {step} of the {stage.name} stage, and saved; to go on, run the same "
                        "command with --resume_from_checkpoint latest"
                    )

    def _ask_to_stop(self, number: int, _: object) -> None:
        self.stop = True
        signal.signal(number, signal.SIG_DFL)  # a second one is meant to stop at once

    def _should_stop(self) -> bool:
        if self.stop:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _look(self, pending: list[Losses], stage: str, step: int) -> dict[str, Any]:
        """Mean losses since the last look, over all processes."""
        names = list(pending[0])
        means = torch.stack([torch.stack([losses[name].float() for losses in pending]).mean() for name in names])
        values = self.accelerator.reduce(means, "mean").tolist()
        if not all(map(math.isfinite, values)):
            told = ", ".join(f"{name} {value:g}" for name, value in zip(names, values, strict=True))
            if self.accelerator.is_main_process:
                self.history.write()
            rate = "--psnr_learning_rate" if stage == "psnr" else "--learning_rate"
            raise TrainingError(
                f"{stage} stage, step {step}: the losses are no longer finite ({told}). The last checkpoint is intact: "
                f"resume from it with a smaller {rate}, or begin anew with --mixed_precision no."
            )
        return {"stage": stage, "step": step, **dict(zip(names, values, strict=True))}

    def _validate(self, stage: str, step: int, first: int) -> None:
        """Measure the averaged weights on the main process, and keep them apart where they are the best so far."""
        if self.accelerator.is_main_process:
            if self.bicubic is None:
                self.bicubic = mean_scores(bicubic, self.validation)["psnr_y"]
            upscaler = Upscaler(self.averaged.module, device=self.accelerator.device)  # type: ignore[arg-type]
            scores = mean_scores(upscaler, self.validation)
            row = {
                "stage": stage,
                "step": step,
                **{f"validation_{metric}": value for metric, value in scores.items()},
                "bicubic_psnr_y": self.bicubic,
            }
            figures = ", ".join(f"{METRICS[metric].label} {METRICS[metric].spell(scores[metric])}" for metric in scores)
            logger.info("%s step %d: %s; bicubic PSNR-Y %.2f dB", stage, step, figures, self.bicubic)
            self.history.add(row)
            self._track(row, first + step)
            # An adversarial stage gives up PSNR from its first step on.
            merit = -scores["lpips"] if stage == "gan" and "lpips" in scores else scores["psnr_y"]
            if merit > self.best:
                self.best = merit
                self._keep(f"{stage}-best")
        self.accelerator.wait_for_everyone()

    def _track(self, row: dict[str, Any], step: int) -> None:
        if self.accelerator.trackers:
            self.accelerator.log(
                {f"{row['stage']}/{key}": row[key] for key in row if key not in ("stage", "step")}, step=step
            )

    def _keep(self, name: str) -> None:
        """Write the averaged generator as a model folder, with its recipe and card."""
        if not self.accelerator.is_main_process:
            return
        folder = self.options.output_dir / name
        psnr = self._first_stage() if name.startswith("gan") else None
        self.averaged.module.save_pretrained(folder, psnr=psnr)  # type: ignore[operator]
        count = f"{len(self.photos)}" if isinstance(self.photos, Photos) else "a stream of"
        last = self.history.rows[-1]
        facts = Facts(
            recipe=self.recipe,
            stage=last["stage"],
            steps=last["step"] + (self.recipe.psnr_steps if last["stage"] == "gan" else 0),
            data=self.options.data_name,
            photos=count,
            is_hub_dataset=self.options.is_hub_dataset,
            licence=self.options.license or LICENCE,
            init_from=self.options.init_from,
            scores={metric: last[key] for metric in METRICS if (key := f"validation_{metric}") in last},
            bicubic=last.get("bicubic_psnr_y"),
            validation_photos=len(self.validation),
        )
        with replacing(folder / "README.md") as path:
            model_card(facts).save(path)
        with replacing(folder / "recipe.json") as path:
            path.write_text(json.dumps(self._recipe_table, indent=2) + "\n", encoding="utf-8")

    def _show_samples(self, name: str) -> None:
        """Draw what the averaged generator makes of the first validation photos."""
        if self.validation and self.accelerator.is_main_process:
            upscaler = Upscaler(self.averaged.module, device=self.accelerator.device)  # type: ignore[arg-type]
            with replacing(self.options.output_dir / "plate.png") as path:
                draw_plate({"bicubic": bicubic, name: upscaler}, self.validation[:SAMPLES], path)
        self.accelerator.wait_for_everyone()

    def _first_stage(self) -> Generator | None:
        """What the adversarial stage set out from, if that was not chance."""
        if self.recipe.psnr_steps:
            return Generator.from_pretrained(self.options.output_dir / "psnr")
        if not (start := self.options.init_from):
            return None
        try:
            return Generator.from_pretrained(start, stage="psnr")
        except NoSuchStage:
            return load(start)

    @property
    def _recipe_table(self) -> dict[str, Any]:
        return {"recipe": type(self.recipe).__name__.lower(), **asdict(self.recipe)}

    def _write_settings(self, resuming: bool) -> None:
        """Write what decides a run's outcome, after checking that a run to resume had the same."""
        settings = {
            **self._recipe_table,
            "data": self.options.data_name,
            "photos": len(self.photos) if isinstance(self.photos, Photos) else None,
            "init_from": self.options.init_from,
            "samples_per_step": self._samples_per_step,
            "mixed_precision": self.accelerator.mixed_precision,
        }
        path = self.options.output_dir / "recipe.json"
        if resuming and path.is_file():
            theirs = json.loads(path.read_text(encoding="utf-8"))
            changed = [key for key in settings if settings[key] != theirs.get(key) and key not in FREE]
            if changed:
                raise TrainingError(
                    f"{path}: the run to resume had other settings: "
                    + ", ".join(f"{key} {theirs.get(key)}, not {settings[key]}" for key in changed)
                    + "; give the same ones, or another --output_dir to begin anew."
                )
        if self.accelerator.is_main_process:
            with replacing(path) as beside:
                beside.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @property
    def _samples_per_step(self) -> int:
        processes, batches = self.accelerator.num_processes, self.accelerator.gradient_accumulation_steps
        return self.recipe.train_batch_size * processes * batches
