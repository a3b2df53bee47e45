"""What holds for the repository as a whole."""

import warnings

import pytest


@pytest.mark.parametrize("module", ["esrgan", "esrgan.images.reading", "app", "train"])
def test_a_deprecation_in_our_own_code_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


def test_a_deprecation_in_anothers_code_is_not() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module="appdirs")
