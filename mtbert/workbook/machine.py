"""What the machine at hand can do: its two limits, how close parts of a training step come to them, and a profile."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from mtbert.nn.bert import BertConfig
from mtbert.nn.flops import DeviceSpec
from mtbert.optim import FusedAdamW
from mtbert.utils.torch_private import TorchDispatchMode

# kind of work -> parts of operators' names; the first that fits
_KINDS = {
    "matrix products": ("mm", "linear", "dot_product"),
    "softmax, GELU, LayerNorm": ("softmax", "gelu", "layer_norm"),
    "dropout": ("bernoulli", "random", "dropout"),
    "AdamW": ("adam", "lerp", "addcmul", "addcdiv", "sqrt"),
    "copies and fills": ("copy", "fill", "zero", "cat", "index", "clone", "ones", "embedding"),
}
OTHER = "sums, products, other"


class Work(NamedTuple):
    """A piece of work: what it computes, what it moves at least, and how to run it."""

    flops: int
    bytes: int
    run: Callable[[], Any]


def best_time(function: Callable[[], Any], tries: int = 20) -> float:
    """Seconds of the fastest of several calls, after one that does not count: other work can only slow a call down."""
    times = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def limits(config: BertConfig, tokens: int = 1024, tries: int = 20) -> DeviceSpec:
    """The CPU's limits: FLOPs per second of a feed-forward product of this encoder, bytes per second of a large copy.

    A copy reads and writes every byte.
    """
    x = torch.randn(tokens, config.hidden_size)
    weight = torch.randn(config.hidden_size, config.intermediate_size)
    source, target = torch.randn(2**24), torch.empty(2**24)  # 64 MB each: no cache holds them
    return DeviceSpec(
        peak_flops=2
        * tokens
        * weight.numel()
        / best_time(lambda: x @ weight, 4 * tries),  # the roof: no part should be above it
        bandwidth=8 * len(source) / best_time(lambda: target.copy_(source), tries),
    )


def parts(config: BertConfig, sequences: int = 32, length: int = 32) -> dict[str, Work]:
    """Typical parts of a step on so many sequences of equal length, in float32, each with its FLOPs and bytes.

    LayerNorm takes about seven FLOPs per number, softmax and GELU about five; each reads and writes every number once.
    AdamW takes thirteen and moves 28 bytes per weight: it reads theta, g, m and v, and writes three of them.
    """
    h, f, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    t = sequences * length
    x, inner, weight = torch.randn(t, h), torch.randn(t, f), torch.randn(h, f)
    query = torch.randn(sequences * heads, length, h // heads)
    scores = query @ query.mT
    parameter = torch.nn.Parameter(torch.randn(2**22))
    parameter.grad = torch.randn(2**22)
    adamw = FusedAdamW([parameter], lr=1e-4)
    return {
        "x W": Work(2 * t * h * f, 4 * (t * h + h * f + t * f), lambda: x @ weight),
        "Q Kᵀ": Work(2 * t * length * h, 4 * (2 * t * h + scores.numel()), lambda: query @ query.mT),
        "GELU": Work(5 * t * f, 8 * t * f, lambda: F.gelu(inner)),
        "LayerNorm": Work(7 * t * h, 8 * t * h, lambda: F.layer_norm(x, (h,))),
        "softmax": Work(5 * scores.numel(), 8 * scores.numel(), lambda: scores.softmax(-1)),
        "AdamW": Work(13 * parameter.numel(), 28 * parameter.numel(), adamw.step),
    }


def measured(works: Mapping[str, Work], tries: int = 20) -> dict[str, tuple[float, float]]:
    """Each piece of work as (FLOPs per byte, FLOPs per second)."""
    return {name: (work.flops / work.bytes, work.flops / best_time(work.run, tries)) for name, work in works.items()}


def kind(operator: str) -> str:
    """The kind of work that an operator of torch does, by its name."""
    return next((name for name, parts in _KINDS.items() if any(part in operator for part in parts)), OTHER)


class _OperatorTimer(TorchDispatchMode):
    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        start = self.clock()
        result = operator(*args, **(kwargs or {}))
        self.seconds[kind(operator.overloadpacket.__name__)] += self.clock() - start
        return result


def profile(
    function: Callable[[Any], Any], inputs: Iterable[Any], clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds inside torch's operators, backward passes included, by kind of work, over calls on some inputs."""
    with _OperatorTimer(clock) as timer:
        for value in inputs:
            function(value)
    return {name: timer.seconds[name] for name in (*_KINDS, OTHER)}
