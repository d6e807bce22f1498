"""Weightings from the TorchJD package (Quinton & Rey 2024), under its names."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from mtbert.utils.errors import UserError, shorten
from mtbert.utils.extras import missing_extra

# Methods whose weights depend on the Gramian alone. Others need the gradients themselves (such as ConFIG, GradDrop and
# ExcessMTL), several gradients per task (MoDo, SDMGrad), or settings that a recipe does not have (Krum).
_PLAIN = ("AlignedMTL", "DualProj", "GradVac", "IMTLG", "MGDA", "Mean", "PCD", "PCGrad", "Random", "Sum", "UPGrad")
_SETTINGS = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 1.0}}  # where TorchJD has no default
TORCHJD_METHODS = (*_PLAIN, *_SETTINGS, "NashMTL")


class TorchJD:
    """A weighting from the TorchJD package. Each group of parameters has its own object, and so its own state.

    Methods that expect the gradients get a square root of the Gramian instead, R with R R^T = G: its rows have the same
    inner products. A group whose gradients are all zero gets weights of one.

    Raises:
        UserError: If ``name`` is not in ``TORCHJD_METHODS``, or a package that it needs is not installed.
        ValueError: On a call, if the Gramian is not that of T tasks.
    """

    def __init__(self, name: str, tasks: int):
        if name not in TORCHJD_METHODS:
            raise UserError(
                f"surgery is {shorten('torchjd:' + name)}, which is not a TorchJD method that needs only the Gramian: "
                f"choose from {', '.join(TORCHJD_METHODS)}"
            )
        self.name, self.tasks = name, tasks
        settings = {"n_tasks": tasks} if name == "NashMTL" else _SETTINGS.get(name, {})
        try:
            from torchjd import aggregation

            self._new_aggregator = partial(getattr(aggregation, name), **settings)
            aggregator = self._new_aggregator()
        except ModuleNotFoundError:
            raise missing_extra(f"surgery is 'torchjd:{name}', but torchjd", "surgery-full") from None
        except (ImportError, AttributeError) as error:  # its solver is missing, or it is too old to have the method
            reason = str(error).split(". ")[0]  # without advice of its own
            raise missing_extra(f"surgery is 'torchjd:{name}', but it", "surgery-full", reason) from None
        self._takes_gramian = hasattr(aggregator, "gramian_weighting")
        self._weightings: dict[int, nn.Module] = {}  # by group

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights (..., T) from a Gramian (..., T, T), group by group."""
        if gramian.shape[-1] != self.tasks:
            raise ValueError(f"the Gramian is {tuple(gramian.shape)}, but the weighting is for {self.tasks} tasks")
        groups = gramian.reshape(-1, self.tasks, self.tasks)
        weights = [self._weights(index, group) for index, group in enumerate(groups)]
        return torch.stack(weights).reshape(gramian.shape[:-1]).to(gramian)

    def _weights(self, index: int, gramian: Tensor) -> Tensor:
        if not gramian.any():  # NashMTL would divide by its norm
            return torch.ones_like(gramian[0])
        if index not in self._weightings:
            aggregator = self._new_aggregator()
            self._weightings[index] = aggregator.gramian_weighting if self._takes_gramian else aggregator.weighting
        if not self._takes_gramian:
            values, vectors = torch.linalg.eigh(gramian)
            gramian = vectors * values.clamp(min=0).sqrt()  # R
        return self._weightings[index](gramian)

    def state_dict(self) -> dict[str, Tensor]:
        """The method's state between steps, by group; empty for most methods."""
        state: dict[str, Tensor] = {}
        for index, weighting in self._weightings.items():
            memory = dict(weighting.state_dict())
            if self.name == "NashMTL":  # its state, the solver's last solution, is a NumPy array, not a buffer
                memory["prvs_alpha"] = torch.from_numpy(weighting.prvs_alpha)
            state |= {f"{index}.{key}": value.clone() for key, value in memory.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._weightings = {}
        for index in sorted({int(key.split(".")[0]) for key in state}):
            memory = {key.split(".", 1)[1]: value for key, value in state.items() if key.startswith(f"{index}.")}
            with torch.random.fork_rng(devices=[]):
                self._weights(index, torch.eye(self.tasks, dtype=torch.float64))  # allocates the buffers
            if self.name == "NashMTL":
                self._weightings[index].prvs_alpha = memory.pop("prvs_alpha").cpu().numpy()  # type: ignore[assignment]
            self._weightings[index].load_state_dict(memory)
