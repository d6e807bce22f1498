"""Heads and losses."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data.batch import pack_sequences
from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.heads import HEADS, TokenVectors, build_head
from mtbert.nn.losses import task_loss
from mtbert.optim import AdamW
from mtbert.utils.errors import UserError

WIDTH, ROWS = 12, 20
# every head on every task it can serve
SERVED = [
    (name, task)
    for name, kind in HEADS.items()
    for task in TASKS.values()
    if (not kind.pair or task.is_pair) and task.kind in kind.kinds
]
named = pytest.mark.parametrize(("name", "task"), SERVED, ids=[f"{name}-{task.name}" for name, task in SERVED])


LENGTHS = [1 + row % 4 for row in range(ROWS)]  # of the sequences whose tokens a head sees


def vectors_and_labels(name: str, task, seed: int = 0):
    torch.manual_seed(seed)
    shape = {"pair": (ROWS, 2, WIDTH), "vector": (ROWS, WIDTH), "tokens": (sum(LENGTHS), WIDTH)}[HEADS[name].input_kind]
    return torch.randn(shape), torch.randint(0, task.labels, (ROWS,)).float()


def given_to(name: str, vectors: torch.Tensor, rows: slice = slice(None)):
    """What a head of that name is given of some rows."""
    if HEADS[name].input_kind != "tokens":
        return vectors[rows]
    batch = pack_sequences([[0] * length for length in LENGTHS])
    return TokenVectors(vectors[batch.token_slice(rows)], batch.select(rows))


def pair(*cosines: float) -> torch.Tensor:
    """Pairs of plane vectors, not of unit length, with these cosines: (rows, 2, 2)."""
    return torch.tensor([[[2.0, 0.0], [3 * c, 3 * math.sqrt(1 - c * c)]] for c in cosines])


@named
def test_a_head_gives_the_outputs_its_task_asks_for(name, task):
    vectors, _ = vectors_and_labels(name, task)
    outputs = build_head(name, task, WIDTH)(given_to(name, vectors))
    assert outputs.shape == (ROWS, 5 if task.name in ("sst", "yelp") else 2 if task.name == "cfimdb" else 1)


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
        loss = task_loss(task, head(given_to(name, vectors)), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@named
def test_the_rows_of_a_batch_do_not_mix(name, task):
    vectors, _ = vectors_and_labels(name, task)
    head = build_head(name, task, WIDTH).eval()
    with torch.no_grad():
        whole, one = head(given_to(name, vectors)), head(given_to(name, vectors, slice(3, 4)))
        torch.testing.assert_close(whole[3:4], one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in HEADS if not name.startswith(("cosine", "dot"))])
def test_a_head_with_weights_drops_its_inputs_in_training_only(name):
    task = get_task("sts")
    vectors, _ = vectors_and_labels(name, task)
    head, seen = build_head(name, task, WIDTH, p=0.5), given_to(name, vectors)
    assert not torch.equal(head(seen), head(seen))
    head.eval()
    assert torch.equal(head(seen), head(seen))


def test_the_cosine_of_a_score_is_rectified_and_scaled_to_five():
    head = build_head("cosine", get_task("sts"), 2)
    expected = torch.tensor([[5.0], [4.0], [0.0], [0.0], [0.0]])
    torch.testing.assert_close(head(pair(1.0, 0.8, 0.0, -0.6, -1.0)), expected, rtol=0, atol=1e-5)
    assert not list(head.parameters())


def test_the_shifted_cosine_of_a_score_runs_from_nought_to_five():
    head = build_head("cosine_shifted", get_task("sts"), 2)
    expected = torch.tensor([[5.0], [4.5], [2.5], [1.0], [0.0]])
    torch.testing.assert_close(head(pair(1.0, 0.8, 0.0, -0.6, -1.0)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["cosine", "cosine_shifted"])
def test_the_cosine_of_a_binary_task_is_a_learned_logit_undecided_at_one_half(name):
    head = build_head(name, get_task("quora"), 2)
    expected = torch.tensor([[5.0], [0.0], [-11.0]])
    torch.testing.assert_close(head(pair(1.0, 0.5, -0.6)), expected, rtol=0, atol=1e-5)
    assert sum(parameter.numel() for parameter in head.parameters()) == 2


@pytest.mark.parametrize("name", ["cosine", "cosine_shifted"])
def test_identical_sentences_have_similarity_five(name):
    vectors = torch.randn(10, 1, WIDTH).expand(10, 2, WIDTH)
    outputs = build_head(name, get_task("sts"), WIDTH)(vectors)
    torch.testing.assert_close(outputs, torch.full((10, 1), 5.0), rtol=0, atol=1e-5)


def test_a_cosine_with_a_zero_vector_is_no_nan():
    vectors = torch.stack([torch.zeros(3, WIDTH), torch.randn(3, WIDTH)], dim=1).requires_grad_()
    outputs = build_head("cosine_shifted", get_task("sts"), WIDTH)(vectors)
    outputs.sum().backward()
    assert outputs.isfinite().all() and vectors.grad.isfinite().all()


def test_features_of_a_pair_are_u_v_and_their_distance():
    vectors = torch.tensor([[[1.0, 2.0], [4.0, -2.0]]])
    seen = HEADS["concat"].build(get_task("sts"), 2, 0.0).features(vectors)
    assert seen.tolist() == [[1, 2, 4, -2]]
    seen = HEADS["concat_diff"].build(get_task("sts"), 2, 0.0).features(vectors)
    assert seen.tolist() == [[1, 2, 4, -2, 3, 4]]


def test_a_score_begins_at_the_middle_of_its_scale_and_other_biases_at_zero():
    for name in ("linear", "two_layer", "concat_diff_two_layer"):
        score = [
            parameter
            for key, parameter in build_head(name, get_task("sts"), 4).named_parameters()
            if key.endswith("bias")
        ]
        assert score[-1].tolist() == [2.5] and not any(bias.any() for bias in score[:-1])
        binary = build_head(name, get_task("quora"), 4)
        assert not any(bias.any() for key, bias in binary.named_parameters() if key.endswith("bias"))


def test_weights_are_drawn_as_berts_are():
    torch.manual_seed(0)
    head = build_head("two_layer", get_task("sst"), 200)
    for key, parameter in head.named_parameters():
        if key.endswith("weight"):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_bounded_score_begins_at_the_middle_and_stays_on_its_scale():
    for name in ("linear_sigmoid", "two_layer_relu", "concat_sigmoid"):
        head, task = build_head(name, get_task("sts"), WIDTH).eval(), get_task("sts")
        vectors, _ = vectors_and_labels(name, task)
        assert not any(bias.any() for key, bias in head.named_parameters() if key.endswith("bias"))
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


# -- the convolution --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 2**32))
def test_the_convolution_is_that_of_each_sequence_alone(lengths, seed):
    torch.manual_seed(seed)
    head = build_head("convolution", get_task("sst"), WIDTH).double().eval()
    hidden = torch.randn(sum(lengths), WIDTH, dtype=torch.float64)
    kernel = head.dense.weight.view(5, 3, WIDTH).transpose(1, 2)  # (classes, width, kernel)
    expected = [
        F.conv1d(part.T[None], kernel, head.dense.bias, padding=1)[0].max(1).values for part in hidden.split(lengths)
    ]
    found = head(TokenVectors(hidden, pack_sequences([[0] * length for length in lengths])))
    torch.testing.assert_close(found, torch.stack(expected))


def test_the_convolution_does_not_look_across_the_border_of_a_sequence():
    head = build_head("convolution", get_task("sst"), WIDTH).eval()
    batch, hidden = pack_sequences([[0] * 3, [0] * 4, [0] * 2]), torch.randn(9, WIDTH)
    before = head(TokenVectors(hidden, batch))
    hidden[3:7] += 100
    after = head(TokenVectors(hidden, batch))
    assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.equal(before[1], after[1])


def test_a_head_refuses_a_kind_of_task_that_it_does_not_serve():
    with pytest.raises(UserError, match="head 'linear_sigmoid' gives regression, but sst has multiclass"):
        build_head("linear_sigmoid", get_task("sst"), WIDTH)


def test_an_unknown_head_is_refused_with_the_choices():
    with pytest.raises(UserError, match="unknown head 'mlp': choose from linear, "):
        build_head("mlp", get_task("sst"), WIDTH)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_classes_have_cross_entropy():
    outputs = torch.tensor([[0.0, math.log(3), 0, 0, 0], [0.0, 0, 0, 0, 0]])
    expected = (-math.log(3 / 7) - math.log(1 / 5)) / 2
    assert task_loss(get_task("sst"), outputs, torch.tensor([1.0, 4.0])).item() == pytest.approx(expected)


def test_a_binary_task_has_cross_entropy_on_a_logit():
    outputs = torch.tensor([[math.log(3)], [0.0]])  # probabilities 3/4 and 1/2
    expected = (-math.log(1 - 0.75) - math.log(0.5)) / 2
    assert task_loss(get_task("quora"), outputs, torch.tensor([0.0, 1.0])).item() == pytest.approx(expected)


def test_a_score_has_the_squared_error():
    outputs = torch.tensor([[1.0], [4.0]])
    assert task_loss(get_task("sts"), outputs, torch.tensor([3.0, 5.0])).item() == pytest.approx((4 + 1) / 2)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_loss_is_the_mean_over_rows(task):
    torch.manual_seed(0)
    outputs, labels = torch.randn(6, task.num_outputs), torch.randint(0, task.labels, (6,)).float()
    each = [task_loss(task, outputs[row : row + 1], labels[row : row + 1]) for row in range(6)]
    torch.testing.assert_close(task_loss(task, outputs, labels), torch.stack(each).mean())


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_loss_of_one_row_keeps_its_shape(task):
    loss = task_loss(task, torch.zeros(1, task.num_outputs), torch.zeros(1))
    assert loss.shape == () and loss.isfinite()
