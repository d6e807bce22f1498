"""Li & Tang: sequential against mixed training, gradient surgery, dropout, Yelp stars as an auxiliary task.

The heads are linear and read CLS vectors, pairs are cross-encoded, and the learning rate is 1e-5. Mixed training takes
2, 24 and 2 rows of SST, Quora and STS in every step. In sequential training each task has its own optimizer and its own
learning rate decay; the report does not say which decay, and in all our recipes the learning rate is constant. Their
Yelp set has 500 reviews for each number of stars; a yelp-train.csv should be drawn in the same way. Surgery with the
auxiliary task was tried in two forms, whose dropout is not said: we take .3. Their first try with a cosine trained
nothing but what turns it into an answer, which they do not describe: ours learns a factor and an offset.
"""

from mtbert.experiments.recipes.entry import COURSE, Entry

_BASE = COURSE.replace(encoding="cross", head="linear", batch_size={"sst": 2, "quora": 24, "sts": 2})
_YELP = {"tasks": ("sst", "quora", "sts", "yelp"), "batch_size": {"yelp": 2}}
_ORDER = ("quora", "sst", "sts")

ROWS: dict[str, Entry] = {
    "pretrain": Entry(_BASE.replace(trainable="heads", lr=1e-3, batch_size=32), "only the heads, frozen encoder"),
    "seq": Entry(
        _BASE.replace(sampler="sequential", tasks=_ORDER, batch_size=32, optimizer_state="per_task"),
        "one task after the other, with an optimizer each",
    ),
    "mix-0.3": Entry(_BASE, "a batch of each task in every step, dropout .3"),
    "mix-0.5": Entry(_BASE.replace(head_dropout=0.5), "the same with dropout .5"),
    "mix-surgery-0.3": Entry(_BASE.replace(surgery="pcgrad"), "with gradient surgery (PCGrad), dropout .3"),
    "mix-surgery-0.5": Entry(_BASE.replace(surgery="pcgrad", head_dropout=0.5), "the same with dropout .5"),
    "mix-aux-0.3": Entry(_BASE.replace(**_YELP), "with Yelp stars as a fourth, auxiliary task, dropout .3"),
    "mix-aux-0.5": Entry(_BASE.replace(**_YELP, head_dropout=0.5), "the same with dropout .5"),
    "mix-aux-surgery": Entry(_BASE.replace(**_YELP, surgery="pcgrad"), "surgery on the gradients of all four tasks"),
    "mix-aux-surgery-groups": Entry(
        _BASE.replace(**_YELP, surgery="pcgrad", surgery_groups="main_and_auxiliary"),
        "surgery on two gradients: the three tasks' sum, and the auxiliary task's",
    ),
    "cosine-pretrain": Entry(
        _BASE.replace(
            tasks=("quora",), encoding="bi", head="cosine", pooling="mean", trainable="heads", lr=1e-3, batch_size=32
        ),
        "paraphrase by the cosine of mean-pooled vectors, frozen encoder: a first try",
    ),
}
