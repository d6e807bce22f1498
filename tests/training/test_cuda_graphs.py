"""What makes a step cheaper on a GPU: static shapes, CUDA graphs, compiled layers. None of it changes a result."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtbert.nn import attention as attention_module
from mtbert.training.cuda_graphs import CUDAGraphRunner, Eager, Execution
from mtbert.utils.errors import UserError

CHANGES = {
    "summed loss": {"max_grad_norm": 0.1},
    "mean pooling, learned weights": {"pooling": "mean", "loss_weighting": "uw"},
    "an optimizer per task": {"sampler": "round_robin", "optimizer_state": "per_task"},
    "adapters": {"adapter": "pal+lora", "trainable": "adapters", "sampler": "round_robin"},
    "PCGrad": {"surgery": "pcgrad"},
    "GradVac by layer": {"surgery": "gradvac", "surgery_beta": 0.1, "granularity": "layer"},
}
GRAPHS = Execution(cuda_graphs=True)


@pytest.fixture(params=CHANGES)
def changed(request, no_dropout):  # a padded batch draws other random numbers
    return no_dropout.replace(epochs=1, steps_per_epoch=4, **CHANGES[request.param])


def test_steps_of_static_shapes_train_the_same(changed, train, tmp_path):
    eager = train(changed, tmp_path / "eager", checkpoint_seconds=1e9)
    static = train(changed, tmp_path / "static", checkpoint_seconds=1e9, execution=GRAPHS)
    assert static.record["execution"]["cuda_graphs"]
    first, second = (run.epochs[-1] for run in (eager, static))
    assert second["losses"] == pytest.approx(first["losses"], abs=1e-5)
    assert second["scores"] == pytest.approx(first["scores"], abs=1e-4)
    assert second["examples"] == first["examples"]
    assert second.get("surgery", {}).get("conflicts") == first.get("surgery", {}).get("conflicts")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
        ({"smart_weight": 1.0}, "SMART"),
        ({"trainable": "heads"}, "frozen"),
        ({"surgery": "torchjd:UPGrad"}, "torchjd:UPGrad"),
        ({"encoding": {"sts": "bi"}, "head": {"sts": "cosine"}, "loss": {"sts": "cosent"}}, "cosent"),
        ({"head": {"sst": "convolution"}}, "convolution"),
        ({"tokens_per_batch": 300, "sampler": "round_robin"}, "tokens_per_batch"),
    ],
)
def test_a_recipe_without_static_shapes_says_why_and_runs_eagerly(recipe, new_trainer, messages, fields, words):
    assert isinstance(new_trainer(recipe.replace(**fields), GRAPHS).runner, Eager)
    assert any(line.startswith("no CUDA graphs: ") and words in line for line in messages)


def test_the_environment_sets_the_default_execution(monkeypatch):
    for words, expected in (("", Execution()), ("compile, cuda_graphs", Execution(compile=True, cuda_graphs=True))):
        for text in (words, str(expected)):
            monkeypatch.setenv("MTBERT_EXECUTION", text)
            assert Execution.from_env() == expected
    monkeypatch.setenv("MTBERT_EXECUTION", "graph")
    with pytest.raises(UserError, match="MTBERT_EXECUTION .*'graph': choose from compile, cuda_graphs"):
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


def masked_attention(query, key, value, cu_seqlens, max_seqlen, p, scale):
    """In place of a kernel that needs no lengths on the host: attention under a mask over the whole batch."""
    seq_ids = torch.searchsorted(cu_seqlens, torch.arange(len(query), dtype=cu_seqlens.dtype), right=True)
    mask = seq_ids[:, None] == seq_ids[None, :]
    heads_first = (part.transpose(0, 1) for part in (query, key, value))
    return attention_module.attention(*heads_first, mask).transpose(0, 1)


def test_the_watch_itself_notices_a_wait():
    for wait in (lambda x: x.sum().item(), lambda x: x[x > 0]):
        with pytest.raises(AssertionError, match="waits|mask"), NoWait():
            wait(torch.arange(3))


def test_what_a_graph_captures_waits_for_nothing(changed, new_trainer, monkeypatch):
    """From the static inputs to the changed weights, as on a GPU but for the kernel of attention."""
    trainer = new_trainer(changed, GRAPHS)
    monkeypatch.setattr(attention_module, "varlen_kernel", lambda device, dtype, width: masked_attention)
    for module in trainer.model.modules():  # on a GPU, embeddings have dense gradients
        if isinstance(module, torch.nn.Embedding):
            module.sparse = False
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda self: torch.ones(1, dtype=torch.bool).numpy())
    runner, steps = trainer.runner, trainer.sampler.steps()
    assert isinstance(runner, CUDAGraphRunner)
    trainer.train_step(next(steps))

    def watched(rows, update, **options):
        def watched_update(micro_batches):
            with NoWait():
                return update(micro_batches)

        return runner(rows, watched_update, **options)

    trainer.runner = watched
    for step in itertools.islice(steps, 3):
        trainer.train_step(step)


def test_compiled_layers_train_the_same(no_dropout, new_trainer, monkeypatch):
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: compile(function, backend="aot_eager", **options))
    trainers = [new_trainer(no_dropout, Execution(compile=compiled)) for compiled in (False, True)]
    for trainer in trainers:
        for step in itertools.islice(trainer.sampler.steps(), 3):
            trainer.train_step(step)
    torch.testing.assert_close(trainers[1].flat.theta, trainers[0].flat.theta, rtol=0, atol=1e-5)
    assert ["forward" in vars(trainer.model.bert.layers[0]) for trainer in trainers] == [False, True]


def test_evaluation_and_surgery_do_not_go_through_compiled_layers(recipe, new_trainer, monkeypatch):
    def never(function, **options):
        def run(*arguments):
            raise AssertionError("a compiled layer ran")

        return run

    monkeypatch.setattr(torch, "compile", never)
    trainer = new_trainer(recipe, Execution(compile=True))
    trainer.model.eval()
    trainer.dev_sets.predict_logits()
    with pytest.raises(AssertionError, match="a compiled layer ran"):
        trainer.train_step(next(trainer.sampler.steps()))
    trainer = new_trainer(recipe.replace(surgery="pcgrad"), Execution(compile=True))
    trainer.train_step(next(trainer.sampler.steps()))
