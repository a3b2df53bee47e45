"""A training from photos to weights: the loop that both stages share, what it keeps, and how it goes on."""

import logging
import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import SCALER_NAME, broadcast_object_list, set_seed
from safetensors import SafetensorError
from tqdm.auto import tqdm

from ..errors import NoSuchStage, TrainingError
from ..evaluation.metrics import METRICS
from ..files import replacing
from ..inference.device import has_fast_bf16
from ..models.convert import load
from ..models.generator import Generator
from .averaging import Average
from .checkpoints import Checkpoint, Checkpoints, Progress, extends
from .crops import make_loader, to_floats
from .datasets import Photos, Stream
from .history import History, Row
from .model_card import CARD, Facts, model_card, public_name
from .options import LICENCE, Options
from .recipes import Esrgan
from .records import PRECISIONS, RECORD, Record, current_segment, describe, effective_batch_size, kept_step
from .stages import STAGES, Losses, Stage, perceptual_loss
from .time_limit import Pace, fitting_steps, parse_duration, running_seconds
from .tracking import dashboard, track, track_plate
from .validation import Validation, merit

logger = logging.getLogger(__name__)

ASKED_EVERY = 10  # steps after which several processes ask one another whether to stop, which a GPU is waited for

# What loading a state raises where it is damaged, or of another network.
DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)


class Stopped(Exception):
    """The training was asked to stop, and has saved."""


def rate_factor(step: int, recipe: Esrgan, steps: int) -> float:
    """The part of the learning rate in force at `step` (counted from 0) of a stage of `steps`."""
    warmup = min(1.0, (step + 1) / (recipe.lr_warmup_steps + 1))
    if recipe.lr_scheduler == "constant":
        return warmup
    return warmup * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


class Trainer:
    """Trains a generator by a recipe.

    Args:
        recipe: what to do.
        options: where, and what to keep.
        photos: what to learn from.
        validation: paths of photos that the averaged weights are measured on.
        accelerator: on what; see `esrgan.training.accelerator`.
        checkpoints: the run's.
        on_checkpoint: called with the stage's model folder, as it is now, by the main process after each checkpoint.
    """

    def __init__(
        self,
        recipe: Esrgan,
        options: Options,
        photos: Photos | Stream,
        validation: Sequence[Path],
        accelerator: Accelerator,
        checkpoints: Checkpoints,
        on_checkpoint: Callable[[Path], None] | None = None,
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.accelerator = accelerator
        self.photos = photos
        self.validation = Validation(validation, recipe.degradation, accelerator.device)
        self.on_checkpoint = on_checkpoint
        self.history = History(options.output_dir)
        self.checkpoints = checkpoints
        self.progress = Progress("")
        self.stop = False

    def train(self) -> Generator:
        """Run what is left of both stages.

        Returns:
            The averaged generator of the last stage.

        Raises:
            WeightsError: `init_from` or VGG19's weights cannot be loaded.
            TrainingError: the losses are not finite, or the checkpoint is not there or of another run, or `output_dir`
                has not the first stage that it set out from.
            Stopped: SIGINT or SIGTERM came; everything is saved.
        """
        recipe, options = self.recipe, self.options
        if self.accelerator.mixed_precision == "fp16" and self.accelerator.gradient_accumulation_steps > 1:
            raise TrainingError(
                "fp16 with gradient accumulation: the optimisers would scale their sums apart; use bf16."
            )
        if recipe.gan_steps:
            perceptual_loss(recipe.perceptual_layers)  # what it lacks is better known now than after the first stage
        set_seed(recipe.seed)
        self._warn_of_a_long_warmup()
        generator = self._start_weights()
        recipe = self.recipe
        generator.train().to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Average(generator, recipe.ema_decay)
        self.accelerator.register_for_checkpointing(self.averaged)

        found = self.checkpoints.find(options.resume_from_checkpoint)
        self._begin(found)
        handlers = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            first, self.stage_began = 0, 0.0  # a time limit counts from the start of the process
            for index, make_stage in enumerate(STAGES):
                name, steps = make_stage.name, self.recipe.steps[make_stage.name]
                if not steps or (found and found.progress.stage in [later.name for later in STAGES[index + 1 :]]):
                    first += steps
                    continue
                set_seed(recipe.seed + index)
                stage = make_stage(self.accelerator, self.recipe, generator, self.averaged)
                if options.compile:
                    stage.compile()
                self.progress = Progress(name)
                if found and found.progress.stage == name:
                    self._resume(found)
                self._run(stage, first)
                first += stage.steps
                self._take_up_the_best()
                self._keep(name)
                self._show_samples(name)
                self.stage_began = running_seconds()
                generator.load_state_dict(self.averaged.module.state_dict())
                self.averaged.n_averaged.zero_()
                self.accelerator.free_memory()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self.averaged.module  # type: ignore[return-value]

    def _begin(self, found: Checkpoint | None) -> None:
        """Take up the record and the history of the run that is resumed, or begin them; say what is going to be done.

        A finished run is left as it was, as nothing of it runs again.
        """
        recorded = self._recorded_recipe(found) if found else self.recipe
        if self.options.time_limit:
            self.recipe = replace(self.recipe, psnr_steps=recorded.psnr_steps, gan_steps=recorded.gan_steps)
        if found and found.progress.stage == "gan" and recorded.psnr_steps and not self._first_folder.is_dir():
            raise TrainingError(
                f"{found.path}: its stage set out from the weights in {self._first_folder}, which are not there; copy "
                "the folder psnr of its run there, or give that run's --output_dir."
            )
        recipe, accelerator = self.recipe, self.accelerator
        settings = describe(recipe, self.options, self.photos, self.validation.paths, accelerator)
        stages = [name for name, steps in recipe.steps.items() if steps]
        record, place = Record(settings), (stages[0], 0)
        if found:
            record, place = found.record, (found.progress.stage, found.progress.step)
            if extends(found.progress, recorded.steps, recipe.steps):
                before = {f"{name}_steps": steps for name, steps in recorded.steps.items()}
                record.check({**settings, **before}, found.path / RECORD)
                if recorded.steps[place[0]] < recipe.steps[place[0]]:
                    record = record.extended(*place)
            else:
                record.check(settings, found.path / RECORD)
            if place[1] > recipe.steps[place[0]]:
                raise self.checkpoints.refusal(found.path, ValueError(f"the {place[0]} stage has no step {place[1]}"))
            self.history.rows = list(found.rows)
        if self.options.time_limit:
            self.time_for_each_stage = parse_duration(self.options.time_limit) / len(stages)
        if found and place[0] == stages[-1] and self._is_over(found.progress):
            self.recipe, self.record = recorded, record
            logger.info("%s: all steps are done already, nothing is left to do", found.path)
        else:
            self.record = record.continued(settings, current_segment(*place, recipe, accelerator, self.options))
            self._say_what_runs()
        if accelerator.is_main_process:
            self.record.save(self.options.output_dir / RECORD)

    def _is_over(self, progress: Progress) -> bool:
        """Whether a stage has no step left, or has not become better for as long as it may."""
        return progress.step == self.recipe.steps[progress.stage] or self._is_settled(progress)

    def _is_settled(self, progress: Progress) -> bool:
        best = progress.stage, progress.best_step
        patience = self.options.early_stopping_patience
        if not (patience and progress.best_step):
            return False
        since = takewhile(lambda row: (row["stage"], row["step"]) != best, reversed(self.history.rows))
        return sum("validation_psnr_y" in row for row in since) >= patience

    def _recorded_recipe(self, found: Checkpoint) -> Esrgan:
        try:
            return found.record.recipe(type(self.recipe))
        except ValueError as error:
            raise self.checkpoints.refusal(found.path, ValueError(f"{RECORD} is damaged ({error})")) from error

    def _start_weights(self) -> Generator:
        """The generator to begin with; given weights bring their architecture, and the recipe takes it over."""
        recipe, given = self.recipe, self.options.init_from
        if not given:
            return Generator(recipe.num_blocks, recipe.num_features, recipe.growth_channels)
        generator = load(given)
        for name, value in generator.config.items():
            wanted = getattr(recipe, name)
            if wanted not in (value, getattr(type(recipe), name)):
                logger.warning("--%s %d: of no effect, as %s has %d", name, wanted, given, value)
        self.recipe = replace(recipe, **generator.config)  # type: ignore[arg-type]
        return generator

    def _warn_of_a_long_warmup(self) -> None:
        warmup = self.recipe.lr_warmup_steps
        for name, steps in self.recipe.steps.items():
            if 0 < steps <= warmup and not self.options.time_limit:
                logger.warning("--lr_warmup_steps %d: the %s stage of %d steps ends before it", warmup, name, steps)

    def _say_what_runs(self) -> None:
        recipe, accelerator, segment = self.recipe, self.accelerator, self.record.segments[-1]
        parameters = sum(weights.numel() for weights in self.averaged.module.parameters())
        limit, steps = self.options.time_limit, recipe.steps.items()
        precision = PRECISIONS.get(segment.mixed_precision, segment.mixed_precision)
        if segment.mixed_precision == "no" and not self.options.mixed_precision and has_fast_bf16(accelerator.device):
            precision += " as accelerate is configured (--mixed_precision bf16 would be faster)"
        photos = f"{len(self.photos)} photos" if isinstance(self.photos, Photos) else "a stream of photos"
        logger.info(
            "%s of %s, %d to validate on\n%s, %d process%s, %s\n"
            "batch size %d = %d a process x %d process%s x %d accumulated\n%s steps, %s parameters",
            photos,
            self.options.data_name,
            len(self.validation.paths),
            segment.device,
            segment.processes,
            "" if segment.processes == 1 else "es",
            precision,
            effective_batch_size(recipe, accelerator),
            recipe.train_batch_size,
            segment.processes,
            "" if segment.processes == 1 else "es",
            segment.gradient_accumulation_steps,
            f"as many as fit into {limit}" if limit else " + ".join(f"{n} {name}" for name, n in steps if n),
            f"{parameters:,}",
        )

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Bring everything that accelerate has prepared to where a checkpoint of this stage was."""
        accelerator, scaler = self.accelerator, self.accelerator.scaler
        if not (checkpoint.path / SCALER_NAME).is_file():
            accelerator.scaler = None  # the run had another precision, and accelerate would look for one
        try:
            for path in checkpoint.path.glob("custom_checkpoint_*.pkl"):
                torch.load(path, map_location="meta", weights_only=True)  # accelerate would run code that one has
            accelerator.load_state(str(checkpoint.path))
        except DAMAGE as error:
            raise self.checkpoints.refusal(checkpoint.path, error) from error
        accelerator.scaler = scaler
        accelerator.step = 0  # it counts batches, of which a step may have had another number
        self.checkpoints.forget_after(checkpoint.path, accelerator)
        self.progress = checkpoint.progress
        best = self.options.output_dir / f"{self.progress.stage}-best" / RECORD
        if self.progress.best_step and kept_step(best) != self.progress.best_step:
            self.progress = replace(self.progress, best=-math.inf, best_step=0)  # what was best is gone
        logger.info("resumed from %s", checkpoint.path)

    def _run(self, stage: Stage, first: int) -> None:
        """What is left of a stage that comes after `first` steps of others; with a time limit, as much as fits."""
        bar = tqdm(
            total=stage.steps,
            initial=self.progress.step,
            desc=f"{stage.name} stage",
            unit="step",
            disable=not self.accelerator.is_local_main_process,
            dynamic_ncols=True,
        )
        with bar:
            while (begin := self.progress.step) < stage.steps and not self._is_settled(self.progress):
                if self.options.time_limit and stage.name not in self.record.fitted_stages:
                    pace = Pace(self.accelerator)
                    self._advance(stage, first, min(begin + pace.steps, stage.steps), bar, pace)
                else:
                    self._advance(stage, first, stage.steps, bar)

    def _advance(self, stage: Stage, first: int, until: int, bar: "tqdm[Any]", pace: Pace | None = None) -> None:
        """Steps of a stage until one is done; where the pace is measured, the stage's steps are then set by it."""
        accelerator, options = self.accelerator, self.options
        micro = accelerator.gradient_accumulation_steps
        each = effective_batch_size(self.recipe, accelerator)
        step = self.progress.step
        before = 0 if isinstance(self.photos, Stream) else first  # a stream reads again all that comes before
        numbers = range((before + step) * each, (before + until) * each)
        loader = accelerator.prepare_data_loader(
            make_loader(self.photos, self.recipe, numbers, pin_memory=accelerator.device.type == "cuda"),
            device_placement=False,  # each of its copies would wait for the device
        )
        asked_every = 1 if accelerator.device.type == "cpu" else ASKED_EVERY
        pending: list[Losses] = []
        for micro_step, sample in enumerate(loader):
            place, length = self.record.schedule(stage.name, step, stage.steps)
            factor = rate_factor(place, self.recipe, length)
            stage.set_rate(factor)
            pending.append(stage.step(*to_floats(sample, accelerator.device)))
            if (micro_step + 1) % micro:
                continue
            self.averaged.update(accelerator.unwrap_model(stage.generator))
            step += 1
            self.progress = replace(self.progress, step=step)
            bar.update()
            if pace:
                pace.step()
            last = step == stage.steps
            checkpoint = step == until or step % options.checkpointing_steps == 0
            stop = self._should_stop(checkpoint or step % asked_every == 0)
            checkpoint = checkpoint or stop
            if checkpoint or step % options.logging_steps == 0:
                row = self._look(pending, stage.name, step)
                pending.clear()
                bar.set_postfix({key: f"{row[key]:.4g}" for key in row if key not in ("stage", "step")})
                row["learning_rate"] = factor * stage.learning_rate
                self.history.add(row)
                track(accelerator, row, first + step)
            if self.validation.paths and (last or step % options.validation_steps == 0):
                self._validate(first)
            if pace and step == until and not last:
                self._fit(stage, first, pace)
                bar.total = stage.steps
            settled = self._is_settled(self.progress)
            if settled and not last:
                logger.info(
                    "%s step %d: no better since step %d, so the stage ends", stage.name, step, self.progress.best_step
                )
            if checkpoint or settled:
                self._save(stage.name)
            if stop:
                raise Stopped(
                    f"stopped after step {step} of the {stage.name} stage, and saved; to go on, run the same "
                    "command with --resume_from_checkpoint latest"
                )
            if settled:
                return

    def _save(self, name: str) -> None:
        """Write the history and a checkpoint; where somebody waits for it, the model folder of the stage too."""
        is_main = self.accelerator.is_main_process
        if is_main:
            self.history.write()
        self.checkpoints.save(self.accelerator, self.progress, self.record, self.history.rows)
        if self.on_checkpoint and is_main:
            self._keep(name)
            self.on_checkpoint(self.options.output_dir / name)

    def _fit(self, stage: Stage, first: int, pace: Pace) -> None:
        """Set a stage's steps, and with them its schedule, so that it ends in its part of the time limit."""
        every = self.options.validation_steps
        if self.validation.paths and self.progress.step % every:  # else it has just been done
            self._validate(first)
        left = self.stage_began + self.time_for_each_stage - running_seconds()
        steps = fitting_steps(self.progress.step, pace.seconds, left, self.validation.seconds, every)
        (stage.steps,) = broadcast_object_list([steps])  # as the main process has found
        self.recipe = replace(self.recipe, **{f"{stage.name}_steps": stage.steps})  # type: ignore[arg-type]
        self.record = self.record.fitted(stage.name, stage.steps)
        logger.info(
            "%.3g s a step: the %s stage gets %d steps, to end within %s",
            pace.seconds,
            stage.name,
            stage.steps,
            self.options.time_limit,
        )
        if self.accelerator.is_main_process:
            self.record.save(self.options.output_dir / RECORD)

    def _ask_to_stop(self, number: int, _: object) -> None:
        self.stop = True
        signal.signal(number, signal.SIG_DFL)  # a second one is meant to stop at once

    def _should_stop(self, ask: bool) -> bool:
        """Whether this process was asked to stop; of several, whether any was, which takes the device's time to ask."""
        if self.accelerator.num_processes == 1:
            return self.stop
        if self.stop:
            self.accelerator.set_trigger()
        return ask and self.accelerator.check_trigger()

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
            again = "The last checkpoint is intact: resume from it" if self.checkpoints.all() else "Begin again"
            precise = "" if self.accelerator.mixed_precision == "no" else ", or with --mixed_precision no"
            raise TrainingError(
                f"{stage} stage, step {step}: the losses are no longer finite ({told}). {again} with a smaller "
                f"{rate}{precise}."
            )
        return {"stage": stage, "step": step, **dict(zip(names, values, strict=True))}

    def _validate(self, first: int) -> None:
        """Measure the averaged weights on the main process, and keep them apart where they are the best so far."""
        stage, step = self.progress.stage, self.progress.step
        row: Row = {}
        if self.accelerator.is_main_process:
            bicubic = self.validation.bicubic_psnr_y
            scores = self.validation.measure(self.averaged.module)  # type: ignore[arg-type]
            measured = {f"validation_{metric}": value for metric, value in scores.items()}
            row = {"stage": stage, "step": step, **measured, "bicubic_psnr_y": bicubic}
            figures = ", ".join(f"{METRICS[metric].label} {METRICS[metric].spell(scores[metric])}" for metric in scores)
            logger.info("%s step %d: %s; bicubic PSNR-Y %.2f dB", stage, step, figures, bicubic)
            self.history.add(row)
            if self.accelerator.trackers:
                track(self.accelerator, row, first + step)
                plate = self.validation.draw_plate(self.averaged.module, stage, self.options.output_dir)  # type: ignore[arg-type]
                track_plate(self.accelerator, plate, first + step)
            if (value := merit(scores, stage)) > self.progress.best:
                self.progress = replace(self.progress, best=value, best_step=step)
                self._keep(f"{stage}-best")
        self.progress, row = broadcast_object_list([self.progress, row])
        self.history.add(row)  # by which every process knows when the stage is settled

    def _keep(self, name: str) -> None:
        """Write the averaged generator as a model folder, with its recipe and card."""
        if not self.accelerator.is_main_process:
            return
        folder = self.options.output_dir / name
        stage, step = self.progress.stage, self.progress.step
        self.averaged.module.save_pretrained(folder, psnr=self._first_stage if stage == "gan" else None)  # type: ignore[operator]
        scores = self.history.at(stage, step)
        before = kept_step(self._first_folder / RECORD) if stage == "gan" and self.recipe.psnr_steps else None
        facts = Facts(
            recipe=self.recipe,
            stage=stage,
            steps=step + (before or 0),
            data=self.options.data_name,
            photos=f"{len(self.photos)}" if isinstance(self.photos, Photos) else "a stream of",
            is_hub_dataset=self.options.is_hub_dataset,
            licence=self.options.license or LICENCE,
            effective_batch_size=effective_batch_size(self.recipe, self.accelerator),
            segments=self.record.segments,
            init_from=self.options.init_from,
            scores={metric: scores[key] for metric in METRICS if (key := f"validation_{metric}") in scores},
            bicubic=scores.get("bicubic_psnr_y"),
            validation_photos=len(self.validation.paths),
            dashboard=dashboard(self.accelerator),
        )
        with replacing(folder / CARD) as path:
            model_card(facts).save(path)
        self.record.save(folder / RECORD, init_from=public_name(self.options.init_from), step=step)

    def _take_up_the_best(self) -> None:
        """At the end of a stage, go on with the weights that measured best, where those are not the last."""
        progress = self.progress
        if progress.best_step in (0, progress.step):
            return
        best = Generator.from_pretrained(self.options.output_dir / f"{progress.stage}-best")
        self.averaged.module.load_state_dict(best.state_dict())
        self.progress = replace(progress, step=progress.best_step)
        logger.info(
            "%s stage: the weights of step %d are kept, as they measured best", progress.stage, progress.best_step
        )

    def _show_samples(self, name: str) -> None:
        """Leave a plate of a stage's end."""
        if self.validation.paths and self.accelerator.is_main_process:
            self.validation.draw_plate(self.averaged.module, name, self.options.output_dir)  # type: ignore[arg-type]
        self.accelerator.wait_for_everyone()

    @property
    def _first_folder(self) -> Path:
        """Where the first stage leaves its model; absolute, as a relative path might be taken for a Hub id."""
        return self.options.output_dir.resolve() / "psnr"

    @cached_property
    def _first_stage(self) -> Generator | None:
        """What the adversarial stage set out from, if that was not chance."""
        if self.recipe.psnr_steps:
            return Generator.from_pretrained(self._first_folder)
        if not (start := self.options.init_from):
            return None
        try:
            return Generator.from_pretrained(start, stage="psnr")
        except NoSuchStage:
            return load(start)
