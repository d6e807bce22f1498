"""Adapters: parameter counts, a start that changes nothing and can learn, several tasks in one batch, files."""

import re
import shutil

import pandas as pd
import pytest
import torch
from helpers import random_batch, small_config
from torch.testing import assert_close

import mtbert
from mtbert import Recipe, UserError
from mtbert.data import TASKS, read_split
from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn import ADAPTERS, BertConfig, TaskAdapters, build_adapter
from mtbert.nn.adapters import AdapterShape
from mtbert.nn.bert import Bert
from mtbert.training.run import build_model, recipe_encoder
from mtbert.utils import paths

BERT_BASE = BertConfig()
MINILM = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
SMALL = small_config(hidden_size=24, num_attention_heads=4)
NAMES = [*ADAPTERS, "low_rank+top", "pal+top", "houlsby+lora"]


def moved(adapter):
    """The adapter with every parameter drawn anew, so that it does something."""
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_(0, 0.2)
    return adapter


def three_tasks() -> PackedBatch:
    lengths = {"sst": [5, 3], "quora": [9], "sts": [4, 7, 2]}
    return PackedBatch.join({task: random_batch(lengths[task], seed) for seed, task in enumerate(lengths)})


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("pal", BERT_BASE, 1_819_836),  # the published counts
        ("low_rank", BERT_BASE, 12 * 154_468),
        ("top", BERT_BASE, 7_087_872),
        ("pal", MINILM, 2 * 384 * 96 + 96 + 384 + 6 * 3 * (96 * 96 + 96)),
        ("low_rank", MINILM, 6 * (2 * 384 * 50 + 50 + 384)),
        ("houlsby", MINILM, 6 * 2 * (2 * 384 * 32 + 32 + 384)),
        ("lora", MINILM, 6 * 2 * 2 * 8 * 384),
    ],
)
def test_counts_at_the_default_sizes(name, config, expected):
    assert sum(parameter.numel() for parameter in build_adapter(name, config).parameters()) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [AdapterShape(), AdapterShape(projections=3, activation="gelu")])
def test_at_first_nothing_changes_and_after_one_step_every_parameter_has_a_gradient(name, shape):
    torch.manual_seed(0)
    bert, batch = Bert(SMALL).double().eval().requires_grad_(False), three_tasks()
    adapters = TaskAdapters({task: build_adapter(name, SMALL, shape) for task in batch.slices}).double()
    with torch.no_grad():
        assert torch.equal(bert(batch, adapters), bert(batch))
    parameters = list(adapters.parameters())
    for learn in (any, all):  # the zero matrix learns at once, the others after it
        loss = (bert(batch, adapters) * torch.randn(batch.tokens, SMALL.hidden_size)).sum()
        gradients = torch.autograd.grad(loss, parameters)
        assert learn(gradient.any() for gradient in gradients)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= gradient


@pytest.mark.parametrize("projections", [1, 2, 3])
@pytest.mark.parametrize("name", ["pal", "low_rank", "top", "houlsby"])
def test_what_reaches_the_last_matrix_is_about_as_large_as_what_came_in(name, projections):
    torch.manual_seed(0)
    batch, scales = three_tasks(), []
    adapter = build_adapter(name, MINILM, AdapterShape(projections=projections)).eval()
    for module in adapter.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            module.register_forward_pre_hook(lambda _, inputs: scales.append(inputs[0].std().item()))
    for point in adapter.hook_points:
        adapter(point, 0, torch.randn(batch.tokens, MINILM.hidden_size), batch)
    assert scales and min(scales) > 0.05 and max(scales) < 2


def test_a_pal_is_its_equation_written_out():
    torch.manual_seed(0)
    bert, batch = Bert(SMALL).double().eval(), pack_sequences([[3, 4, 5, 6, 7]])
    pal = moved(build_adapter("pal", SMALL, AdapterShape(size=12))).double()
    batch.slices = {"sst": slice(0, 1)}
    hidden = bert.embeddings(batch)
    for layer, qkv in zip(bert.layers, pal.qkv, strict=True):
        small = hidden @ pal.encode[0].weight.T + pal.encode[0].bias
        heads = [part.view(5, 4, 3).transpose(0, 1) for part in qkv(small).chunk(3, dim=1)]  # (heads, tokens, 3)
        weights = (heads[0] @ heads[1].mT / 3**0.5).softmax(-1)
        mixed = (weights @ heads[2]).transpose(0, 1).reshape(5, 12)
        added = mixed @ pal.decode[0].weight.T + pal.decode[0].bias
        total = {}
        layer(hidden, batch, lambda point, y, x, total=total: total.setdefault(point, y))
        hidden = layer.output_norm(total["layer"] + added)
    assert_close(bert(batch, TaskAdapters({"sst": pal})), hidden)


def test_lora_is_a_change_of_the_query_and_value_matrices():
    torch.manual_seed(0)
    bert, batch = Bert(SMALL).double().eval(), three_tasks()
    lora = moved(build_adapter("lora", SMALL, AdapterShape(size=3))).double()
    with_lora = bert(batch, TaskAdapters({task: lora for task in batch.slices}))
    with torch.no_grad():
        for layer, a, b in zip(bert.layers, lora.a, lora.b, strict=True):
            change = lora.scale * b @ a  # (2, hidden, hidden)
            layer.qkv.weight += torch.cat([change[0], torch.zeros_like(change[0]), change[1]])
    assert_close(bert(batch), with_lora)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_of_several_tasks_in_one_batch_are_as_each_alone(name):
    torch.manual_seed(0)
    bert, batch = Bert(SMALL).double().eval(), three_tasks()
    adapters = TaskAdapters({task: moved(build_adapter(name, SMALL)) for task in ("sst", "quora")}).double()
    together, none = bert(batch, adapters), bert(batch)
    for task, sequences in batch.slices.items():
        tokens = batch.token_slice(sequences)
        assert torch.allclose(together[tokens], none[tokens]) == (task == "sts")  # it has no adapter
        for index in range(sequences.start, sequences.stop):
            alone = batch.select(slice(index, index + 1))
            alone.slices = {task: slice(0, 1)}
            assert_close(bert(alone, adapters), together[batch.token_slice(slice(index, index + 1))])


def test_a_batch_must_say_whose_sequences_it_holds():
    batch, bert = three_tasks(), Bert(SMALL)
    adapters = TaskAdapters({"sst": build_adapter("pal", SMALL)})
    for slices in ({}, {"sst": slice(0, 2)}, {"sst": slice(1, 6)}):
        with pytest.raises(ValueError, match="slices must name the task of all 6 sequences"):
            bert(PackedBatch(batch.ids, batch.token_types, batch.lengths, slices), adapters)


def test_impossible_adapters_are_refused():
    with pytest.raises(UserError, match="adapter_size is 128, but must be a multiple of the 12 heads"):
        build_adapter("pal", BERT_BASE, AdapterShape(128))
    build_adapter("pal", SMALL, AdapterShape(128, heads=8))
    for name in ("palm", "pal+pal", ""):
        with pytest.raises(UserError, match=f"adapter is '{re.escape(name)}'.*pal, low_rank, top, houlsby, lora"):
            build_adapter(name, SMALL)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return mtbert.recipe("tiny").replace(train_rows=12, dev_rows=12, epochs=1, steps_per_epoch=2, adapter="pal")


@pytest.fixture(scope="module")
def train(tmp_path_factory, recipe):
    """Trains the recipe with some fields changed; the same changes give the same run."""
    runs = {}

    def run(**changes):
        key = str(changes)
        if key not in runs:
            folder = tmp_path_factory.mktemp("run")
            runs[key] = mtbert.train(recipe.replace(**changes), folder, paths.SAMPLE, "cpu", progress=False)
        return runs[key]

    return run


@pytest.mark.parametrize("trainable", ["all", "adapters", "adapters_and_norms"])
def test_training_moves_what_trainable_names_and_nothing_else(recipe, train, trainable):
    recipe = recipe.replace(trainable=trainable)
    before = build_model(recipe, recipe_encoder(recipe)).state_dict()
    after = mtbert.load_model(train(trainable=trainable).folder).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("decode" in name for name in moved) and any(name.startswith("heads.") for name in moved)
    encoder = {name for name in moved if name.startswith(("bert.", "encoder."))}
    assert bool(encoder) == (trainable != "adapters")
    if trainable == "adapters_and_norms":
        assert all("norm" in name for name in encoder)
    if trainable == "all":
        assert any("qkv" in name for name in encoder)


def test_a_run_of_adapters_stores_no_encoder(train):
    run = train(trainable="adapters_and_norms")
    files = {path.name: path.stat().st_size for path in run.folder.iterdir()}
    assert files.keys() == {"run.json", "recipe.json", "adapters.safetensors", "heads.safetensors", "predictions"}
    size = files["adapters.safetensors"] + files["heads.safetensors"]
    assert abs(size - 4 * run.record["trainable_parameters"]) < 20_000  # four bytes a parameter, and the names


def test_a_loaded_run_predicts_as_it_did(train):
    run = train(trainable="adapters_and_norms")
    predictions = pd.read_csv(run.folder / "predictions" / "sst-dev.csv")["prediction"].tolist()
    dev = read_split(paths.SAMPLE, TASKS["sst"], "dev").subsample(12).examples
    assert mtbert.load_model(run.folder).predict("sst", [row.texts[0] for row in dev]) == predictions


def test_adapters_of_several_runs_share_one_encoder(train):
    kinds = {"sst": "pal", "quora": "lora", "sts": "low_rank+top"}
    texts = {"sst": ["a good film"], "quora": [("a b", "b c")], "sts": [("a b", "b c"), ("x", "y")]}
    runs = {task: train(tasks=(task,), adapter=kind, trainable="adapters") for task, kind in kinds.items()}
    joined = mtbert.merge_runs([run.folder for run in runs.values()])
    for task, run in runs.items():
        alone = mtbert.load_model(run.folder).predict_proba(task, texts[task])
        assert torch.equal(joined.predict_proba(task, texts[task]), alone)


def test_runs_that_changed_their_encoder_share_none(train):
    adapters = train(tasks=("sst",), adapter="pal", trainable="adapters").folder
    norms = train(trainable="adapters_and_norms").folder
    with pytest.raises(UserError, match=f"{norms.name}.*trainable=adapters_and_norms"):
        mtbert.merge_runs([adapters, norms])
    with pytest.raises(UserError, match="both models have a head for sst"):
        mtbert.merge_runs([adapters, adapters])
    with pytest.raises(UserError, match="at least one run"):
        mtbert.merge_runs([])


def test_a_damaged_or_missing_adapter_file_is_named(train, tmp_path):
    folder = shutil.copytree(train(trainable="adapters").folder, tmp_path / "run")
    path = folder / "adapters.safetensors"
    spoils = {
        "is damaged or of another recipe": lambda: shutil.copy(folder / "heads.safetensors", path),
        "is damaged": lambda: path.write_bytes(b"no tensors"),
        "does not exist": path.unlink,
    }
    for expected, spoil in spoils.items():
        spoil()
        with pytest.raises(UserError, match=f"adapters.safetensors {expected}"):
            mtbert.load_model(folder)
