"""One backward for several tasks: their rows equal those of a backward for each, or the step is refused."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import NO_DROPOUT, away_from_zero, owner, random_batch, small_config
from torch import nn

import mtbert
from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import TASKS
from mtbert.nn.adapters import build_adapter
from mtbert.nn.bert import Bert
from mtbert.nn.model import MultitaskModel
from mtbert.optim import FlatParameters, Surgery, pcgrad

TASK_NAMES = ["sst", "quora", "sts"]
LABELS = {"sst": torch.tensor([0, 3]), "quora": torch.tensor([1.0, 0, 1]), "sts": torch.tensor([4.0, 1.5])}
LENGTHS = {"sst": [4, 7], "quora": [5, 9, 3], "sts": [3, 4, 2, 6]}  # quora cross-encoded, sts bi-encoded


def packed(task: str, seed: int = 0) -> PackedBatch:
    return random_batch(LENGTHS[task], seed + len(task))


def model_of(pooling: str = "mean", dtype=torch.float64, p: float = 0.0, adapter="none", **more) -> MultitaskModel:
    torch.manual_seed(0)
    config = small_config(hidden_size=16, intermediate_size=24, **dict.fromkeys(NO_DROPOUT, p))
    encoder = mtbert.Encoder(Bert(config), None, "small")  # what it reads is no text
    heads = {"sst": "two_layer", "quora": "linear", "sts": "concat_diff"}
    torch.manual_seed(1)
    tasks = [TASKS[name] for name in TASK_NAMES]
    if adapter != "none":
        more["adapters"] = {task: build_adapter(adapter, encoder.config) for task in TASK_NAMES}
    model = MultitaskModel(encoder, tasks, heads, {"sts": "bi"}, dict.fromkeys(TASK_NAMES, 20), pooling, **more)
    return away_from_zero(model).to(dtype)


def build(model: nn.Module) -> Surgery:
    return Surgery(FlatParameters(model, owner), TASK_NAMES, pcgrad)


def losses(model: MultitaskModel, batch: PackedBatch) -> dict[str, torch.Tensor]:
    dtype = next(model.parameters()).dtype
    labels = {name: LABELS[name] if name == "sst" else LABELS[name].to(dtype) for name in batch.slices}
    return model.losses(batch, labels)


def joint_rows(model: MultitaskModel, batch: PackedBatch, forward=losses, surgery: Surgery | None = None) -> Surgery:
    """Add what one forward and one backward give to the rows."""
    surgery = surgery or build(model)
    with surgery.per_task_gradients(batch):
        task_losses = forward(model, batch)
    surgery.backward(task_losses)
    return surgery


def separate_rows(model: MultitaskModel, flat: FlatParameters, batch: PackedBatch, forward=losses) -> torch.Tensor:
    """The same by autograd alone: a backward for each task, through every weight as a whole."""
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    rows = torch.zeros(len(TASK_NAMES), len(flat), dtype=flat.theta.dtype)
    for task, loss in forward(model, batch).items():
        gradients = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(named, gradients, strict=True):
            if gradient is not None:
                rows[TASK_NAMES.index(task), flat.slices[name]] = gradient.to_dense().flatten()
    return rows


def assert_rows_equal(model: MultitaskModel, surgery: Surgery, batch: PackedBatch) -> None:
    assert (surgery.jacobian - separate_rows(model, surgery.flat, batch)).abs().max() <= 1e-12


def all_tasks() -> PackedBatch:
    return PackedBatch.join({task: packed(task) for task in TASK_NAMES})


MODELS = {
    "mean": {},
    "pooler": {"pooling": "pooler"},
    "cls": {"pooling": "cls"},
    **{adapter: {"adapter": adapter} for adapter in ("pal", "low_rank+top", "houlsby", "lora")},
    "dropout": {"p": 0.3},
    "smart": {"p": 0.3, "smart_weight": {"sst": 1.0, "sts": 0.5}},
}


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_rows_of_one_backward_equal_those_of_a_backward_for_each_task(options):
    model, batch = model_of(**options), all_tasks()
    torch.manual_seed(5)
    surgery = joint_rows(model, batch)
    torch.manual_seed(5)  # the same random numbers as in a plain forward
    assert_rows_equal(model, surgery, batch)
    for name, where in surgery.flat.slices.items():
        if owner(name) == "encoder":  # every task has a gradient there that can be compared
            assert (surgery.jacobian[:, where].abs().max(1).values > 1e-6).all()
    for task, row in surgery.rows.items():
        assert row.has_grad == {name for name in surgery.flat.slices if owner(name) in ("encoder", task)}


def _trainable(ndim: int, model: MultitaskModel) -> None:
    for parameter in model.bert.parameters():
        parameter.requires_grad_(parameter.ndim == ndim)


def _one_layer_twice(model: MultitaskModel) -> None:
    model.bert.layers[1] = model.bert.layers[0]


def _no_affine(model: MultitaskModel) -> None:
    model.bert.layers[0].output_norm = nn.LayerNorm(16, elementwise_affine=False)
    model.bert.layers[1].intermediate = nn.Linear(16, 24, bias=False, dtype=torch.float64)


@pytest.mark.parametrize("change", [partial(_trainable, 1), partial(_trainable, 2), _one_layer_twice, _no_affine])
@pytest.mark.parametrize("sparse", [True, False])
def test_so_they_do_with_frozen_and_repeated_and_missing_parts_and_dense_embeddings(change, sparse):
    model, batch = model_of("pooler"), all_tasks()
    change(model)
    model.bert.pooler.requires_grad_(True)
    surgery = build(model)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = sparse
    assert_rows_equal(model, joint_rows(model, batch, surgery=surgery), batch)
    assert sparse or not any(row.rows for row in surgery.rows.values())


def in_bfloat16(model: MultitaskModel, batch: PackedBatch) -> dict[str, torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        return losses(model, batch)


def test_under_autocast_rows_are_those_of_autocast():
    model, batch = model_of(dtype=torch.float32), all_tasks()
    surgery = joint_rows(model, batch, in_bfloat16)
    expected = separate_rows(model, surgery.flat, batch, in_bfloat16)
    full = separate_rows(model, surgery.flat, batch)
    length = expected.norm(dim=1)
    assert surgery.jacobian.dtype == torch.float32
    assert ((surgery.jacobian - expected).norm(dim=1) < 5e-3 * length).all()
    assert ((surgery.jacobian - full).norm(dim=1) > 1e-3 * length).all()  # it did run in bfloat16


def test_several_batches_add_up_whatever_rows_the_last_step_left():
    model = model_of()
    surgery = build(model)
    expected = torch.zeros_like(surgery.jacobian)
    for seeds in ((7,), (0, 3)):
        surgery.zero_grad()
        for seed in seeds:
            batch = PackedBatch.join({task: packed(task, seed) for task in TASK_NAMES})
            joint_rows(model, batch, surgery=surgery)
            if seeds != (7,):
                expected += separate_rows(model, surgery.flat, batch)
    assert (surgery.jacobian - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("tasks", [["quora"], ["sts", "sst"]])
def test_tasks_that_are_not_in_the_step_have_no_gradient(tasks):
    model = model_of()
    batch = PackedBatch.join({task: packed(task) for task in tasks})
    surgery = joint_rows(model, batch)
    assert {task for task, row in surgery.rows.items() if row.has_grad} == set(tasks)
    assert_rows_equal(model, surgery, batch)
    surgery.aggregate()
    owners = {shard.owner for shard in surgery.flat.shards if shard.parameter.grad is not None}
    assert owners == {"encoder", *tasks}


def test_a_task_whose_loss_learns_nothing_takes_no_part():
    model, batch = model_of(), all_tasks()
    surgery = joint_rows(model, batch, lambda *inputs: {**losses(*inputs), "sts": torch.ones(())})
    assert not surgery.rows["sts"].has_grad and surgery.rows["sst"].has_grad
    surgery.zero_grad()
    surgery.backward(dict.fromkeys(TASK_NAMES, torch.ones(())))
    assert surgery.aggregate() == []


def _by_task(batch: PackedBatch, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
    return {task: hidden[where].square().mean() for task, (where, _) in batch.by_task.items()}


def _as_a_matrix(model: MultitaskModel, batch: PackedBatch):
    return _by_task(batch, model.bert.embeddings(batch) @ model.bert.layers[1].attention_output.weight)


def _on_some_tokens(model: MultitaskModel, batch: PackedBatch):
    halves = model.bert.embeddings(batch).split(batch.tokens // 2)
    return _by_task(batch, torch.cat([model.bert.layers[0].intermediate(half) for half in halves]))


def _with_padding_index(model: MultitaskModel, batch: PackedBatch):
    return _by_task(batch, F.embedding(batch.ids, model.bert.embeddings.word.weight, padding_idx=0))


@pytest.mark.parametrize("forward", [_as_a_matrix, _on_some_tokens, _with_padding_index])
def test_a_shared_weight_in_any_other_use_is_refused_by_name(forward):
    with pytest.raises(RuntimeError, match=r"the tasks' gradients of bert\.[a-z0-9_.]* cannot be told apart"):
        joint_rows(model_of(), all_tasks(), forward)


@pytest.mark.parametrize("backward", [lambda flat, loss: flat.backward(loss), lambda flat, loss: loss.backward()])
def test_a_forward_with_per_task_gradients_is_refused_by_any_other_backward(backward):
    model, batch = model_of(), all_tasks()
    surgery = build(model)
    with surgery.per_task_gradients(batch):
        task_losses = losses(model, batch)
    with pytest.raises(RuntimeError, match="per-task gradients.*Surgery.backward"):
        backward(surgery.flat, sum(task_losses.values()))


def test_a_batch_with_rows_of_no_task_is_refused():
    with pytest.raises(ValueError, match="slices must name the task of all 2 sequences"):
        build(model_of()).per_task_gradients(packed("sst"))


def saved_bytes(forward, model: MultitaskModel, batch: PackedBatch) -> int:
    """Memory that autograd keeps from a forward for the backward."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        forward(model, batch)
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in saved}
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("forward", [losses, in_bfloat16])
def test_per_task_gradients_save_no_more_than_a_plain_forward(forward):
    model, batch = model_of(p=0.1, dtype=torch.float32), all_tasks()
    surgery = build(model)
    plain = saved_bytes(forward, model, batch)
    with surgery.per_task_gradients(batch):
        assert saved_bytes(forward, model, batch) <= plain
