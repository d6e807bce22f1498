"""Heads: what each computes, and that it learns."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.data.batch import pack_sequences
from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.heads import HEADS, TokenVectors, build_head
from mtbert.nn.losses import task_loss
from mtbert.optim import AdamW
from mtbert.utils.errors import UserError

WIDTH, ROWS = 12, 20
# every head on every task that it serves
SERVED = [
    (name, task)
    for name, spec in HEADS.items()
    for task in TASKS.values()
    if (spec.encoding == "cross" or task.is_pair) and task.kind in spec.kinds
]
named = pytest.mark.parametrize(("name", "task"), SERVED, ids=[f"{name}-{task.name}" for name, task in SERVED])
LENGTHS = [1 + row % 4 for row in range(ROWS)]  # of the sequences that a head on tokens gets


def vectors_and_labels(name: str, task, seed: int = 0):
    torch.manual_seed(seed)
    shapes = {
        "vector": (ROWS, WIDTH),
        "pair": (ROWS, 2, WIDTH),
        "both": (ROWS, 3, WIDTH),
        "tokens": (sum(LENGTHS), WIDTH),
    }
    shape = shapes[HEADS[name].input_kind]
    return torch.randn(shape), torch.randint(0, task.labels, (ROWS,)).float()


def inputs_for(name: str, vectors: torch.Tensor, rows: slice = slice(None)):
    """What a head of that name gets for some rows."""
    if HEADS[name].input_kind != "tokens":
        return vectors[rows]
    batch = pack_sequences([[0] * length for length in LENGTHS])
    return TokenVectors(vectors[batch.token_slice(rows)], batch.select(rows))


def pair(*cosines: float) -> torch.Tensor:
    """Pairs of plane vectors, not of unit length, with these cosines: (rows, 2, 2)."""
    return torch.tensor([[[2.0, 0.0], [3 * c, 3 * math.sqrt(1 - c * c)]] for c in cosines])


@named
def test_a_head_gives_its_tasks_outputs_and_rows_do_not_mix(name, task):
    vectors, _ = vectors_and_labels(name, task)
    head = build_head(name, task, WIDTH).eval()
    logits = head(inputs_for(name, vectors))
    assert logits.shape == (ROWS, {"sst": 5, "yelp": 5, "cfimdb": 2}.get(task.name, 1))
    torch.testing.assert_close(logits[3:4], head(inputs_for(name, vectors, slice(3, 4))), rtol=0, atol=1e-6)


@named
def test_a_head_and_the_vectors_under_it_learn(name, task):
    """The vectors take part, as the encoder's do: a cosine head on a score has no weights of its own."""
    vectors, labels = vectors_and_labels(name, task)
    vectors.requires_grad_()
    head = build_head(name, task, WIDTH)
    optimizer = AdamW([vectors, *head.parameters()], lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = task_loss(task, head(inputs_for(name, vectors)), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@pytest.mark.parametrize("name", [name for name in HEADS if not name.startswith(("cosine", "dot"))])
def test_a_head_with_weights_drops_its_inputs_in_training_only(name):
    task = get_task("sts")
    vectors, _ = vectors_and_labels(name, task)
    head, inputs = build_head(name, task, WIDTH, p=0.5), inputs_for(name, vectors)
    assert not torch.equal(head(inputs), head(inputs))
    head.eval()
    assert torch.equal(head(inputs), head(inputs))


@pytest.mark.parametrize(("name", "expected"), [("cosine", [5, 4, 0, 0, 0]), ("cosine_shifted", [5, 4.5, 2.5, 1, 0])])
def test_the_cosine_of_a_score_is_scaled_to_five(name, expected):
    head = build_head(name, get_task("sts"), 2)
    scores = head(pair(1.0, 0.8, 0.0, -0.6, -1.0)).squeeze(1)
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-5)
    assert not list(head.parameters())


@pytest.mark.parametrize("name", ["cosine", "cosine_shifted"])
def test_the_cosine_of_a_binary_task_is_a_learned_logit_undecided_at_one_half(name):
    head = build_head(name, get_task("quora"), 2)
    expected = torch.tensor([[5.0], [0.0], [-11.0]])
    torch.testing.assert_close(head(pair(1.0, 0.5, -0.6)), expected, rtol=0, atol=1e-5)
    assert sum(parameter.numel() for parameter in head.parameters()) == 2


def test_the_cosine_of_a_two_layer_head_is_taken_between_its_outputs_and_may_be_negative():
    torch.manual_seed(3)
    head, vectors = build_head("cosine_two_layer", TASKS["sts"], WIDTH).eval(), torch.randn(40, 2, WIDTH)
    u, v = (head.network(side) for side in vectors.unbind(1))
    expected = 5 * (u * v).sum(1) / u.norm(dim=1) / v.norm(dim=1)
    torch.testing.assert_close(head(vectors)[:, 0], expected)
    assert expected.min() < 0


@pytest.mark.parametrize("task", ["sts", "quora"])
def test_the_vector_of_a_whole_pair_corrects_the_cosine_of_its_sentences(task):
    head, vectors = build_head("cosine_and_cross", TASKS[task], WIDTH), torch.randn(40, 3, WIDTH)
    correction = vectors[:, 2] @ head.correction.dense.weight[0]  # its bias starts at 0
    expected = build_head("cosine", TASKS[task], WIDTH)(vectors[:, :2])[:, 0] + correction
    torch.testing.assert_close(head.eval()(vectors)[:, 0], expected)
    assert correction.abs().max() < 1  # so training starts about where the cosine alone does


def test_a_cosine_with_a_zero_vector_is_no_nan():
    vectors = torch.stack([torch.zeros(3, WIDTH), torch.randn(3, WIDTH)], dim=1).requires_grad_()
    outputs = build_head("cosine_shifted", get_task("sts"), WIDTH)(vectors)
    outputs.sum().backward()
    assert outputs.isfinite().all() and vectors.grad.isfinite().all()


def test_features_of_a_pair_are_u_v_and_their_distance():
    vectors = torch.tensor([[[1.0, 2.0], [4.0, -2.0]]])
    for name, expected in (("concat", [[1, 2, 4, -2]]), ("concat_diff", [[1, 2, 4, -2, 3, 4]])):
        assert HEADS[name].build(get_task("sts"), 2, 0.0).features(vectors).tolist() == expected


@pytest.mark.parametrize("name", ["linear", "two_layer", "concat_diff_two_layer"])
def test_a_score_starts_at_the_middle_of_its_scale_other_biases_at_zero_and_weights_as_berts(name):
    for task in ("sts", "quora"):
        parameters = dict(build_head(name, get_task(task), 200).named_parameters())
        *others, last = [parameter for key, parameter in parameters.items() if key.endswith("bias")]
        assert last.tolist() == [2.5 if task == "sts" else 0] and not any(bias.any() for bias in others)
        for key, parameter in parameters.items():
            if key.endswith("weight"):
                assert parameter.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("name", ["linear_sigmoid", "two_layer_relu", "concat_sigmoid"])
def test_a_sigmoid_score_starts_at_the_middle_and_stays_on_its_scale(name):
    head = build_head(name, get_task("sts"), WIDTH).eval()
    vectors, _ = vectors_and_labels(name, get_task("sts"))
    torch.testing.assert_close(head(0 * vectors), torch.full((ROWS, 1), 2.5))
    assert 0 <= head(1000 * vectors).min() < 1 and 4 < head(1000 * vectors).max() <= 5


def test_the_relu_head_is_two_layers_with_a_relu():
    head = build_head("two_layer_relu", get_task("quora"), WIDTH).double().eval()
    vectors = torch.randn(ROWS, WIDTH, dtype=torch.float64)
    hidden = (vectors @ head.first.weight.T + head.first.bias).clamp(min=0)
    torch.testing.assert_close(head(vectors), hidden @ head.second.weight.T + head.second.bias)


def test_the_dot_product_is_scaled_by_the_root_of_the_width():
    vectors = torch.tensor([[[1.0, 2, 3, 4], [1, 1, 0, 2]]])
    assert build_head("dot", get_task("sts"), 4)(vectors).item() == pytest.approx(11 / 2)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_convolution_is_that_of_each_sequence_alone(lengths, seed):
    torch.manual_seed(seed)
    head = build_head("convolution", get_task("sst"), WIDTH).double().eval()
    hidden = torch.randn(sum(lengths), WIDTH, dtype=torch.float64)
    kernel = head.dense.weight.view(5, 3, WIDTH).transpose(1, 2)  # (classes, width, kernel)
    expected = [
        F.conv1d(part.T[None], kernel, head.dense.bias, padding=1)[0].max(1).values for part in hidden.split(lengths)
    ]
    logits = head(TokenVectors(hidden, pack_sequences([[0] * length for length in lengths])))
    torch.testing.assert_close(logits, torch.stack(expected))


def test_unknown_and_unfit_heads_are_refused():
    for name, expected in (
        ("linear_sigmoid", "gives regression, but sst has multiclass"),
        ("mlp", "choose from linear, "),
    ):
        with pytest.raises(UserError, match=f"'{name}'.*{expected}"):
            build_head(name, get_task("sst"), WIDTH)
