"""`esrgan study`: does a specialist win, over several trainings of each set?"""

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..files import check_file, read_table, replacing
from . import at_least_one

logger = logging.getLogger("esrgan")
TRAIN = Path(__file__).parents[2] / "train.py"
OUTPUTS = ("report.md", "report.json", "report.png")
OWN = ("--train_data_dir", "--output_dir", "--seed", "--resume_from_checkpoint")  # what a study gives each training
OPTIONS = "options for train.py"
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def folder_of(name: str, folder: str) -> tuple[str, Path]:
    """A folder whose name is known."""
    return name, Path(folder)


def named_folder(text: str) -> tuple[str, Path]:
    """NAME=DIR taken apart."""
    name, equals, folder = text.partition("=")
    if not equals or not folder or not name.isidentifier() or name == "bicubic":
        raise argparse.ArgumentTypeError(
            f"{text}: must be NAME=DIR, with a name of letters, digits and underscores other than bicubic"
        )
    return name, Path(folder)


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "study",
        allow_abbrev=False,  # --seed is no --seeds, and there may be such an option of train.py
        help="train several sets with several seeds, and tell whether a specialist wins",
        description="Train each set with each seed, measure all on all test sets, and write one report. Options that "
        "are not listed here go to train.py. A study that was stopped goes on when it is run again. Under `accelerate "
        "launch` the processes share the trainings, each one at a time.",
    )
    for name in ("mixed", "dogs"):
        parser.add_argument(
            f"--{name}",
            dest="sets",
            action="append",
            type=partial(folder_of, name),
            metavar="DIR",
            help=f"short for --set {name}=DIR",
        )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        type=named_folder,
        metavar="NAME=DIR",
        help="photos to train on; repeatable. The first set is the generalist that the others are compared with",
    )
    parser.add_argument(
        "--test",
        dest="tests",
        action="append",
        type=named_folder,
        required=True,
        metavar="NAME=DIR",
        help="photos to measure on; repeatable. One named like a set tells whether that set gains more on its own kind",
    )
    parser.add_argument("--seeds", type=at_least_one, default=3, metavar="N", help="trainings a set (default: 3)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help=f"gets the trainings, {', '.join(OUTPUTS)}"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train what is not trained yet, measure, and write the report to standard output and to the folder."""
    sets, tests = dict(options.sets or []), dict(options.tests)
    if len(sets) < 2 or len(sets) < len(options.sets) or len(tests) < len(options.tests):
        raise StudyError("study: takes at least two sets to train on (--set NAME=DIR), and each name once.")
    if given := {option.partition("=")[0] for option in options.others}.intersection(OWN):
        raise StudyError(f"study: {min(given)} is given to each training by the study itself; leave it out.")
    for name in OUTPUTS:
        check_file(options.output / name)
    if local_rank := os.environ.get("LOCAL_RANK"):
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(int(local_rank), os.environ.get("CUDA_VISIBLE_DEVICES"))
    rank, processes = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    runs = {(name, seed): options.output / f"{name}-seed{seed}" for seed in range(options.seeds) for name in sets}
    begun = any(folder.is_dir() for folder in runs.values())
    remember(options.output / "study.json", sets, tests, options.others, begun=begun)
    if rank == 0:
        measure_once(None, options.output / "bicubic", tests)
    for name, seed in list(runs)[rank::processes]:
        folder = runs[name, seed]
        if not scores_of(folder).is_file():
            logger.info("%s, seed %d: training", name, seed)
            train(sets[name], seed, folder, options.others)
        measure_once(folder, folder, tests)
    unfinished = [folder for folder in (*runs.values(), options.output / "bicubic") if not scores_of(folder).is_file()]
    if unfinished:
        logger.info("%s: not finished yet; the process that is last writes the report", unfinished[0])
        return 0
    photos = {test: list(photos_of(folder)) for test, folder in tests.items()}
    scores = {run: read_scores(folder, photos) for run, folder in runs.items()}
    bicubic = next(iter(read_scores(options.output / "bicubic", photos).values()))
    write_report(scores, bicubic, sets, tests, options.output)
    return 0


def remember(
    path: Path, sets: Mapping[str, Path], tests: Mapping[str, Path], settings: list[str], *, begun: bool
) -> None:
    """Write down what is studied, and refuse to go on with something else.

    Options for train.py may change as long as no training has `begun`: it may have refused them.

    Raises:
        StudyError: the folder holds a study of other photos, or with other settings.
    """
    from ..images.reading import find_images, fingerprint

    study = {
        "sets": {name: fingerprint(find_images(folder)) for name, folder in sets.items()},
        "tests": {name: fingerprint(find_images(folder)) for name, folder in tests.items()},
        OPTIONS: settings,
    }
    known = read(path) if path.is_file() else study
    others = [key for key in study if known.get(key) != study[key] and (begun or key != OPTIONS)]
    if others:
        raise StudyError(f"{path}: is of a study with other {others[0]}; go on with the same, or give a new --output.")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(study, indent=2) + "\n", encoding="utf-8")


def gpu_of(local_rank: int, visible: str | None) -> str:
    """The GPU of one process of a machine, of those that all of them may see; None is all that there are."""
    gpus = [str(local_rank)] if visible is None else visible.split(",")
    return gpus[local_rank % len(gpus)]


def train(photos: Path, seed: int, folder: Path, settings: list[str]) -> None:
    """One training, by `train.py`, from its last checkpoint on.

    Raises:
        StudyError: it failed, or there is no `train.py`.
    """
    if not TRAIN.is_file():
        raise StudyError(f"{TRAIN}: not found; a study is run from a clone of the repository.")
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    command = [sys.executable, str(TRAIN), f"--train_data_dir={photos}", f"--output_dir={folder}", f"--seed={seed}"]
    process = subprocess.Popen([*command, *settings, "--resume_from_checkpoint", "latest"], env=environment)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()  # it saves what it has
        process.wait()
        raise
    if status:
        raise StudyError(f"{folder}: this training ended with status {status}, as said above; run the study again.")


def photos_of(test: Path) -> dict[str, Path]:
    """The photos of a test set by their names."""
    from ..images.reading import find_images

    return {path.relative_to(test).as_posix() if test.is_dir() else path.name: path for path in find_images(test)}


def scores_of(folder: Path) -> Path:
    """Where the scores of a training are: by stage, test set and photo."""
    return folder / "scores.json"


def read(path: Path) -> dict[str, Any]:
    """A JSON file of this command.

    Raises:
        StudyError: it is damaged.
    """
    try:
        return read_table(path)
    except ValueError as error:
        raise damaged(path, error) from error


def read_scores(folder: Path, photos: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The scores of a training, or of bicubic, by stage, test set and photo.

    Args:
        folder: where they are.
        photos: the names of each test set's photos.

    Raises:
        StudyError: they are damaged, or of other photos.
    """
    path = scores_of(folder)
    scores = read(path)
    try:
        if not scores:
            raise ValueError("it has no stage")
        for stage, tests in scores.items():
            for test, names in photos.items():
                if list(tests[test]) != list(names):
                    raise ValueError(f"{stage} on {test}: has other photos")
                values = {type(value) for score in tests[test].values() for value in score.values()}
                if not values <= {int, float}:
                    raise ValueError(f"{stage} on {test}: has scores that are no numbers")
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise damaged(path, error) from error
    return scores


def damaged(path: Path, reason: Exception) -> StudyError:
    """What is said of a file of this command that cannot be used."""
    return StudyError(f"{path}: damaged ({reason}); remove it, and run the study again.")


def measure_once(trained: Path | None, folder: Path, tests: Mapping[str, Path]) -> None:
    """Measure each stage of a training, or bicubic, on each test set, and write the scores; unless they are there."""
    from tqdm.auto import tqdm

    from ..evaluation.report import CRISP, EXACT
    from ..evaluation.study import Method, bicubic, finite, measure, read_truth
    from ..inference.upscaler import Upscaler
    from ..models.convert import load

    if scores_of(folder).is_file():
        return
    methods: dict[str, Method] = {"bicubic": bicubic}
    if trained:
        methods = {name: Upscaler(load(str(trained / name))) for name in (EXACT, CRISP) if (trained / name).is_dir()}
    scores: dict[str, dict[str, Any]] = {stage: {} for stage in methods}
    for test, photos in tests.items():
        for name, path in tqdm(photos_of(photos).items(), desc=f"{folder.name} on {test}", unit="photo"):
            truth = read_truth(path)
            for stage, method in methods.items():
                scores[stage].setdefault(test, {})[name] = finite(measure(method, truth))
    with replacing(scores_of(folder)) as temporary:
        temporary.write_text(json.dumps(scores) + "\n", encoding="utf-8")


def write_report(
    scores: Mapping[tuple[str, int], Any],
    bicubic: Mapping[str, Any],
    sets: Mapping[str, Path],
    tests: Mapping[str, Path],
    output: Path,
) -> None:
    """The answers of each stage that all trainings have, as Markdown, JSON and a figure."""
    from ..evaluation.plots import draw_answers
    from ..evaluation.report import stage_label
    from ..evaluation.seeds import SeedStudy

    studies = {
        stage: SeedStudy(
            {name: {seed: run[stage] for (owner, seed), run in scores.items() if owner == name} for name in sets},
            bicubic,
            own={name: name for name in list(sets)[1:] if name in tests},
        )
        for stage in next(iter(scores.values()))
        if all(stage in run for run in scores.values())
    }
    report = "\n\n".join(f"## {stage_label(stage)}\n\n{study.markdown()}" for stage, study in studies.items()) + "\n"
    sys.stdout.write(report)
    markdown, table, figure = (output / name for name in OUTPUTS)
    with replacing(markdown) as temporary:
        temporary.write_text(report, encoding="utf-8")
    with replacing(table) as temporary:
        content = {stage: study.json() for stage, study in studies.items()}
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    with replacing(figure) as temporary:
        draw_answers(studies, temporary)
