"""What makes a step cheaper on a GPU: fixed shapes, recorded steps, compiled layers. None of it changes a result."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import mtbert
from mtbert.nn import attention as attention_module
from mtbert.training.cuda_graphs import Execution
from mtbert.training.trainer import Trainer, train
from mtbert.utils.errors import UserError

# without dropout: the random numbers of a padded batch are others
SURE = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "head_dropout": 0.0}
QUICK = {"encoder": "tiny", "epochs": 1, "steps_per_epoch": 4, "dev_rows": 20, "batch_size": 6, **SURE}
RECIPES = {
    "one sum": {},
    "mean pooling, learnt weights": {"pooling": "mean", "loss_weighting": "uw"},
    "task by task": {"sampler": "round_robin"},
    "an optimiser for each": {"sampler": "round_robin", "optimizer_state": "per_task"},
    "adapters": {"adapter": "pal+lora", "trainable": "adapters"},
    "surgery": {"surgery": "pcgrad"},
    "vaccine by layer": {"surgery": "gradvac", "surgery_beta": 0.1, "granularity": "layer"},
    "clipped": {"max_grad_norm": 0.1},
}


def recipe_of(name: str):
    return mtbert.recipe("demo").replace(**QUICK, **RECIPES[name])


def trainer_of(recipe, tmp_path, sample, execution=None) -> Trainer:
    return Trainer(recipe, tmp_path, sample, torch.device("cpu"), progress=False, execution=execution)


@pytest.mark.parametrize("name", RECIPES)
def test_steps_of_fixed_shapes_train_the_same(tmp_path, sample, name):
    runs = [
        train(recipe_of(name), tmp_path / kind, sample, "cpu", False, execution=execution)
        for kind, execution in (("usual", None), ("fixed", Execution(cuda_graphs=True)))
    ]
    usual, fixed = (run.epochs[-1] for run in runs)
    assert fixed["losses"] == pytest.approx(usual["losses"], abs=1e-5)
    assert fixed["scores"] == pytest.approx(usual["scores"], abs=1e-4)
    assert (fixed["examples"], fixed.get("surgery", {}).get("conflicts")) == (
        usual["examples"],
        usual.get("surgery", {}).get("conflicts"),
    )
    assert [run.record["execution"]["cuda_graphs"] for run in runs] == [False, True]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"gradient_accumulation_steps": 2}, "in parts"),
        ({"smart_weight": 1.0}, "SMART"),
        ({"loss_weighting": "famo"}, "famo"),
        ({"trainable": "heads"}, "stays as it is"),
        ({"surgery": "torchjd:UPGrad"}, "torchjd:UPGrad"),
        ({"loss": {"sts": "cosent"}}, "cosent"),
        ({"head": {"sst": "convolution", "quora": "concat_diff", "sts": "cosine"}}, "convolution"),
        ({"tokens_per_batch": 300, "sampler": "round_robin"}, "like lengths"),
    ],
)
def test_a_recipe_whose_steps_cannot_be_recorded_says_why_and_trains_as_ever(tmp_path, sample, messages, fields, why):
    recipe = mtbert.recipe("demo").replace(**QUICK).replace(**fields)
    trainer = Trainer(recipe, tmp_path, sample, torch.device("cpu"), False, execution=Execution(cuda_graphs=True))
    assert trainer.fixed_steps is None
    assert any(line.startswith("steps are not recorded") and why in line for line in messages)


# -- no wait for the device -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("", Execution()),
        ("cuda_graphs", Execution(cuda_graphs=True)),
        ("compile, cuda_graphs", Execution(compile=True, cuda_graphs=True)),
    ],
)
def test_runs_that_are_not_told_otherwise_do_what_the_environment_asks(monkeypatch, words, asked):
    monkeypatch.setenv("MTBERT_EXECUTION", words)
    assert Execution.from_env() == asked
    monkeypatch.setenv("MTBERT_EXECUTION", str(asked))
    assert Execution.from_env() == asked


def test_a_way_of_execution_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("MTBERT_EXECUTION", "graph")
    with pytest.raises(UserError, match="MTBERT_EXECUTION asks for 'graph': choose fromcompile, cuda_graphs"):
        Execution.from_env()


class NoWait(TorchDispatchMode):
    """Fails where a GPU's host would wait: a value read back, or a result whose size only the device knows."""

    WAITS = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "masked_select", "unique", "_unique2", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.WAITS, f"{func} waits for the device"
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            assert not any(index is not None and index.dtype == torch.bool for index in args[1]), f"{func} by a mask"
        if name == "repeat_interleave":
            assert kwargs and kwargs.get("output_size") is not None, "repeat_interleave does not know its size"
        return func(*args, **(kwargs or {}))


def sliced_attention(query, key, value, cu_seqlens, longest, p, scale):
    """Stands for a kernel that needs no lengths on the host: attention under a mask over the whole batch."""
    seq_ids = torch.searchsorted(cu_seqlens, torch.arange(len(query), dtype=cu_seqlens.dtype), right=True)
    mask = seq_ids[:, None] == seq_ids[None, :]
    heads_first = (part.transpose(0, 1) for part in (query, key, value))
    return attention_module.attention(*heads_first, mask).transpose(0, 1)


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_step_leaves_to_the_device_waits_for_nothing(tmp_path, sample, monkeypatch, name):
    """What is recorded: from the fixed places to the changed weights, as on a GPU but for the kernel of attention."""
    trainer = trainer_of(recipe_of(name), tmp_path, sample, Execution(cuda_graphs=True))
    monkeypatch.setattr(attention_module, "varlen_kernel", lambda device, dtype, width: sliced_attention)
    for module in trainer.model.modules():  # as on a GPU: there embeddings have dense gradients
        if isinstance(module, torch.nn.Embedding):
            module.sparse = False
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda self: torch.ones(1, dtype=torch.bool).numpy())
    usual = trainer._update

    def watched(*arguments):
        with NoWait():
            return usual(*arguments)

    steps = iter(trainer.sampler.steps(0))
    trainer._train_step(next(steps))
    trainer._update = watched
    for _ in range(3):
        trainer._train_step(next(steps))


def test_the_watch_itself_notices_a_wait():
    for wait in (lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.any()), lambda x: x.nonzero()):
        with pytest.raises(AssertionError, match="waits|mask"), NoWait():
            wait(torch.arange(3))


# -- compiled layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one sum", "mean pooling, learnt weights"])
def test_compiled_layers_train_the_same(tmp_path, sample, monkeypatch, name):
    monkeypatch.setattr(torch, "compile", lambda of, **options: compiled(of, backend="aot_eager", **options))
    trainers = [trainer_of(recipe_of(name), tmp_path, sample, Execution(compile=wanted)) for wanted in (False, True)]
    for trainer in trainers:
        for step, _ in zip(trainer.sampler.steps(0), range(3), strict=False):
            trainer._train_step(step)
    torch.testing.assert_close(trainers[1].flat.theta, trainers[0].flat.theta, rtol=0, atol=1e-5)
    assert trainers[1].model.bert._compiled and not trainers[0].model.bert._compiled


compiled = torch.compile


def test_evaluation_and_surgery_do_not_go_through_compiled_layers(tmp_path, sample, monkeypatch):
    def never(of, **options):
        def run(*arguments):
            raise AssertionError("a compiled layer ran")

        return run

    monkeypatch.setattr(torch, "compile", never)
    trainer = trainer_of(recipe_of("one sum"), tmp_path, sample, Execution(compile=True))
    trainer._dev_outputs()
    with pytest.raises(AssertionError, match="a compiled layer ran"):
        trainer._train_step(next(iter(trainer.sampler.steps(0))))
    operated = trainer_of(recipe_of("surgery"), tmp_path, sample, Execution(compile=True))
    operated._train_step(next(iter(operated.sampler.steps(0))))
