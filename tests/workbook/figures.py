"""An example of every figure: the arguments of every drawing function."""

import math
from importlib import import_module

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mtbert.data.sampling import SAMPLERS
from mtbert.experiments import report_tables
from mtbert.nn import ADAPTERS, BertConfig
from mtbert.nn.flops import DeviceSpec
from mtbert.workbook.plots.adamw import Surface

RNG = np.random.default_rng(0)
WORDS, WEIGHTS = ["tea", "is", "hot"], RNG.dirichlet(np.ones(3), size=3)
HISTORY = pd.DataFrame({"epoch": [1, 2], "loss sst": [1.5, 1.2], "sst": [0.4, 0.5], "plain": [0.4, 0.5]})
AGAINST = pd.DataFrame(
    {"row": ["one", "one", "two"], "source": ["a", "b", "a"], "mean": [0.5, 0.6, 0.7], "half": [0.02, np.nan, 0.01]}
)
TRUNCATION = pd.DataFrame({"max_length": [64, 128], "accuracy": [0.6, 0.7], "cut": [0.9, 0.4]})
COSTS = pd.DataFrame({"notebook": ["01_a", "02_b"], "cpu_seconds": [10.0, 20.0], "peak_memory_mb": [500, 1500]})
WALK = torch.tensor([[-1.5, 0.5], [-0.5, 0.2], [0.0, 0.0]])
BOWL = Surface(lambda x: x.square().sum(-1), (-2, 1, -1, 1))
LOSSES = [lambda x: (x**2).sum(-1), lambda x: ((x - 0.5) ** 2).sum(-1)]
METHODS = pd.DataFrame(
    [("pcgrad", "sst", 0.01, 0.02), ("pcgrad", "sts", -0.01, np.nan), ("gradvac", "sst", 0.0, 0.01)],
    columns=["method", "metric", "mean", "half"],
)
TRADE = pd.DataFrame(
    {"trainable": [10, 1000, 0], "error": [0.02, 0.03, 0], "mean": [0.4, 0.6, 0.3]},
    index=["a", "b", "constant prediction"],
)
SWAPS = pd.DataFrame(
    [("sst", "sst", 0.1, 0.05, 0.15), ("sst", "sts", 0.0, -0.05, 0.05), ("sts", "sts", 0.2, 0.1, 0.3)],
    columns=["task", "adapter", "difference", "low", "high"],
)
PRINTED = pd.DataFrame({"sst": [0.01, -0.02], "sts": [0.1, 0.0]}, index=["pal", "low-rank"])
LABELS = np.array([0.0, 0.4, 1.0, 2.6, 3.4, 4.4, 4.6, 5.0])
PREDICTED = RNG.uniform(0, 5, 8)
RUNS = pd.DataFrame(
    {
        "seed": [0, 0, 1, 1],
        "step": [5, 10, 5, 10],
        "epoch": [1, 2, 1, 2],
        "score": [0.4, 0.3, 0.5, 0.4],
        "loss": [1.0, 0.5, 1.2, 0.7],
    }
)
ROWS_READ = pd.DataFrame(
    [
        ("sst", 600, 0.3, 0, False),
        ("sst", 2400, 0.4, 1, True),
        ("sts", 500, 0.8, 0, False),
        ("sts", 2400, 0.9, 1, True),
    ],
    columns=["task", "rows", "score", "seed", "shared"],
)
DIFFERENCES = pd.DataFrame(
    [("a", 0, "sst", 0.1), ("a", 1, "sst", 0.05), ("b", 0, "sst", -0.1), ("b", 1, "sst", 0.0)],
    columns=["recipe", "seed", "metric", "difference"],
)
EPOCHS = pd.DataFrame({"sst": [3, 4], "quora": [5, 4]})
MATRIX = np.array([[8, 2], [3, 1]])
THRESHOLDS = pd.DataFrame(
    [(0.2, 1, 9, 0, 6, 0.4, 1, 0.44), (0.5, 5, 5, 2, 4, 0.44, 0.67, 0.56), (0.8, 9, 1, 4, 2, 0.67, 0.33, 0.69)],
    columns=["threshold", "tn", "fp", "fn", "tp", "precision", "recall", "accuracy"],
)
RELIABILITY = pd.DataFrame({"confidence": [0.15, 0.5, 0.9], "true": [0.5, 0.4, 1.0], "rows": [20, 2, 10]})
INTERVALS = pd.DataFrame({"name": ["a", "b"], "difference": [0.1, -0.2], "low": [0.0, -0.5], "high": [0.3, -0.1]})
CLAIMS = pd.DataFrame(
    [
        ("Yin", "pooling", "a", "sst", 0.004, 0.03, 0.01, 0.05, "holds"),
        ("Li & Tang", "surgery", "b", "overall", -0.3, math.nan, math.nan, math.nan, "not measured"),
        ("Yin", "pooling", "c", "sts", 0.001, -0.7, -0.8, -0.6, "contradicted"),
        ("Yin", "surgery", "d", "sts", 0.001, 0.02, math.nan, math.nan, "undecided"),
    ],
    columns=["report", "topic", "claim", "metric", "printed", "difference", "low", "high", "verdict"],
)
CHECKED = pd.DataFrame(
    [(0, 0, True, False, False, False), (0, 1, True, True, False, True), (1, 0, False, True, True, True)],
    columns=["study", "claim", "covered", "covered_by_rows", "false", "false_uncorrected"],
)
REGIONS = [(0, math.inf), (-math.inf, 0), (-0.01, 0.01), (-math.inf, 0.01)]
SEEDS = pd.DataFrame(
    [
        ("x/c", 0, 0.1),
        ("x/c", 1, 0.1),
        ("x/a", 0, 0.3),
        ("x/a", 1, 0.5),
        ("x/b", 0, 0.9),
        ("y/a", 0, 0.1),
        ("y/a", 1, 0.2),
    ],
    columns=["recipe", "seed", "sts"],
)
PLAN = pd.DataFrame(
    {"direction": ["better", "alike", "worse"], "printed": [0.2, 0.01, -0.03], "power": [0.9, 0.05, np.nan]}
)
LADDER = pd.DataFrame(
    {"speedup": [1.0, 2.0], "gain": [1.0, 2.0], "low": [1.0, 1.8], "high": [1.0, 2.3]}, index=["first", "second"]
)

EXAMPLES = {
    "runs.fill": ({"sst": 0.4, "sts": 0.8},),
    "runs.agreement": (PREDICTED, LABELS, "Agreement", "cosine"),
    "runs.bars": ({"one": 0.5, "two": -0.1}, "Bars", "accuracy", "sst", {"one": 0.02, "two": 0.05}),
    "runs.plan": ({"mixed": SAMPLERS["mixed"]({"sst": 8, "sts": 8}, {"sst": 4, "sts": 4})}, 2),
    "runs.compare": ({"one": {"sst": 0.4, "sts": -0.1}, "two": {"sst": 0.5}}, "Compare", {"one": {"sts": 0.05}}),
    "runs.learning_curves": (HISTORY, ["sst"], {"sst": 0.03}),
    "runs.probabilities": ([0.2, 0.8], ["no", "yes"], "Classes"),
    "multitask.architecture": (),
    "multitask.cross_and_bi": (),
    "start.road": (),
    "start.costs": (COSTS,),
    "attention.arrows": (RNG.random((3, 2)), WORDS, ("hot", "wet"), "Arrows"),
    "attention.projections": (4, 2),
    "attention.split_and_merge": (3, 2, 2),
    "attention.scaling": ([4, 16], {"std": {"measured": [2, 4]}, "weight": {"scaled": [0.1, 0.2]}}, ("std",)),
    "attention.blocks": (np.eye(3, dtype=bool), WORDS, "Blocks"),
    "attention.cost": ([32, 64, 128], {"counted": [0.1, 0.2, 0.3], "measured": [0.1, 0.3, 0.5]}, "Cost"),
    "attention.maps": ({"head 0.0": WEIGHTS, "head 0.1": WEIGHTS}, WORDS),
    "attention.scores": ({"trained": RNG.random((2, 4))}, "weight one back"),
    "transformer_layer.scales": ({"0.1": [1, 0.5, 0.25]}, {"0.1": [1, 1, 1]}),
    "transformer_layer.residuals": ({"small": ({"a": [1e-3, 1], "b": [1, 1]}, {"a": [0, 0.9], "b": [0, 0.1]})},),
    "transformer_layer.embeddings": (["[CLS]", "a", "film"], [101, 1037, 2143], [0, 0, 0]),
    "transformer_layer.token_boxes": (["[CLS]", "un", "##watch"], [101, 4895, 18866]),
    "transformer_layer.pretraining": ([0, 100], {"dev": [6.8, 5.0]}, {"guess": 6.8, "frequencies": 5.6}),
    "transformer_layer.gelu": (),
    "transformer_layer.block": (8, 32),
    "transformer_layer.parameters": ({"one": {"words": 2_000_000, "layers": 5_000_000}},),
    "transformer_layer.probes": ({"[CLS]": {"a": [0.25, 0.5]}, "mean": {"a": [0.5, 0.5]}}, 100, 0.3),
    "transformer_layer.senses": (
        torch.tensor(RNG.random((2, 3))),
        torch.tensor([True, False, False]),
        torch.ones(2, 3),
    ),
    "transformer_layer.token_cosines": ({"layer 0": torch.eye(2), "layer 3": torch.eye(2)}, ["[CLS]", "film"]),
    "adamw.walks": (BOWL, {"one": {"SGD": WALK}, "two": {"SGD": WALK / 2, "Adam": WALK}}),
    "adamw.race": (BOWL, {"SGD": WALK, "Adam": WALK / 2}, "Race"),
    "adamw.decay": (torch.tensor([0.1, 1.0]), {"AdamW": torch.rand(2, 9)}, {"AdamW": torch.tensor([0.5, 0.4])}),
    "adamw.gradients_by_depth": ([2, 4], {"post": [[0.4, 0.5], [0.5, 0.6]], "pre": [[0.4, 0.5], [0.2, 0.3]]}),
    "adamw.lines": ({"a": [1.0, 10.0], "AdamW": [3.0, 4.0]}, "Lines", ("x", "y"), [0.1, 10], ("log", "linear")),
    "adamw.sweep": ({"SGD": {0.1: [2.0, 1.8], 1.0: [2.0, math.inf]}, "AdamW": {0.1: [2.0, 1.0]}}, 1, 1.5),
    "single_task.classes": ([0, 1, 1, 2], ["a", "b", "c"], "Classes"),
    "single_task.lengths": ({"sst": [3, 9], "cfimdb": [100, 600]}, 512),
    "single_task.smallest_difference": (0.5, 0.25),
    "single_task.learning_rates": ({"one": {1e-3: 0.4, 1e-2: 0.5}}, {"other": 0.3}, 100),
    "single_task.curves": ({"one": HISTORY, "other": HISTORY}, "sst", 0.3, 100),
    "single_task.distances": ([0, 4, 2], [1, 4, 2], 5),
    "single_task.truncation": (TRUNCATION, 60),
    "single_task.against_reports": (AGAINST, "Against"),
    "surgery.walks": (LOSSES, {"sum": [WALK], "PCGrad": [WALK / 2]}, torch.tensor([[0.0, 0.0], [0.5, 0.5]])),
    "surgery.targets": ([0.1, 0.2], {"slow": [0.0, 0.1], "fast": [0.1, 0.2]}, "Targets"),
    "surgery.over_steps": ({"a-b": [0.1, -0.1, 0.2, -0.4, 0.3, 0.2], "a-c": [0.1] * 6},),
    "surgery.conflicts": ({"a-b": 3, "a-c": 9}, 12),
    "surgery.strips": ({"one": {"a": [0.1, 0.3], "b": [0.0]}, "two": {"c": [-0.2]}}, "cosine", "Strips"),
    "surgery.gramian": ([[1.0, 0.0], [-0.5, 1.0]], [1.0, 1.5], "Gramian"),
    "surgery.differences": (METHODS, {"report": {"sst": 0.003}}, "Differences"),
    "pals.places": (list(ADAPTERS), "Where"),
    "pals.losses": ({"one": [1.0, 0.5], "two": [1.0, 0.1]}, 0.4),
    "pals.growth": ([2, 4], {"pal": [10, 40], "top": [30, 30]}, (3, 30)),
    "pals.trade": (TRADE, "mean"),
    "pals.swaps": (SWAPS,),
    "pals.differences": (PRINTED, PRINTED / 2, {"sst": (0.01, 0.03), "sts": (0.1, 0.1)}, "Differences"),
    "sts_heads.angles": (30, 100, {"cosine": 1.7, "linear": -0.3}),
    "sts_heads.mappings": ({"half": lambda c: c / 2, "relu": torch.relu}, torch.linspace(-1, 1, 9), "Maps"),
    "sts_heads.against_labels": ({"one": PREDICTED, "two": PREDICTED / 2}, LABELS),
    "sts_heads.by_label": ({"one": PREDICTED, "two": PREDICTED / 2}, LABELS, "Cosines"),
    "sts_heads.over_radius": ([0.1, 1.0], {"adversarial": [1e-3, 1.0], "random": [1e-5, 0.1]}, "Moves"),
    "sts_heads.in_batch": (RNG.uniform(size=(3, 3)), "All against all"),
    "data_strategies.temperature": ({"sst": 100, "quora": 900}, 10, 2.0, 40),
    "data_strategies.steps_by_epoch": ({"by_rows": EPOCHS, "even": EPOCHS}, 2),
    "data_strategies.draws": ({"sst": [3, 4], "quora": [6, 5]}, {"sst": 3, "quora": 6}, "Draws"),
    "data_strategies.by_temperature": (
        pd.DataFrame({"temperature": ["1", "1", "5", "5"], "sst": [0.3, 0.4, 0.4, 0.6], "plain": [0.5, 0.5, 0.6, 0.7]}),
        "Temperatures",
    ),
    "data_strategies.stages": (
        *({"one": RUNS, "other": RUNS}, "sst", [(0, 5, "SST"), (5, 10, "Quora")]),
        *(0.25, 100, "Stages"),
    ),
    "data_strategies.passes": ({"few rows": RUNS}, 100, "Training"),
    "data_strategies.rows_read": (ROWS_READ, {"sst": 0.02, "sts": 0.01}, {"sst": 0.26, "sts": 0.0}),
    "data_strategies.differences": (DIFFERENCES, {"sst": 0.04}, "Differences"),
    "confusion_matrices.matrices": ({"ours": MATRIX, "theirs": MATRIX.T}, ["no", "yes"]),
    "confusion_matrices.two_ways": (MATRIX, ["no", "yes"]),
    "confusion_matrices.distances": ({"a": [5, 5, 0], "b": [2, 3, 5]}, "Distances"),
    "confusion_matrices.thresholds": (THRESHOLDS, 0.5),
    "confusion_matrices.reliability": ({"Claims": {"ours": RELIABILITY}, "Pairs": {"theirs": RELIABILITY}},),
    "confusion_matrices.intervals": (INTERVALS, "Differences", "accuracy"),
    "reports.by_epoch": (
        {"SST": {"train": [0.3, 0.5], "dev": [0.3, np.nan]}, "STS": {"dev": [0.1, 0.2]}},
        "score",
        "Curves",
    ),
    "reports.forest": (CLAIMS, REGIONS, "All"),
    "reports.definitions": (report_tables.read_tables(), "Definitions"),
    "reports.seeds": (SEEDS, ["sts"], "Seeds"),
    "reports.power": (PLAN, 0.8, "Power"),
    "reports.beside": (PRINTED.abs(), PRINTED.abs() * math.nan, "Beside"),
    "reports.simulated": ({"no effect": CHECKED}, "Simulated"),
    "reports.alarms": ({"alone": [0, 1, 1, 3], "holm": [0, 0, 0, 1]}, "Alarms"),
    "throughput.roofline": (DeviceSpec(peak_flops=8e9, bandwidth=2e9), {"a": (0.5, 1e9), "b": (40.0, 7e9)}),
    "throughput.shares": ({"here": {"a": 1.0, "b": 3.0}, "there": {"a": 1.0, "b": 1.0}}, "Shares"),
    "throughput.padding": ([[3, 1], [2, 4]], BertConfig(num_hidden_layers=1), "Padding"),
    "throughput.fills": (pd.DataFrame({"random": [0.4], "packed": [1.0]}, index=["sst"]), "Fills"),
    "throughput.chunks": ([2**20, 2**22], {"float32": [0.5, 0.9]}),
    "throughput.ladder": (LADDER, "Ladder"),
    "throughput.ratios": ({"itself": [0.9, 1.0, 1.2], "other": [2.0, 2.2, 1.9]}, "Ratios"),
}


def draw(name: str, *arguments, **options) -> Figure:
    """The figure of ``module.function`` for these arguments, or for its examples."""
    module, function = name.split(".")
    call = getattr(import_module(f"mtbert.workbook.plots.{module}"), function)
    return call(*(arguments or EXAMPLES[name]), **options)
