"""The multitask model: its forward pass, and that every module of the room has one."""

import importlib
import pkgutil

import pytest
import torch
from torch import nn

import mtbert.nn
from mtbert.data import TASKS, PackedBatch
from mtbert.nn.adapters import Adapter
from mtbert.nn.model import MultitaskModel
from mtbert.utils.errors import UserError

SENTENCES, PAIRS = ["a fine film", "no"], [("a cat", "the cat"), ("one", "two three"), ("x", "y")]
MODULES = {
    cls
    for info in pkgutil.iter_modules(mtbert.nn.__path__)
    for cls in vars(importlib.import_module(f"mtbert.nn.{info.name}")).values()
    if isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__.startswith("mtbert.nn.")
}


@pytest.mark.parametrize("cls", sorted(MODULES - {Adapter}, key=lambda cls: cls.__name__))
def test_every_module_has_a_forward(cls):
    inherited = (nn.Module, nn.ModuleDict, nn.ModuleList, Adapter)
    assert not any(cls.forward is getattr(parent, "forward", None) for parent in inherited)


@pytest.fixture
def model():
    heads = {"sst": "convolution", "quora": "linear", "sts": "cosine"}
    tasks = [TASKS[name] for name in heads]
    return MultitaskModel(mtbert.load_encoder("tiny"), tasks, heads, {"sts": "bi"}, dict.fromkeys(heads, 32)).eval()


def test_a_head_on_both_encodings_gets_the_two_sentences_and_the_pair():
    heads, lengths = {"sts": "cosine_and_cross"}, {"sts": 32}
    model = MultitaskModel(mtbert.load_encoder("tiny"), [TASKS["sts"]], heads, {"sts": "both"}, lengths).eval()
    apart, together = (model.vectors(model.encoder.pack(PAIRS, encoding)) for encoding in ("bi", "cross"))
    expected = model.heads["sts"](torch.cat([apart.view(len(PAIRS), 2, -1), together[:, None]], dim=1))
    assert model.predict_proba("sts", PAIRS).tolist() == pytest.approx(expected[:, 0].clamp(0, 5).tolist(), abs=1e-5)


def test_forward_gives_the_logits_of_each_task_and_losses_are_those_of_the_logits(model):
    pack = model.encoder.pack
    batch = PackedBatch.join({"sst": pack(SENTENCES), "quora": pack(PAIRS), "sts": pack(PAIRS, "bi")})
    logits = model(batch)
    shapes = {task: tuple(values.shape) for task, values in logits.items()}
    assert shapes == {"sst": (2, 5), "quora": (3, 1), "sts": (3, 1)}
    for task, texts in {"sst": SENTENCES, "quora": PAIRS, "sts": PAIRS}.items():
        predicted = model.predict_proba(task, texts)
        assert torch.allclose(mtbert.nn.model.probabilities(TASKS[task], logits[task]), predicted, atol=1e-6)
    labels = {"sst": torch.tensor([4.0, 0.0]), "quora": torch.tensor([1.0, 0, 0]), "sts": torch.tensor([4.0, 1, 0])}
    for task, loss in model.losses(batch, labels).items():
        torch.testing.assert_close(loss, mtbert.nn.task_loss(TASKS[task], logits[task], labels[task]))


def test_an_encoder_must_fit_the_tasks():
    heads, lengths = {"quora": "linear"}, {"quora": 32}
    one_type = mtbert.load_encoder("tiny", type_vocab_size=1, max_position_embeddings=64)
    assert MultitaskModel(one_type, [TASKS["quora"]], {"quora": "concat_diff"}, {"quora": "bi"}, lengths)
    for encoding in ({}, {"quora": "cross"}):
        with pytest.raises(UserError, match=r"encoding\.quora.*type_vocab_size"):
            MultitaskModel(one_type, [TASKS["quora"]], heads, encoding, lengths)
    with pytest.raises(UserError, match=r"max_length\.sst.*65.*64"):
        MultitaskModel(one_type, [TASKS["sst"]], {"sst": "linear"}, {}, {"sst": 65})


def test_what_predict_truncates_or_reads_as_special_tokens_is_logged(model, messages):
    model.predict("sst", ["word " * 40, "a [SEP] b"])
    truncated, special = messages
    assert "sst" in truncated and "1 of 2" in truncated and "32" in truncated
    assert "sst" in special and "1 special" in special


@pytest.mark.parametrize("task", ["sst", "quora", "sts"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_output_that_is_not_finite_has_no_label(task, value):
    logits = torch.zeros(4, TASKS[task].num_outputs)
    logits[2, -1] = value
    for answer in (mtbert.nn.model.labels_from, mtbert.nn.model.probabilities):
        with pytest.raises(UserError, match=rf"'{task}'.*1 of 4 rows.*row 3 .*{value:g}"):
            answer(TASKS[task], logits)


def test_a_model_with_a_weight_that_is_not_finite_predicts_nothing(model):
    with torch.no_grad():
        model.bert.layers[0].output.weight[0, 0] = float("nan")
    for task, texts in {"sst": SENTENCES, "quora": PAIRS, "sts": PAIRS}.items():
        for predict in (model.predict, model.predict_proba):
            with pytest.raises(UserError, match=f"'{task}'.*finite"):
                predict(task, texts)
