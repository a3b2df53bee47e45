"""What a photo is found to be, and what was done with it before it was enlarged: sentences beside its result."""

from collections.abc import Mapping

from ..images.photo import Photo
from .limits import Box, Limits, spell_seconds
from .models import Model, label

MEASURE, CLEAN, DAMAGED = "measure", "clean", "damaged"  # what a photo may be said to be

KEPT_IN_FILES = "Pictures here have 8 bits and no transparency; PNG files of the models keep it all."


def judge(photo: Photo, condition: str, halve: bool, models: Mapping[str, Model]) -> tuple[bool, tuple[str, ...]]:
    """Whether camera stages are to be at work, and what there is to tell of the photo.

    Args:
        photo: as its file has it.
        condition: `DAMAGED`, `CLEAN`, or `MEASURE` to go by the photo.
        halve: whether it is halved next.
        models: those that enlarge it.
    """
    measured = photo.condition()
    has_camera = any(model.camera for model in models.values())
    is_measured = has_camera and condition == MEASURE
    damaged = condition == DAMAGED or (is_measured and measured.damage is not None)
    notes = list(tell_conversion(photo))
    if is_measured:
        notes.append(f"It has {measured.damage}." if damaged else "It looks clean: no blocks of JPEG, no noise.")
    notes += tell_stage(damaged, models)
    if halve:
        notes.append("It was halved first.")
    elif measured.is_enlarged:
        notes.append("It seems to have been enlarged before: half its pixels show as much. Halving it first may help.")
    return damaged and has_camera, tuple(notes)


def tell_stage(damaged: bool, models: Mapping[str, Model]) -> tuple[str, ...]:
    """Which weights are at work, where it is not the usual ones."""
    if not damaged:
        return ()
    without = [label(name) for name, model in models.items() if not model.camera]
    if len(without) == len(models):
        return ("There are no weights for damaged photos; the usual ones are at work.",)
    told = "The weights for damaged photos are at work, which the slider does not change."
    return (f"{told} {' and '.join(without)} has none of them." if without else told,)


def tell_conversion(photo: Photo) -> tuple[str, ...]:
    """What the page shows and compares otherwise than the file has it."""
    notes = []
    if photo.frame_count > 1:
        notes.append(f"Your file has {photo.frame_count} pictures; this is the first.")
    if photo.alpha is not None:
        notes.append("What is transparent lies over white.")
    if photo.bits == 16:
        notes.append("Of 16 bits a channel 8 are shown and measured.")
    return tuple(notes)


def spell_size(size: tuple[int, int]) -> str:
    """Width and height in words."""
    return f"{size[0]} x {size[1]} pixels"


def tell_smaller(size: tuple[int, int], fitted: tuple[int, int]) -> str:
    """From which size to which a photo was shrunk to be compared."""
    return f"Your photo of {spell_size(size)} was made smaller first, {spell_size(fitted)}."


def tell_part(box: Box, size: tuple[int, int], limits: Limits) -> str:
    """Which part of a photo of this size is enlarged, and what else may be asked for."""
    pixels = size[0] * size[1]
    whole = f"all of it, 0, 0, {size[0]}, {size[1]}, takes {spell_seconds(pixels * limits.pace)}"
    if pixels > limits.most:
        whole = f"at most {limits.most / 1e6:g} megapixels at once"
    part = ", ".join(map(str, box))
    return f"This is the part {part} of your photo of {spell_size(size)}; ask for another: {whole}."
