"""The boundary where environment variables are read: a value that means nothing is refused by the variable's name."""

import os
from pathlib import Path

from mtbert.utils.errors import UserError, shorten


def env_path(name: str) -> Path | None:
    """The path in an environment variable, whether or not it exists; None if the variable is unset or blank.

    Raises:
        UserError: if the system cannot look up such a path, because it is too long or a loop of links.
    """
    value = os.environ.get(name, "")
    if not value.strip():
        return None
    try:
        os.stat(value)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{name} is {shorten(value)}, which is no usable path ({reason}): change it or unset it"
        ) from None
    return Path(value)


def env_integer(name: str, default: int) -> int:
    """The whole number in an environment variable, ``default`` if it is unset or blank; UserError for anything else."""
    number = env_number(name, default)
    if not number.is_integer():
        raise UserError(f"{name} is {shorten(os.environ[name])}, but must be a whole number: change it or unset it")
    return int(number)


def env_number(name: str, default: float) -> float:
    """The number in an environment variable, ``default`` if it is unset or blank.

    Raises:
        UserError: if the value is not a number, or is NaN.
    """
    value = os.environ.get(name, "")
    if not value.strip():
        return float(default)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number != number:
        raise UserError(f"{name} is {shorten(value)}, but must be a number: change it or unset it")
    return number
