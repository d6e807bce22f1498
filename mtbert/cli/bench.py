"""The command line's benches: ``python -m mtbert bench ...``."""

from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from mtbert.bench import ladder as bench_ladder
from mtbert.bench import notebooks as bench_notebooks
from mtbert.bench.step import SHAPES, bench_adapters, bench_memory, bench_step, random_encoder
from mtbert.bench.surgery import bench_surgery
from mtbert.bench.throughput import record as record_throughput
from mtbert.cli.options import Compile, Data, Device, Graphs, chosen_execution
from mtbert.data.read import data_folder, read_split
from mtbert.data.tasks import get_task
from mtbert.nn.adapters import adapter_parts
from mtbert.training.cuda_graphs import Execution
from mtbert.utils import paths
from mtbert.utils.device import environment_info, get_device
from mtbert.utils.errors import UserError

app = typer.Typer(help="Side by side with the peers, in one run, as ratios.", no_args_is_help=True)

PRECISIONS = ("float32", "bfloat16")
Precision = Annotated[str, typer.Option(help="float32, or bfloat16 by autocast.")]
Shape = Annotated[str | None, typer.Option(help="Random weights of this shape, bert-base, for --encoder.")]
MixedBatch = Annotated[str, typer.Option(help="Rows of SST, Quora and STS in a step.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Of each side; default a few, on a GPU 200.")]
_STEPS_ON_GPU = 200


@app.command("surgery")
def surgery(
    data: Data = None,
    encoder: str = "minilm",
    batch: MixedBatch = "8,32,8",
    steps: Steps = None,
    device: Device = None,
    precision: Precision = "float32",
    shape: Shape = None,
    compile_: Compile = None,
    graphs: Graphs = None,
    peers: Annotated[bool, typer.Option(help="With TorchJD and a textbook implementation.")] = True,
    record_: Annotated[bool, typer.Option("--record", help="Keep the ratios in data/results/throughput.csv.")] = False,
):
    """A step with PCGrad against a plain sum, TorchJD's autojac and a textbook implementation.

    On a GPU, --compile and --cuda-graphs are on unless switched off; compiled layers are for the plain sum alone.
    """
    folder, on, rows = data_folder(data), get_device(device), _mixed_rows(batch)
    steps = _enough(steps, on, 20)
    execution = chosen_execution(_all_on(on), compile_, graphs)
    with _encoder_for_bench(encoder, shape, precision) as (called, read_from):
        typer.echo(
            f"data: {paths.shown(folder)}; encoder {called}, rows a step {batch}, {steps} steps a side, "
            f"alternating, {on.type}, {precision}, {torch.get_num_threads()} threads"
        )
        costs = list(
            bench_surgery(
                folder, read_from, rows, steps, on, 5 if on.type == "cuda" else 2, precision, execution, peers
            )
        )
    typer.echo("side                  ms a step   against plain   MB in a step")
    for cost in costs:
        memory = "not measured" if cost.step_memory_mb is None else f"{cost.step_memory_mb:.0f}"
        ratio = f"{cost.seconds / costs[0].seconds:.2f}x"
        typer.echo(f"{cost.side:<21} {1000 * cost.seconds:9.2f} {ratio:>15} {memory:>14}")
    if record_:
        examples, shas = sum(rows.values()), [read_split(folder, get_task(name), "train").sha256[:16] for name in rows]
        record_throughput(
            {
                "bench": "surgery",
                "device": environment_info(on)["device"],
                "encoder": called,
                "task": "+".join(rows),
                "batch": batch,
                "precision": precision,
                "side": cost.side,
                "steps": steps,
                **asdict(execution),
                "examples_per_second": round(examples / cost.seconds, 1),
                "against_plain": round(cost.seconds / costs[0].seconds, 3),
                "peak_memory_mb": cost.step_memory_mb,
                "data_sha256": "+".join(shas),
            }
            for cost in costs
        )


@app.command("ladder")
def ladder(
    data: Data = None,
    encoder: str = "minilm",
    batch: MixedBatch = "8,32,8",
    steps: Steps = None,
    device: Device = None,
    record_: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/ladder.csv.")] = False,
):
    """A mixed step as one would first write it, and what each optimisation adds: gains over the rung before."""
    folder, on, rows = data_folder(data), get_device(device), _mixed_rows(batch)
    steps = _enough(steps, on, 12)
    typer.echo(
        f"data: {paths.shown(folder)}; encoder {encoder}, rows a step {batch}, {steps} steps a rung, "
        f"alternating, {on.type}, {torch.get_num_threads()} threads"
    )
    found = bench_ladder.bench_ladder(folder, encoder, rows, steps, on)
    typer.echo("rung                      ms a step    gain   speedup   GFLOP/s")
    for rung, of in found.iterrows():
        typer.echo(f"{rung:<25}{1000 * of.seconds:10.0f}{of.gain:8.2f}{of.speedup:10.2f}{of.flops / 1e9:10.1f}")
    if record_:
        bench_ladder.record(found, folder, encoder, rows, steps, on)
        typer.echo(f"recorded in {paths.shown(bench_ladder.TABLE)}")


@app.command("notebooks")
def notebooks(
    only: Annotated[str | None, typer.Option(help="Only those whose name begins so, such as 04.")] = None,
    record_: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/notebooks.csv.")] = False,
):
    """Seconds and peak memory of every notebook under papermill, each in a process of its own."""
    typer.echo("notebook                  seconds   peak MB")
    for found in bench_notebooks.measure(bench_notebooks.notebooks(only)):
        typer.echo(f"{found['notebook']:<24} {found['seconds']:8.1f} {found['peak_memory_mb']:9}")
        if record_:
            bench_notebooks.record(found)


@app.command("step")
def step(
    data: Data = None,
    encoder: str = "minilm",
    tasks: str = "sst,quora,sts",
    batch: Annotated[int, typer.Option(min=1)] = 32,
    steps: Steps = None,
    adapters: Annotated[str | None, typer.Option(help="Instead: the cost of adapters, such as pal,lora.")] = None,
    device: Device = None,
    precision: Precision = "float32",
    shape: Shape = None,
    compile_: Compile = None,
    graphs: Graphs = None,
    peak: Annotated[float | None, typer.Option(help="The device's peak in TFLOP/s, where it is not known.")] = None,
    record_: Annotated[bool, typer.Option("--record", help="Keep the rates in data/results/throughput.csv.")] = False,
):
    """A training step against transformers.BertModel: examples a second, their ratio, MFU, peak memory.

    On a GPU also against transformers under torch.compile, and --compile and --cuda-graphs are on unless switched off.
    With --adapters: a step with each of these adapters against one without.
    """
    folder, on = data_folder(data), get_device(device)
    names = [get_task(name.strip()).name for name in tasks.split(",")]
    gpu = on.type == "cuda"
    steps = _enough(steps, on, 30)
    typer.echo(
        f"data: {paths.shown(folder)}; encoder {shape or encoder}, batch {batch}, {steps} steps a side, "
        f"alternating, {on.type}, {precision}, {torch.get_num_threads()} threads"
    )
    if adapters:
        kinds = [kind.strip() for kind in adapters.split(",") if adapter_parts(kind.strip())]
        typer.echo(f"{'task':8}{'adapter':>16}{'ms a step':>11}{'against none':>14}")
        for task, seconds in bench_adapters(folder, encoder, names, kinds, batch, steps, on):
            for kind, spent in seconds.items():
                typer.echo(f"{task:8}{kind:>16}{1000 * spent:11.0f}{spent / seconds['none']:14.2f}")
        return
    typer.echo(f"{'task':8}{'side':24}{'examples/s':>11}{'mtbert is':>11}{'MFU':>11}{'peak MB':>9}")
    execution = chosen_execution(_all_on(on), compile_, graphs)
    with _encoder_for_bench(encoder, shape, precision) as (called, read_from):
        options = {"precision": precision, "execution": execution, "compiled_peer": gpu, "peak": peak and peak * 1e12}
        for timing in bench_step(folder, read_from, names, batch, steps, on, 3 + 2 * gpu, **options):
            memory = timing.memory_mb
            if not gpu:
                memory = bench_memory(folder, read_from, timing.task, batch, min(steps, 8), on.type)
            for side, rate in timing.rates.items():
                mfu = timing.mfu[side]
                ratio = "" if side == "mtbert" else f"{timing.ratio(side):.2f} x"
                shown = "not known" if mfu is None else f"{mfu:.1%}"
                typer.echo(f"{timing.task:8}{side:24}{rate:11.1f}{ratio:>11}{shown:>11}{memory[side]:9.0f}")
            if record_:
                sha = read_split(folder, get_task(timing.task), "train").sha256
                record_throughput(
                    [
                        {
                            "bench": "step",
                            "device": environment_info(on)["device"],
                            "encoder": called,
                            "task": timing.task,
                            "batch": batch,
                            "precision": precision,
                            "side": side,
                            "steps": steps,
                            **asdict(execution),
                            "examples_per_second": round(rate, 1),
                            "mtbert_is": round(timing.ratio(side), 3),
                            "mfu": timing.mfu[side],
                            "peak_memory_mb": memory[side],
                            "data_sha256": sha,
                        }
                        for side, rate in timing.rates.items()
                    ]
                )


@contextmanager
def _encoder_for_bench(encoder: str, shape: str | None, precision: str):
    """What an encoder is called, and where all sides of a bench read it from."""
    if precision not in PRECISIONS:
        raise UserError(f"--precision is {precision!r}: choose from {', '.join(PRECISIONS)}")
    if shape is None:
        yield Path(encoder).name, encoder
        return
    if shape not in SHAPES:
        raise UserError(f"--shape is {shape!r}: choose from {', '.join(SHAPES)}")
    with TemporaryDirectory() as folder:
        yield shape, str(random_encoder(shape, Path(folder)))


def _all_on(device: torch.device) -> Execution:
    """On a GPU all that makes steps cheaper there."""
    gpu = device.type == "cuda"
    return Execution(compile=gpu, cuda_graphs=gpu)


def _enough(steps: int | None, device: torch.device, otherwise: int) -> int:
    """On a GPU, where a step is over in milliseconds, it takes more of them to see a difference."""
    return steps or (_STEPS_ON_GPU if device.type == "cuda" else otherwise)


def _mixed_rows(batch: str) -> dict[str, int]:
    """Rows of each task in a mixed step, from such as "8,32,8"."""
    sizes = batch.split(",")
    if len(sizes) != 3 or not all(size.strip().isdigit() and int(size) for size in sizes):
        raise UserError(f"--batch is {batch!r}: give three whole numbers, such as 8,32,8")
    return dict(zip(("sst", "quora", "sts"), map(int, sizes), strict=True))
