"""What a notebook does in its first cell, and how it shows that two results are equal."""

import torch
from torch import Tensor
from torch.testing import assert_close

from mtbert.utils.device import seed_everything
from mtbert.utils.errors import UserError
from mtbert.workbook.parameters import check_parameters
from mtbert.workbook.plots.style import use_style


def setup(seed: int = 0, **bounds: tuple[float, float]) -> None:
    """Check a notebook's parameters, seed the random numbers, and set the style of its figures.

    Args:
        seed: The notebook's seed.
        bounds: For a parameter by name, its value and the smallest value that makes sense.

    Raises:
        UserError: naming the parameter that is wrong or too small.
    """
    check_parameters()
    for name, (value, least) in bounds.items():
        if not value >= least:  # NaN, too
            raise UserError(f"{name} is {value}, but must be at least {least}")
    seed_everything(seed)
    use_style()


def agree(claim: str, actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Print the claim with the largest difference between two results; raise AssertionError if it does not hold.

    Args:
        claim: What should be equal, such as "packed = padded".
        actual: One result, of any shape.
        expected: The other one, of the same shape.
        tolerance: The largest difference allowed, times the larger of 1 and the expected value.
    """
    actual, expected = torch.as_tensor(actual).detach(), torch.as_tensor(expected).detach()
    assert_close(actual, expected, rtol=tolerance, atol=tolerance, msg=lambda text: f"{claim}: {text}")
    difference = (actual.double() - expected.double()).abs().max() if actual.numel() else 0.0
    print(f"{claim}: " + (f"largest difference {difference:.0e}" if difference else "exactly equal"))
