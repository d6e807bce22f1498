"""``mtbert bench``: what a step, an optimization or a notebook costs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtbert.cli.options import Compile, CudaGraphs, Data, Device, override_execution, resolve_data, split_names
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.logging import logger

if TYPE_CHECKING:
    import torch

    from mtbert.training.cuda_graphs import Execution

app = typer.Typer(
    help="Measure speed and memory beside other implementations.",
    epilog="Example: mtbert bench step --tasks sst --steps 12",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PRECISIONS = ("float32", "bfloat16")
EncoderName = Annotated[str, typer.Option(help="minilm, tiny, random-bert-base, a hub id or a folder.")]
Precision = Annotated[str, typer.Option(help="float32, or bfloat16 by autocast.")]
MixedBatch = Annotated[str, typer.Option(help="Rows of SST, Quora and STS per step.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps per side. Default: a few, on a GPU 200.")]
_STEPS_ON_GPU = 200


@app.command("step", epilog="Example: mtbert bench step --tasks sst --steps 12")
def step(
    data: Data = None,
    encoder: EncoderName = "minilm",
    tasks: Annotated[str, typer.Option(help="Tasks, separated by commas.")] = "sst,quora,sts",
    batch: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 32,
    steps: Steps = None,
    adapters: Annotated[str | None, typer.Option(help="Measure the cost of these adapters instead: pal,lora.")] = None,
    device: Device = None,
    precision: Precision = "float32",
    compile_: Compile = None,
    cuda_graphs: CudaGraphs = None,
    passes: Annotated[int, typer.Option(min=1, help="Time every batch so often; its median counts.")] = 1,
    peak: Annotated[float | None, typer.Option(help="The device's peak in TFLOP/s, if it is not known.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Time the parts of mtbert's step instead.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the figures in data/results, throughput.csv or step_profile.csv.")
    ] = False,
):
    """Compare a training step with transformers: examples per second, share of the matrix peak, peak memory.

    Both sides run on random and on length-grouped batches of the same rows, and transformers also without padding
    ("packed"). --compile adds both under torch.compile. On a GPU, --compile and --cuda-graphs are on by default.
    With --adapters: a step with each adapter against a step without one.
    With --profile: where the time goes on a CPU, by linear layers, attention and so on.
    """
    from mtbert.bench.step import bench_adapters, bench_memory, bench_step
    from mtbert.data.tasks import get_task
    from mtbert.nn.adapters import adapter_parts
    from mtbert.utils.device import get_device

    folder, on = resolve_data(data), get_device(device)
    _check_precision(precision)
    names = [get_task(name).name for name in split_names(tasks)]
    gpu = on.type == "cuda"
    steps = _default_steps(steps, on, 30)
    _describe(f"encoder {encoder}, batch {batch}, {steps} steps a side", on, precision)
    if adapters:
        kinds = [kind for kind in split_names(adapters) if adapter_parts(kind)]
        typer.echo(f"{'task':8}{'adapter':>16}{'ms a step':>11}{'vs. none':>14}")
        for task, seconds in bench_adapters(folder, encoder, names, kinds, batch, steps, on):
            for kind, spent in seconds.items():
                typer.echo(f"{task:8}{kind:>16}{1000 * spent:11.0f}{spent / seconds['none']:14.2f}")
        return
    if profile:
        _profile(folder, encoder, names, batch, steps, record)
        return
    typer.echo(f"{'task':7}{'side':34}{'examples/s':>10}{'fastest mtbert is':>19}{'of peak':>9}{'peak MB':>9}")
    execution = override_execution(_fastest(on), compile_, cuda_graphs)
    warm_up, peak_flops = (5 if gpu else 3), peak and peak * 1e12
    timings = bench_step(
        folder, encoder, names, batch, steps, on, warm_up, precision, execution, execution.compile, peak_flops, passes
    )
    for timing in timings:
        memory = timing.memory_mb
        if not gpu:
            memory = bench_memory(folder, encoder, timing.task, batch, min(steps, 8), on.type)
        for side, rate in timing.rates.items():
            lead = "" if side.startswith("mtbert") else f"{timing.lead(side):.2f} x"
            used = f"{memory[side]:.0f}" if memory.get(side) else ""
            typer.echo(f"{timing.task:7}{side:34}{rate:10.1f}{lead:>19}{timing.peak_share[side]:9.1%}{used:>9}")
        if record:
            about = {
                "bench": "step",
                "encoder": Path(encoder).name,
                "batch": batch,
                "precision": precision,
                "steps": steps,
            }
            sides = {
                side: {
                    "examples_per_second": round(rate, 1),
                    "mtbert_is": round(timing.lead(side), 3),
                    "mfu": round(timing.peak_share[side], 3),
                    "peak_memory_mb": memory.get(side),
                }
                for side, rate in timing.rates.items()
            }
            _record(about, sides, on, execution, folder, [timing.task])


def _profile(folder: Path, encoder: str, tasks: list[str], batch: int, steps: int, record: bool) -> None:
    import torch

    from mtbert.bench.profile import profile_step, record_profile
    from mtbert.utils import paths

    typer.echo(f"{'task':8}{'part':18}{'ms a step':>11}{'share':>8}")
    for task in tasks:
        spent = profile_step(folder, encoder, task, batch, steps, torch.device("cpu"))
        for part, ms in spent.items():
            typer.echo(f"{task:8}{part:18}{ms:11.1f}{ms / sum(spent.values()):8.1%}")
        if record:
            path = record_profile(spent, Path(encoder).name, task, batch, steps)
            typer.echo(f"recorded in {paths.display_path(path)}")


@app.command("surgery", epilog="Example: mtbert bench surgery --steps 10 --no-peers")
def surgery(
    data: Data = None,
    encoder: EncoderName = "minilm",
    batch: MixedBatch = "8,32,8",
    steps: Steps = None,
    device: Device = None,
    precision: Precision = "float32",
    compile_: Compile = None,
    cuda_graphs: CudaGraphs = None,
    peers: Annotated[bool, typer.Option(help="Include TorchJD and a textbook implementation.")] = True,
    record: Annotated[bool, typer.Option("--record", help="Keep the ratios in data/results/throughput.csv.")] = False,
):
    """Compare ways to take a PCGrad step. The others: a plain sum, TorchJD's autojac, and a textbook implementation.

    On a GPU, --compile and --cuda-graphs are on by default; only the plain sum uses compiled layers.
    """
    from mtbert.bench.surgery import bench_surgery
    from mtbert.utils.device import get_device

    folder, on, rows = resolve_data(data), get_device(device), _mixed_rows(batch)
    _check_precision(precision)
    steps = _default_steps(steps, on, 20)
    execution = override_execution(_fastest(on), compile_, cuda_graphs)
    _describe(f"encoder {encoder}, rows a step {batch}, {steps} steps a side", on, precision)
    warm_up = 5 if on.type == "cuda" else 2
    costs = list(bench_surgery(folder, encoder, rows, steps, on, warm_up, precision, execution, peers))
    typer.echo("side                  ms a step   against plain   MB in a step")
    for cost in costs:
        memory = "not measured" if cost.step_memory_mb is None else f"{cost.step_memory_mb:.0f}"
        ratio = f"{cost.seconds / costs[0].seconds:.2f}x"
        typer.echo(f"{cost.side:<21} {1000 * cost.seconds:9.2f} {ratio:>15} {memory:>14}")
    if record:
        about = {
            "bench": "surgery",
            "encoder": Path(encoder).name,
            "batch": batch,
            "precision": precision,
            "steps": steps,
        }
        sides = {
            cost.side: {
                "examples_per_second": round(sum(rows.values()) / cost.seconds, 1),
                "against_plain": round(cost.seconds / costs[0].seconds, 3),
                "peak_memory_mb": cost.step_memory_mb,
            }
            for cost in costs
        }
        _record(about, sides, on, execution, folder, list(rows))


@app.command("ladder", epilog="Example: mtbert bench ladder --steps 8")
def ladder(
    data: Data = None,
    encoder: EncoderName = "minilm",
    batch: MixedBatch = "8,32,8",
    steps: Steps = None,
    device: Device = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/ladder.csv.")] = False,
):
    """Measure each optimization in turn. The first rung is a mixed step as one would first write it."""
    from mtbert.bench import ladder
    from mtbert.utils import paths
    from mtbert.utils.device import get_device

    folder, on, rows = resolve_data(data), get_device(device), _mixed_rows(batch)
    steps = _default_steps(steps, on, 12)
    _describe(f"encoder {encoder}, rows a step {batch}, {steps} steps a rung", on)
    table = ladder.bench_ladder(folder, encoder, rows, steps, on)
    typer.echo("rung                      ms a step    gain   speedup   GFLOP/s")
    for rung, row in table.iterrows():
        typer.echo(f"{rung:<25}{1000 * row.seconds:10.0f}{row.gain:8.2f}{row.speedup:10.2f}{row.flops / 1e9:10.1f}")
    if record:
        path = ladder.record(table, folder, encoder, rows, steps, on)
        typer.echo(f"recorded in {paths.display_path(path)}")


@app.command("notebooks", epilog="Example: mtbert bench notebooks --only 05")
def notebooks(
    only: Annotated[str | None, typer.Option(help="Only those whose name starts with this, such as 04.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/notebooks.csv.")] = False,
):
    """Measure seconds, user CPU seconds and memory of notebooks. Each runs under papermill, in its own process."""
    from mtbert.bench import notebooks

    if only is not None and Path(only).name != only:  # a pattern from the root of the disk
        raise UserError(f"--only is {shorten(only)}, but must be the beginning of a notebook's name, such as 04")
    typer.echo("notebook                  seconds  CPU seconds  peak MB")
    for row in notebooks.measure(notebooks.notebooks(only)):
        typer.echo(f"{row['notebook']:<24} {row['seconds']:8.1f} {row['cpu_seconds']:12.1f} {row['peak_memory_mb']:8}")
        if record:
            notebooks.record(row)


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"--precision is {shorten(precision)}: choose from {', '.join(PRECISIONS)}")


def _describe(setup: str, device: "torch.device", precision: str = "float32") -> None:
    import torch

    logger.info(f"{setup}, interleaved, {device.type}, {precision}, {torch.get_num_threads()} threads")


def _fastest(device: "torch.device") -> "Execution":
    """On a GPU everything that makes steps cheaper there."""
    from mtbert.training.cuda_graphs import Execution

    gpu = device.type == "cuda"
    return Execution(compile=gpu, cuda_graphs=gpu)


def _default_steps(steps: int | None, device: "torch.device", on_cpu: int) -> int:
    """A step on a GPU takes milliseconds, so it takes more of them to see a difference."""
    return steps or (_STEPS_ON_GPU if device.type == "cuda" else on_cpu)


def _mixed_rows(batch: str) -> dict[str, int]:
    """Rows of each task in a mixed step, from a list such as "8,32,8"."""
    sizes = split_names(batch)
    if len(sizes) != 3 or not all(size.isdigit() and int(size) for size in sizes):
        raise UserError(f"--batch is {shorten(batch)}: give three whole numbers, such as 8,32,8")
    return dict(zip(("sst", "quora", "sts"), map(int, sizes), strict=True))


def _record(
    about: dict, sides: dict[str, dict], device: "torch.device", execution: "Execution", data: Path, tasks: list[str]
) -> None:
    """Keep a bench's figures, a row per side, with the device and the checksums of the data."""
    from mtbert.bench.timing import record_throughput
    from mtbert.data.read import read_split
    from mtbert.data.tasks import get_task
    from mtbert.utils.device import environment_info

    checksums = [read_split(data, get_task(task), "train").sha256[:16] for task in tasks]
    about = {**about, **asdict(execution), "device": environment_info(device)["device"], "task": "+".join(tasks)}
    record_throughput(
        {**about, "side": side, **figures, "data_sha256": "+".join(checksums)} for side, figures in sides.items()
    )
