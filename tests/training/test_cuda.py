"""What only a GPU can show: its kernels compute what the definitions say, CUDA graphs and compiled layers train as
eager steps do, and no step waits for the device. ``pytest tests/training/test_cuda.py`` takes a minute or two."""

import itertools
import math

import pytest
import torch

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

import mtbert
from mtbert.data.batch import pack_sequences
from mtbert.nn.attention import attention, packed_attention
from mtbert.nn.varlen import attention_backend, varlen_kernel
from mtbert.optim import pcgrad
from mtbert.training import Trainer
from mtbert.training.cuda_graphs import Execution
from mtbert.training.interrupt import Interrupted

CUDA = torch.device("cuda", torch.cuda.current_device())
NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "head_dropout": 0.0}
QUICK = {"encoder": "tiny", "epochs": 1, "steps_per_epoch": 12, "batch_size": 8, "dev_rows": 40, "lr": 1e-3}
LENGTHS = [1, 6, 9, 33, 64, 128, 3]


def recipe(**fields):
    return mtbert.recipe("demo").replace(**QUICK).replace(**fields)


def last_epoch(folder, sample, recipe, execution=None) -> dict:
    return mtbert.train(recipe, folder, sample, "cuda", False, execution=execution).epochs[-1]


def new_trainer(folder, sample, recipe, cuda_graphs=False, device=CUDA) -> Trainer:
    return Trainer(recipe, folder, sample, device, False, execution=Execution(cuda_graphs=cuda_graphs))


def relative_error(result: torch.Tensor, exact: torch.Tensor) -> float:
    return float((result.double().cpu() - exact).norm() / exact.norm())


def test_the_default_device_is_named_as_its_tensors_name_it():
    assert mtbert.get_device() == mtbert.get_device("cuda") == torch.empty(1, device="cuda").device


def one_by_one(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    rows = []
    for sequence in qkv.split(LENGTHS):
        query, key, value = sequence.unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
        rows.append(attention(query, key, value).transpose(0, 1).flatten(1))
    return torch.cat(rows)


@pytest.mark.parametrize(("heads", "width"), [(12, 32), (12, 64), (12, 17)])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 1e-2), (torch.float16, 2e-3), (torch.float32, 1e-3)])
def test_attention_and_its_gradient_equal_the_definition(heads, width, dtype, bound):
    torch.manual_seed(0)
    qkv = torch.randn(sum(LENGTHS), 3 * heads * width, device=CUDA).to(dtype).requires_grad_()
    exact = qkv.detach().double().cpu().requires_grad_()
    batch = pack_sequences([[1] * length for length in LENGTHS]).to(CUDA)
    gradient = torch.randn(sum(LENGTHS), heads * width)
    assert varlen_kernel(CUDA, dtype, width) is not None
    out, expected = packed_attention(qkv, batch, heads), one_by_one(exact, heads)
    out.backward(gradient.to(out))
    expected.backward(gradient.double())
    assert relative_error(out, expected.detach()) < bound and relative_error(qkv.grad, exact.grad) < 2 * bound
    with attention_backend("groups"):
        assert relative_error(packed_attention(qkv, batch, heads), expected.detach()) < bound


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_attention_drops_the_right_fraction_and_the_same_weights_in_the_backward_pass(dtype):
    """With values of one, a query's output is the sum of the weights that are left; and O is linear in V."""
    torch.manual_seed(0)
    heads, width, p = 4, 32, 0.25
    qkv = torch.zeros(sum(LENGTHS), 3, heads, width, device=CUDA, dtype=dtype)
    qkv[:, 2] = 1
    qkv = qkv.flatten(1).requires_grad_()
    out = packed_attention(qkv, pack_sequences([[1] * length for length in LENGTHS]).to(CUDA), heads, p)
    out.sum().backward()
    assert float(out.float().mean()) == pytest.approx(1, abs=0.05)
    assert float(out.float().std()) > 0.05
    by_value = qkv.grad.unflatten(1, (3, heads, width))[:, 2].float().sum()
    assert float(by_value) == pytest.approx(float(out.float().sum()), rel=1e-2)  # the sum of O is dO/dV times V


@pytest.mark.parametrize("granularity", ["model", "layer"])
def test_surgery_on_the_gpu_equals_surgery_on_the_cpu(tmp_path, sample, granularity):
    gradients = {}
    for device in ("cpu", "cuda"):
        changed = recipe(**NO_DROPOUT, surgery="pcgrad", granularity=granularity)
        trainer = new_trainer(tmp_path, sample, changed, device=mtbert.get_device(device))
        trainer.surgery.weighting = lambda gramian: pcgrad(gramian, torch.Generator().manual_seed(1))
        trainer.model.train()
        step = next(trainer.sampler.steps())
        gradient = trainer.gradient.compute(step, trainer.runner.micro_batches(step.rows))
        gradients[device] = trainer.flat.gradient.cpu()
        assert gradient.aggregation.gramians.device.type == device
    assert relative_error(gradients["cuda"], gradients["cpu"].double()) < 1e-3


CHANGES = {
    "summed loss": {},
    "task by task": {"sampler": "round_robin"},
    "adapters": {"adapter": "pal", "trainable": "adapters"},
    "PCGrad": {"surgery": "pcgrad"},
    "GradVac": {"surgery": "gradvac", "surgery_beta": 0.1},
    "clipped": {"max_grad_norm": 0.5, "loss_weighting": "uw"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_cuda_graphs_train_as_eager_steps_do(tmp_path, sample, name):
    changed = recipe(**NO_DROPOUT, **CHANGES[name])
    eager = last_epoch(tmp_path / "eager", sample, changed)
    captured = last_epoch(tmp_path / "captured", sample, changed, Execution(cuda_graphs=True))
    assert captured["losses"] == pytest.approx(eager["losses"], rel=2e-3)
    trainer, states = new_trainer(tmp_path / "again", sample, changed, cuda_graphs=True), set()
    for step in itertools.islice(trainer.sampler.steps(), 12):
        trainer.train_step(step)
        states.add(tuple(trainer.generator.get_state().tolist()))
    assert trainer.runner.num_graphs >= 1
    if name == "PCGrad":
        assert len(states) == 12  # permutations are drawn again for every replay


@pytest.mark.parametrize("name", ["summed loss", "PCGrad", "GradVac"])
def test_a_run_resumes_from_its_checkpoint(tmp_path, sample, name):
    changed, calls = recipe(**NO_DROPOUT, **CHANGES[name]), itertools.count()
    new_trainer(tmp_path / "whole", sample, changed).run(1e9, lambda: False)
    with pytest.raises(Interrupted):
        new_trainer(tmp_path / "run", sample, changed).run(1e9, lambda: next(calls) == 4)
    new_trainer(tmp_path / "run", sample, changed).run(1e9, lambda: False)
    whole, resumed = (mtbert.open_run(tmp_path / folder).epochs[-1] for folder in ("whole", "run"))
    assert resumed["losses"] == pytest.approx(whole["losses"], rel=2e-3)


@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_compiled_layers_train_as_others_do(tmp_path, sample, cuda_graphs):
    execution = Execution(compile=True, cuda_graphs=cuda_graphs)
    plain, compiled = (last_epoch(tmp_path / str(way), sample, recipe(**NO_DROPOUT), way) for way in (None, execution))
    assert compiled["losses"] == pytest.approx(plain["losses"], rel=2e-3)


@pytest.mark.parametrize("name", CHANGES)
def test_dropout_is_drawn_again_in_every_replay(tmp_path, sample, name):
    changed = recipe(**CHANGES[name], lr=1e-6, precision="bfloat16")
    trainer = new_trainer(tmp_path, sample, changed, cuda_graphs=True)
    step = next(trainer.sampler.steps())
    sums = []
    for _ in range(6):
        trainer.meters.reset()
        trainer.train_step(step)
        sums.append(tuple(trainer.meters.loss_sums.tolist()))
    assert len(set(sums)) == len(sums) and all(math.isfinite(value) for values in sums for value in values)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_no_step_waits_for_the_device(tmp_path, sample, name, cuda_graphs, precision):
    trainer = new_trainer(tmp_path, sample, recipe(**CHANGES[name], precision=precision), cuda_graphs)
    step = next(trainer.sampler.steps())
    for _ in range(5):  # the first ones build kernels, and the capture waits once
        trainer.train_step(step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step(step)
        trainer.train_step(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_learns_as_float32_does(tmp_path, sample):
    losses = {}
    for precision in ("float32", "bfloat16"):
        changed = recipe(precision=precision, epochs=3, **NO_DROPOUT)
        run = mtbert.train(changed, tmp_path / precision, sample, "cuda", False)
        losses[precision] = [sum(epoch["losses"].values()) for epoch in run.epochs]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
