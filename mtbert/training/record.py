"""run.json, the record of a run: what it must hold to be read, whoever wrote or changed it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mtbert.training.recipe import from_dict
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.json_files import read_object

_ADVICE = "delete the folder or choose another"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _File(_Strict):
    task: str
    split: str
    sha256: str
    rows: int = Field(ge=0)


class _Epoch(_Strict):
    epoch: int = Field(ge=1)
    step: int = Field(ge=1)
    losses: dict[str, float]
    scores: dict[str, float]
    seconds: float
    tokens_per_second: float


class _Record(_Strict):
    status: Literal["finished", "unfinished"]
    recipe: dict[str, Any]
    data: dict[str, _File]
    encoder_sha256: str | None
    encoder_stored: str | None = None
    encoder_folder: str | None = None
    tokenizer_sha256: str | None = None
    encoder_config: dict[str, int | float] = {}
    weights_sha256: dict[str, str] = {}
    precision: str = ""
    device: str
    threads: int
    versions: dict[str, str]
    revision: str | None
    world_size: int = 1
    epochs: list[_Epoch]
    best_epoch: int = Field(ge=0)
    seconds: float
    peak_memory_mb: float | None


def read_record(path: Path) -> dict[str, Any]:
    """The record in a run.json. Fields that older or newer versions write besides those above are kept.

    Raises:
        UserError: If it is not JSON, a field is missing or has another type, its recipe is none, or it names a best
            epoch that it does not have.
    """
    record = read_object(path, _ADVICE)
    try:
        _Record.model_validate(record)
        from_dict(record["recipe"])
    except UserError as error:
        raise UserError(f"{path} has no recipe that can be used ({error}): {_ADVICE}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field, value = ".".join(map(str, first["loc"])), shorten(first["input"])
        problem = "is missing" if first["type"] == "missing" else f"is {value}: {first['msg'].lower()}"
        raise UserError(f"{path} is not the record of a run ({field} {problem}): {_ADVICE}") from None
    best, epochs = record["best_epoch"], record["epochs"]
    if best > len(epochs) or (epochs and not best):
        raise UserError(f"{path} is damaged (best_epoch is {best} of {len(epochs)}): {_ADVICE}")
    for number, epoch in enumerate(epochs, start=1):
        if epoch["epoch"] != number or (epoch["scores"] and "plain" not in epoch["scores"]):
            raise UserError(f"{path} is damaged (epoch {number} has no number or no score): {_ADVICE}")
    return record


def inputs_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The files and the encoder that a run reads. Rows matter, as ``overlap`` may drop some of a file."""
    files = {name: f"{file['sha256']}, {file['rows']} rows" for name, file in record["data"].items()}
    encoder = ("encoder_sha256", "encoder_stored", "encoder_config", "tokenizer_sha256")
    return files | {key: record[key] for key in encoder if record[key]}


def check_same_inputs(record: Mapping[str, Any], earlier: Mapping[str, Any], folder: Path) -> None:
    """Raise UserError naming the inputs of a run that differ from ``earlier`` ones, of the run in ``folder``."""
    now = inputs_of(record)
    if changed := [name for name in sorted(earlier.keys() | now.keys()) if earlier.get(name) != now.get(name)]:
        difference = f"other data or another encoder ({', '.join(changed)} differs)"
        raise UserError(f"{folder} was started with {difference}: choose another folder")
