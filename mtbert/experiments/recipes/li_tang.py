"""Li & Tang: sequential against mixed training, gradient surgery, dropout, Yelp stars as an auxiliary task.

CLS vectors, cross-encoded pairs, linear heads, a rate of 1e-5; batches of 2, 24 and 2 when mixed. When trained one
after the other, each task has an optimiser and a decay of the rate of its own; what kind of decay is not said, and here
the rate is constant in all rows.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

_BASE = Recipe(
    encoder="bert-base-uncased",
    encoding="cross",
    head="linear",
    pooling="cls",
    overlap="drop",
    epochs=10,
    lr=1e-5,
    lr_schedule="constant",
    warmup_ratio=0,
    max_grad_norm=0,
    head_dropout=0.3,
    batch_size={"sst": 2, "quora": 24, "sts": 2},
)
_ORDER = ("quora", "sst", "sts")

ROWS: dict[str, Entry] = {
    "pretrain": Entry(_BASE.replace(trainable="heads", lr=1e-3, batch_size=32), "heads alone on a frozen encoder"),
    "seq": Entry(
        _BASE.replace(sampler="sequential", tasks=_ORDER, batch_size=32, optimizer_state="per_task"),
        "the tasks one after the other in every epoch, an optimiser for each",
    ),
    "mix-0.3": Entry(_BASE, "a batch of each task in every step"),
    "mix-0.5": Entry(_BASE.replace(head_dropout=0.5), "the same with dropout .5"),
    "mix-surgery-0.3": Entry(_BASE.replace(surgery="pcgrad"), "with gradient surgery"),
    "mix-surgery-0.5": Entry(_BASE.replace(surgery="pcgrad", head_dropout=0.5), "with gradient surgery and dropout .5"),
    "mix-aux-0.3": Entry(
        _BASE.replace(tasks=("sst", "quora", "sts", "yelp"), batch_size={"yelp": 2}),
        "with Yelp stars as a fourth, auxiliary task",
    ),
    "mix-aux-0.5": Entry(
        _BASE.replace(tasks=("sst", "quora", "sts", "yelp"), batch_size={"yelp": 2}, head_dropout=0.5),
        "the same with dropout .5",
    ),
}
