"""The optional parts of the installation: pyproject.toml lists their packages as extras."""

from mtbert.utils.errors import UserError


def missing_extra(package: str, extra: str, reason: object = None) -> UserError:
    """The error to raise if an optional package cannot be imported.

    Args:
        package: what was to be imported.
        extra: the extra that installs it.
        reason: what the import said, where that is more than that the package is missing.
    """
    problem = f"cannot be loaded ({reason})" if reason else "is not installed"
    return UserError(f'{package} {problem}: in the project\'s folder, run pip install -e ".[{extra}]"')
