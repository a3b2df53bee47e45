"""Import torchvision, also where PyPI's build of it meets a CPU-only torch.

PyPI's torchvision for Linux is compiled against CUDA. With a CPU-only torch its extension cannot be loaded, and the
import then stops because the operators `nms` and `qnms`, which nothing here calls, are unknown. Declaring them is
enough.
"""

from torch.library import Library

try:
    import torchvision
except RuntimeError:
    _boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    _operators = Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(_name + _boxes)
    import torchvision

__all__ = ["torchvision"]
