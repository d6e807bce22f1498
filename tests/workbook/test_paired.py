"""Recorded runs compared within each seed."""

import math

import pandas as pd
import pytest
import torch

from mtbert.optim import pcgrad
from mtbert.workbook.paired import paired_differences, recorded_differences
from mtbert.workbook.reference import pareto_curve, pcgrad_on_vectors


def runs(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["recipe", "seed", "sst"])


def test_differences_are_taken_within_a_seed_and_p_values_are_adjusted_for_all_rows():
    table = runs(
        *[("a", s, 0.5 + s) for s in range(3)], *[("b", s, 0.5 + s + d) for s, d in enumerate((0.1, 0.2, 0.3))]
    )
    table = pd.concat([table, runs(*[("c", s, 0.5 + s + d) for s, d in enumerate((0.1, -0.1, 0.0))])])
    b, c = paired_differences(table, "a", ["b", "c"], ["sst"]).itertuples()
    assert (b.seeds, b.mean, b.half) == (3, pytest.approx(0.2), pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3))
    assert b.holm == pytest.approx(2 * b.p) and c.p == pytest.approx(1) and c.holm == pytest.approx(1)


def test_a_single_common_seed_gives_no_row():
    assert paired_differences(runs(("a", 0, 0.5), ("b", 0, 0.6), ("b", 1, 0.6)), "a", ["b"], ["sst"]).empty


def test_recorded_runs_are_compared_at_the_steps_of_the_newest_baseline():
    table = recorded_differences("surgery", {"mixed-plain": "sum", "mixed-pcgrad": "PCGrad"}, ["quora", "plain"])
    assert table.method.tolist() == ["PCGrad"] * 2 and table.steps.tolist() == [300] * 2
    assert table.metric.tolist() == ["quora", "plain mean"]
    assert table.verdict.tolist() == ["differs" if p < 0.05 else "undecided" for p in table.holm]


def test_on_the_pareto_curve_the_gradients_are_opposite():
    centers, curvatures = torch.tensor([[-1.5, -0.5], [1.5, 0.5]]), torch.tensor([[0.3, 1.5], [2.0, 0.3]])
    curve = pareto_curve(centers, curvatures)
    torch.testing.assert_close(curve[[0, -1]], centers)
    first, second = (curvature * (curve[1:-1] - center) for curvature, center in zip(curvatures, centers, strict=True))
    torch.testing.assert_close(torch.cosine_similarity(first, second), -torch.ones(99))


def test_pcgrad_on_two_vectors_is_that_on_their_gramian():
    gradients = torch.tensor([[3.0, 1.0], [-1.0, 0.5]])
    step = pcgrad_on_vectors(gradients, [[1], [0]]).sum(0)
    torch.testing.assert_close(pcgrad(gradients @ gradients.T) @ gradients, step)
