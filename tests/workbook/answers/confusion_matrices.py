"""Answers to the exercises of notebook 10: usual mistakes by the property that they break."""

import torch
import torch.nn.functional as F
from scipy import stats
from workbook.exercises import edited, solutions

matrix, scores, from_figures, precision_recall, temperature, compare = solutions("confusion_matrices").values()


def as_many_as_occur(labels, predicted, classes):
    return matrix(labels, predicted, int(max(labels.max(), predicted.max())) + 1)


def assigned_not_added(labels, predicted, classes):
    counts = torch.zeros(classes, classes)
    counts[labels, predicted] += 1  # a pair that occurs twice is counted once
    return counts


def with_ties(probabilities, labels, thresholds):
    return precision_recall(probabilities + 1e-4, labels, thresholds)


def plain_mean(counts):
    precision, recall, _ = scores(counts)
    return torch.stack([precision, recall, (precision + recall) / 2])


def by_gradient(logits, labels):
    """An unusual right answer: steps on the logarithm of the temperature."""
    scale = logits.abs().mean()
    log_temperature = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        entropy = F.cross_entropy(logits / scale / log_temperature.exp(), labels)
        entropy.backward()
        return entropy

    optimizer.step(loss)
    return scale * log_temperature.exp().item()


def from_a_list(logits, labels):
    return min((0.7, 1.0, 1.4), key=lambda t: F.cross_entropy(logits / t, labels))


def on_counts(labels, first, second, draws, generator):
    """An unusual right answer: a drawn set of rows is a drawn set of counts."""
    gain = (second == labels).long() - (first == labels).long()
    shares = torch.stack([(gain == sign).double().mean() for sign in (-1, 0, 1)])
    drawn = torch.multinomial(shares, draws * len(gain), replacement=True, generator=generator) - 1
    low, high = drawn.view(draws, -1).double().mean(1).quantile(torch.tensor([0.025, 0.975]).double())
    wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
    p = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return gain.double().mean(), low, high, p


APART = [  # names for the two terms, so that each can be drawn on its own
    "(second == labels).double() => (one := (second == labels).double())",
    "(first == labels).double() => (other := (first == labels).double())",
]
RIGHT = {
    "scores": [lambda m: tuple(scores(m))],
    "temperature": [by_gradient, lambda logits, labels: torch.tensor([temperature(logits, labels)])],
    "compare": [on_counts],
}
WRONG = {
    "matrix": [
        ("every class", as_many_as_occur),
        ("every row once", assigned_not_added),
        ("the diagonal", lambda t, p, n: matrix(torch.zeros_like(t), p, n)),
        ("rows are the truth", lambda t, p, n: matrix(p, t, n)),
    ],
    "scores": [
        ("first precision", lambda m: scores(m.T)),
        ("then recall", lambda m: scores(m)[[0, 0, 2]]),
        ("harmonic mean", plain_mean),
        (
            "never predicted",
            lambda m: torch.stack(
                [m.diagonal() / m.sum(0), m.diagonal() / m.sum(1), 2 * m.diagonal() / (m.sum(0) + m.sum(1))]
            ),
        ),
        ("without rows", lambda m: scores(m) + (m.sum(1) == 0)),
    ],
    "from_figures": [
        ("plain mean", lambda a, r, s: (a, a)),
        ("weighted", lambda a, r, s: (r, r)),
        ("class 0 comes first", lambda a, r, s: from_figures(a, r, s)[::-1]),
    ],
    "precision_recall": [("at 0", lambda c, y, t: precision_recall(c, y, t).flip(1)), ("exactly on", with_ties)],
    "temperature": [
        ("step 1", lambda logits, labels: -1.0),
        ("step 2", edited(temperature, "return (low * high) ** 0.5 => return 2 * (low * high) ** 0.5")),
        (
            "step 3: is above",
            edited(temperature, "logits.double() / left => logits.double() * left", "/ right => * right"),
        ),
        ("step 3: logits", from_a_list),
        ("step 4", edited(temperature, "return (low => return 1.04 * (low")),
        ("step 5", edited(temperature, "low, high = 1e-4, 1e4 => low, high = 0.01, 100.0")),
        ("step 5", edited(temperature, "logits.double() => logits.double().exp().log()")),
    ],
    "compare": [
        ("step 1", lambda labels, first, second, *rest: compare(labels, second, first, *rest)),
        ("step 2: p", edited(compare, "min(1.0, 2 * => min(1.0, ")),
        ("step 2: p", edited(compare, "wins + losses => len(gain)")),
        (
            "step 2: p is 1",
            edited(compare, "min(1.0, 2 * ways / 2 ** (wins + losses)) => 2 * ways / 2 ** (wins + losses)"),
        ),
        ("step 3", edited(compare, "[0.025, 0.975] => [0.975, 0.025]")),
        ("step 4", edited(compare, "[0.025, 0.975] => [0.05, 0.95]")),
        ("step 4", edited(compare, "gain[drawn].mean(1) => gain[drawn[:, :60]].mean(1)")),
        ("step 4", edited(compare, "gain[drawn].mean(1) => (one[drawn] - other[drawn.flip(0)]).mean(1)", *APART)),
        ("step 5", edited(compare, "generator=generator => ")),
        ("step 5", edited(compare, "generator=generator => generator=torch.Generator().manual_seed(0)")),
    ],
}
