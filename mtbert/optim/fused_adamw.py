"""``AdamW`` as the trainer runs it: the same arithmetic in fewer passes over memory, and ready for CUDA graphs."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from mtbert.optim.adamw import AdamW, adamw_update

_COEFFICIENTS = 6  # of adamw_update
_CHUNK = 2**18  # elements updated at a time on a CPU: few enough to stay in its cache from line to line


class FusedAdamW(AdamW):
    """``AdamW`` with a step split into the host's part, ``advance``, and the device's part, ``apply``.

    On a CPU the update goes through the vectors in chunks that fit into the cache. On a GPU one Triton kernel reads and
    writes every element once (see ``mtbert.optim.kernels``), and takes the coefficients from a tensor at a fixed
    address: ``apply`` can be captured in a CUDA graph and replayed after each ``advance``. Without ``use_kernel`` a GPU
    runs one operation for each line of the algorithm.
    """

    def __init__(self, params: Iterable, *args, use_kernel: bool = True, **settings):
        super().__init__(params, *args, **settings)
        self.use_kernel = use_kernel
        self._coefficients: dict[Tensor, tuple[float, ...]] = {}  # of each parameter's last step
        self._tables: dict[torch.device, Tensor] = {}  # the same on each GPU, (parameters, _COEFFICIENTS)
        self._rows: dict[Tensor, Tensor] = {}  # each parameter's row of such a table

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """As ``AdamW.step``. While a CUDA graph is captured, ``apply`` alone: whoever replays it calls ``advance``."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        parameters = [theta for group in self.param_groups for theta in group["params"] if theta.grad is not None]
        if not (parameters and parameters[0].is_cuda and torch.cuda.is_current_stream_capturing()):
            self.advance(parameters)
        self.apply(parameters)
        return loss

    def advance(self, parameters: Sequence[Tensor]) -> None:
        """Count a step for these parameters and compute its coefficients; on a GPU, queue their copy to the device."""
        selected = set(parameters)
        for group in self.param_groups:
            for theta in group["params"]:
                if theta in selected:
                    self._coefficients[theta] = self._next_coefficients(theta, group)
        for device in {theta.device for theta in parameters if self._runs_kernel(theta)}:
            self._send_coefficients(device)

    @torch.no_grad()
    def apply(self, parameters: Sequence[Tensor]) -> None:
        """Update these parameters from their gradients with the coefficients of the last ``advance``."""
        for theta in parameters:
            state = self.state[theta]
            assert theta.grad is not None
            vectors = theta, theta.grad, state["exp_avg"], state["exp_avg_sq"]
            if self._runs_kernel(theta):
                from mtbert.optim import kernels  # needs Triton, which comes with torch for CUDA

                kernels.adamw(*vectors, self._rows[theta])
            else:
                flat = all(vector.is_contiguous() and not vector.is_cuda for vector in vectors)
                chunks = zip(*(vector.view(-1).split(_CHUNK) for vector in vectors), strict=True) if flat else [vectors]
                for values, gradient, exp_avg, exp_avg_sq in chunks:
                    adamw_update(values, gradient, exp_avg, exp_avg_sq, self._coefficients[theta])

    def _runs_kernel(self, theta: Tensor) -> bool:
        return self.use_kernel and theta.is_cuda and theta.is_contiguous()

    def _send_coefficients(self, device: torch.device) -> None:
        """Copy the coefficients of all parameters on one device there, always to the same address."""
        parameters = [theta for group in self.param_groups for theta in group["params"] if theta.device == device]
        if not all(theta in self._rows for theta in parameters):
            self._tables[device] = torch.zeros(len(parameters), _COEFFICIENTS, dtype=torch.float64, device=device)
            self._rows.update(zip(parameters, self._tables[device].unbind(), strict=True))
        rows = [self._coefficients.get(theta, (0.0,) * _COEFFICIENTS) for theta in parameters]
        self._tables[device].copy_(torch.tensor(rows, dtype=torch.float64).pin_memory(), non_blocking=True)
