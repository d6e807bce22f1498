"""What only a GPU can show: its kernels compute what the definitions say, recorded and compiled steps train as usual
ones do, and no step waits for the device. ``pytest tests/test_cuda.py`` takes a minute or two on one."""

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
from mtbert.optim import FusedAdamW, Surgery, pcgrad
from mtbert.training.cuda_graphs import Execution
from mtbert.training.interrupt import Interrupted
from mtbert.training.run import build_model, recipe_encoder
from mtbert.training.trainer import Trainer, train

CUDA = torch.device("cuda", torch.cuda.current_device())
SURE = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "head_dropout": 0.0}
QUICK = {"encoder": "tiny", "epochs": 1, "steps_per_epoch": 12, "batch_size": 8, "dev_rows": 40, "lr": 1e-3}
LENGTHS = [1, 6, 9, 33, 64, 128, 3]


def recipe(**fields):
    return mtbert.recipe("demo").replace(**QUICK).replace(**fields)


def run_of(folder, sample, wanted, execution=None, device="cuda"):
    return train(wanted, folder, sample, device, False, execution=execution)


def trainer_of(folder, sample, wanted, execution=None) -> Trainer:
    return Trainer(wanted, folder, sample, CUDA, False, lambda message: None, execution=execution)


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double().cpu() - exact).norm() / exact.norm())


def test_the_device_that_is_picked_is_that_of_its_tensors():
    assert mtbert.get_device() == mtbert.get_device("cuda") == torch.empty(1, device="cuda").device


# -- attention --------------------------------------------------------------------------------------------------------


def one_by_one(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    rows = []
    for part in qkv.split(LENGTHS):
        query, key, value = part.unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
        rows.append(attention(query, key, value).transpose(0, 1).flatten(1))
    return torch.cat(rows)


@pytest.mark.parametrize(("heads", "width"), [(12, 32), (12, 64), (12, 17)])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 1e-2), (torch.float16, 2e-3), (torch.float32, 1e-3)])
def test_attention_and_its_gradient_equal_the_definition(heads, width, dtype, bound):
    torch.manual_seed(0)
    qkv = torch.randn(sum(LENGTHS), 3 * heads * width, device=CUDA).to(dtype).requires_grad_()
    exact = qkv.detach().double().cpu().requires_grad_()
    batch, slope = (
        pack_sequences([[1] * length for length in LENGTHS]).to(CUDA),
        torch.randn(sum(LENGTHS), heads * width),
    )
    assert varlen_kernel(CUDA, dtype, width) is not None
    out, expected = packed_attention(qkv, batch, heads), one_by_one(exact, heads)
    out.backward(slope.to(out))
    expected.backward(slope.double())
    assert error(out, expected.detach()) < bound and error(qkv.grad, exact.grad) < 2 * bound
    with attention_backend("groups"):
        assert error(packed_attention(qkv, batch, heads), expected.detach()) < bound


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_attention_drops_the_share_it_should_and_the_same_weights_on_the_way_back(dtype):
    """Values of one: a query's output is the sum of the weights that stayed; and O is linear in V, with slope dO/dV."""
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


# -- optimiser and surgery --------------------------------------------------------------------------------------------


def test_adamw_equals_torchs():
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(size, device=CUDA)) for size in (5, 1000, 12_345)]
    theirs = [torch.nn.Parameter(each.detach().clone()) for each in ours]
    lines = [torch.nn.Parameter(each.detach().clone()) for each in ours]
    settings = {"lr": 0.01, "weight_decay": 0.1}
    optimizers = (
        FusedAdamW(ours, **settings),
        torch.optim.AdamW(theirs, **settings),
        FusedAdamW(lines, **settings, use_kernel=False),
    )
    for _ in range(20):
        for group in zip(ours, theirs, lines, strict=True):
            gradient = torch.randn_like(group[0])
            for each in group:
                each.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lines, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("granularity", ["model", "layer"])
def test_surgery_on_the_device_equals_surgery_on_the_host(tmp_path, sample, granularity):
    gradients = {}
    for device in ("cpu", "cuda"):
        wanted = recipe(**SURE, surgery="pcgrad", granularity=granularity)
        trainer = Trainer(wanted, tmp_path, sample, torch.device(device), False, lambda message: None)
        trainer.surgery.weighting = lambda gramian: pcgrad(gramian, torch.Generator().manual_seed(1))
        trainer.model.train()
        trainer._gradient_by_surgery(next(iter(trainer.sampler.steps(0))))
        gradients[device] = trainer.flat.gradient.cpu()
        assert isinstance(trainer.surgery, Surgery) and trainer.surgery.last.gramians.device.type == device
    assert error(gradients["cuda"], gradients["cpu"].double()) < 1e-3


# -- whole steps ------------------------------------------------------------------------------------------------------

KINDS = {
    "one sum": {},
    "task by task": {"sampler": "round_robin"},
    "adapters": {"adapter": "pal", "trainable": "adapters"},
    "surgery": {"surgery": "pcgrad"},
    "vaccine": {"surgery": "gradvac", "surgery_beta": 0.1},
    "clipped": {"max_grad_norm": 0.5, "loss_weighting": "uw"},
}


@pytest.mark.parametrize("name", KINDS)
def test_recorded_steps_train_as_usual_ones_do(tmp_path, sample, name):
    wanted = recipe(**SURE, **KINDS[name])
    usual, recorded = (
        run_of(tmp_path / kind, sample, wanted, Execution(cuda_graphs=kind == "recorded")).epochs[-1]
        for kind in ("usual", "recorded")
    )
    assert recorded["losses"] == pytest.approx(usual["losses"], rel=2e-3)
    trainer = trainer_of(tmp_path / "again", sample, wanted, Execution(cuda_graphs=True))
    for step, _ in zip(trainer.sampler.steps(0), range(12), strict=False):
        trainer._train_step(step)
    assert trainer.fixed_steps.recorded >= 1


def test_the_orders_of_surgery_are_drawn_anew_for_every_replay(tmp_path, sample):
    trainer = Trainer(
        recipe(surgery="pcgrad"),
        tmp_path,
        sample,
        mtbert.get_device("cuda"),
        False,
        str,
        execution=Execution(cuda_graphs=True),
    )
    drawn = []
    for step, _ in zip(trainer.sampler.steps(0), range(12), strict=False):
        trainer._train_step(step)
        drawn += [tuple(kept.flatten().tolist()) for kept in trainer.orders._kept.values()]
    assert trainer.fixed_steps.recorded >= 1 and len(set(drawn[-8:])) > 1


@pytest.mark.parametrize("name", ["one sum", "surgery"])
def test_a_run_goes_on_from_its_checkpoint(tmp_path, sample, name):
    wanted, asked = recipe(**SURE, **KINDS[name]), itertools.count()
    trainer_of(tmp_path / "whole", sample, wanted).run(1e9, lambda: False)
    with pytest.raises(Interrupted):
        trainer_of(tmp_path / "run", sample, wanted).run(1e9, lambda: next(asked) == 4)
    trainer_of(tmp_path / "run", sample, wanted).run(1e9, lambda: False)
    whole, apart = (mtbert.open_run(tmp_path / folder).epochs[-1] for folder in ("whole", "run"))
    assert apart["losses"] == pytest.approx(whole["losses"], rel=2e-3)


@pytest.mark.parametrize("execution", [Execution(compile=True), Execution(compile=True, cuda_graphs=True)])
def test_compiled_layers_train_as_usual_ones_do(tmp_path, sample, execution):
    wanted = recipe(**SURE)
    usual, other = (run_of(tmp_path / str(kind), sample, wanted, kind).epochs[-1] for kind in (None, execution))
    assert other["losses"] == pytest.approx(usual["losses"], rel=2e-3)


@pytest.mark.parametrize("name", KINDS)
def test_dropout_is_drawn_anew_in_every_replay(tmp_path, sample, name):
    trainer = trainer_of(
        tmp_path, sample, recipe(**KINDS[name], lr=1e-6, precision="bfloat16"), Execution(cuda_graphs=True)
    )
    step = next(iter(trainer.sampler.steps(0)))
    sums = []
    for _ in range(6):
        trainer._begin_epoch()
        trainer._train_step(step)
        sums.append(tuple(float(total) for total in trainer.loss_sums.values()))
    assert len(set(sums)) == len(sums) and all(math.isfinite(value) for total in sums for value in total)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_no_step_waits_for_the_device(tmp_path, sample, name, graphs, precision):
    wanted = recipe(**KINDS[name], precision=precision)
    trainer = trainer_of(tmp_path, sample, wanted, Execution(cuda_graphs=graphs))
    step = next(iter(trainer.sampler.steps(0)))
    for _ in range(5):  # in the first ones kernels are built, and recording waits once
        trainer._train_step(step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._train_step(step)
        trainer._train_step(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_learns_as_float32_does(tmp_path, sample):
    curves = {}
    for precision in ("float32", "bfloat16"):
        wanted = recipe(precision=precision, epochs=3, **SURE)
        curves[precision] = [
            sum(epoch["losses"].values()) for epoch in run_of(tmp_path / precision, sample, wanted).epochs
        ]
    assert curves["bfloat16"] == pytest.approx(curves["float32"], rel=0.05)


# -- evaluation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluation_equals_that_on_the_host(sample, precision):
    texts = ["a film", "The plot is thin, but the two leads are superb.", "no " * 40] * 50
    wanted = recipe(tasks=("sst",))
    model = build_model(wanted, recipe_encoder(wanted)).eval()
    expected = model.predict_proba("sst", texts)
    model.to(CUDA)
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
        found = model.predict_proba("sst", texts)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-3 if precision == "float32" else 2e-2)
