"""Recipes: everything that decides a result, checked where it is written down."""

import copy
import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert import Recipe, UserError
from mtbert.data import TASKS
from mtbert.nn.heads import HEADS
from mtbert.training.recipe import from_dict, settings


def refused(**fields) -> str:
    """What Recipe says about impossible fields: one line, and ``replace`` says it too."""
    with pytest.raises(UserError) as caught:
        Recipe(**fields)
    with pytest.raises(UserError):
        Recipe().replace(**fields)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(("field", "hint"), [("warmup", "did you mean 'warmup_ratio'"), ("self", "choose from name, ")])
def test_an_unknown_field_is_refused_with_the_nearest_one(field, hint):
    assert f"no field '{field}': {hint}" in refused(**{field: 1})


IMPOSSIBLE = {
    "epochs": (0, 1.5, True, "many", None, 1e308),
    "seed": (-1, 2**32, float("inf")),
    "lr": (-1e-5, "fast", "1_0", False, float("nan"), float("inf"), {"sst": 1e-5}, [1], 1e308),
    "warmup_ratio": (1.1,),
    "head_dropout": (1,),
    "train_rows": (0.5,),
    "temperature": (0,),
    "augment_fraction": (1.5, -0.1),
    "trainable": ("freeze", None),
    "pooling": ("sum", ["mean"]),
    "surgery": ("pcgard", *(f"torchjd:{name}" for name in ("", "os", "ExcessMTL", "MoDo", "SDMGrad"))),
    "name": ("", " ", "a\\b", "../a", "/etc/x", "a//b", "."),
    "encoder": ("", b"minilm"),
    "gradient_accumulation_steps": (10**9,),
    "adapter_size": (10**9,),
    "adapter": (5,),
    "tasks": (5, None),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in IMPOSSIBLE for value in IMPOSSIBLE[field]])
def test_an_impossible_value_is_refused_by_field_and_value(field, value):
    assert refused(**{field: value}).startswith(f"{field} is {value!r}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"overlap": "ignore"}, "'refuse', 'drop' or 'keep'"),
        ({"pooling": "sum"}, "cls, mean, max, pooler"),
        ({"batch_size": {"sts": 0}}, "batch_size.sts is 0, but must be at least 1"),
        ({"batch_size": "x"}, "batch_size.sst is 'x', but must be "),
        ({"encoding": "tri"}, "encoding.quora is 'tri', but must be 'cross', 'bi' or 'both'"),
        ({"head": {"quora": "quadratic"}}, "head.quora is 'quadratic', but must be one of linear, "),
        ({"tasks": ["sst", "imdb"]}, "tasks: unknown task 'imdb'"),
        ({"tasks": [["sst"]]}, "tasks: unknown task ['sst']"),
        ({"tasks": ()}, "at least one task, and each once"),
        ({"tasks": "sst,sst"}, "at least one task, and each once"),
        ({"head": {"imdb": "linear"}}, "head: unknown task 'imdb'"),
    ],
)
def test_a_refusal_says_what_is_possible(fields, words):
    assert words in refused(**fields)


NO_VALUE = [True, False, b"5", 1j, object(), [], [1], "", "a\0b", "\ud800", "\u2028", 10**5000, "9" * 5000]
NO_VALUE += [{"sst": [1]}, {"sst": {}}, {5: 5}, {"\ud800": 1}]
NO_NUMBER = ["1_0", "\uff11", 1e308, float("nan"), float("inf")]
OPTIONAL = ("num_layers", "adapter_size", "adapter_heads", "steps_per_epoch", "train_rows", "dev_rows")
LEFT_OUT = ("tokens_per_batch", "augment_copies", "max_length", "positive_threshold")  # None: the task's own, or none


@pytest.mark.parametrize("field", Recipe.model_fields)
def test_what_means_nothing_is_refused_in_every_field(field):
    values = NO_VALUE + ([] if field in ("name", "encoder") else NO_NUMBER)
    for value in [*values, *([] if field in (*OPTIONAL, *LEFT_OUT) else [None])]:
        assert re.match(rf"{field}( is |: |\.)", refused(**{field: value})), value


BI = {"tasks": ("sts",), "encoding": "bi", "head": "cosine"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tasks": ("sst",), "head": "convolution", "trainable": "heads"}, "head.sst: 'convolution' reads every token"),
        ({"tasks": ("sst",), "head": "linear_sigmoid"}, "for regression tasks, but sst is a multiclass task"),
        ({"tasks": ("sst",), "loss": "mnrl"}, "loss.sst: 'mnrl' is for binary or regression tasks"),
        ({**BI, "encoding": "cross", "head": "linear", "loss": "mnrl"}, "compares two vectors"),
        ({**BI, "loss": "cross_entropy"}, "loss.sts: 'cross_entropy' is for multiclass or binary tasks"),
        ({**BI, "head": "concat", "loss": "cosent", "trainable": "heads"}, "'cosent' trains the vectors"),
        ({**BI, "loss": "triplet", "gradient_accumulation_steps": 2}, "gradient_accumulation_steps is 2"),
        ({**BI, "loss": "mnrl", "batch_size": 1}, "batch_size.sts is 1"),
        ({**BI, "loss": "mnrl", "tokens_per_batch": 500}, "tokens_per_batch.sts is 500"),
        ({**BI, "loss": "mnrl", "positive_threshold": 5.5}, "positive_threshold.sts is 5.5, but the labels"),
        ({**BI, "head": "concat", "smart_weight": 1, "trainable": "heads"}, "smart_weight.sts is 1"),
        ({"sampler": "stages", "epochs": 2}, "epochs is 2, .*set it to 3 or more"),
        ({"sampler": "curriculum", "epochs": 1}, "epochs is 1, .*set it to 2 or more"),
        ({"optimizer_state": "per_task", "sampler": "mixed"}, "optimizer_state is 'per_task', .*one task a step"),
        ({"surgery": "pcgrad", "loss_weighting": "uw"}, "loss_weighting is 'uw' and surgery 'pcgrad'"),
        ({"augment_copies": {"sts": 9}}, "augment_copies.sts"),
        ({"adapter": "pal", "trainable": "heads", "tasks": ("sst",), "head": "linear"}, "adapter is 'pal'"),
        ({"trainable": "adapters"}, "trainable is 'adapters', but there is no adapter"),
        ({"adapter_size": 8}, "adapter_size is 8"),
        ({"label_smoothing": {"sts": 0.1}}, "label_smoothing.sts is 0.1, .* no classes"),
        ({"tasks": ("sst",), "loss": "ordinal", "label_smoothing": 0.1}, "label_smoothing.sst is 0.1"),
        ({"loss": {"quora": "ordinal"}}, "loss.quora: 'ordinal' is for multiclass tasks"),
        ({"tasks": ("sst",), "trainable": "heads", "rdrop_weight": 1}, "rdrop_weight.sst is 1, .* trainable=heads"),
        ({"surgery_groups": "main_and_auxiliary"}, "surgery_groups is 'main_and_auxiliary', .* set surgery"),
        ({"surgery": "pcgrad", "surgery_groups": "main_and_auxiliary"}, "none of the tasks is auxiliary"),
        (
            {"loss": {"sst": "supervised_contrastive"}, "head": {"sst": "convolution"}},
            "loss.sst: 'supervised_contrastive' reads one vector, but head 'convolution'",
        ),
        ({**BI, "loss": "cosent", "rdrop_weight": 1}, "rdrop_weight.sts is 1, .* loss 'cosent'"),
        (
            {"rdrop_weight": {"sst": 1}, "hidden_dropout": 0, "attention_dropout": 0, "head_dropout": 0},
            "rdrop_weight.sst is 1, .* without dropout",
        ),
        ({"tasks": ("sst",), "trainable": "heads", "layerwise_lr_decay": 0.9}, "layerwise_lr_decay is 0.9"),
        ({"tasks": ("sst",), "trainable": "heads", "head_lr_factor": 9}, "head_lr_factor is 9"),
        ({"adapter": "low_rank", "adapter_heads": 2}, "adapter_heads is 2"),
        ({"adapter": "top", "adapter_activation": "gelu"}, "adapter_activation mean nothing to adapter 'top'"),
    ],
)
def test_values_that_do_not_fit_together_are_named(fields, words):
    with pytest.raises(UserError, match=words):
        Recipe(**fields)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_and_an_encoding_fit_together(head):
    fits = HEADS[head].encoding
    assert Recipe(tasks=("sts",), head=head, encoding=fits).head == {"sts": head}
    for other in {"cross", "bi", "both"} - {fits}:
        message = refused(head={"sts": head}, encoding={"sts": other})
        start, choices = message.split(f": set it to {fits}, or choose from ")
        assert start == f"head.sts: {head!r} is for encoding {fits}, but encoding.sts is {other}"
        for choice in choices.split(", "):
            assert Recipe(tasks=("sts",), head=choice, encoding=other).encoding == {"sts": other}
    if fits != "cross":
        assert refused(head={"sst": head}).startswith(f"head.sst: {head!r} reads a pair's vectors, but sst has one")


def test_numbers_may_be_text_and_keep_all_their_digits():
    written = Recipe(lr="1e-3", epochs="4", batch_size="8", seed=np.int64(3), temperature=".5", train_rows="1e3")
    assert (written.lr, written.epochs, written.batch_size["sst"], written.train_rows) == (1e-3, 4, 8, 1000)
    assert type(written.epochs) is type(written.seed) is type(written.batch_size["sst"]) is int
    assert type(Recipe(lr=1).lr) is float and Recipe(seed=3.0).seed == 3
    assert Recipe(train_rows=2**60 + 1).train_rows == Recipe(train_rows=str(2**60 + 1)).train_rows == 2**60 + 1
    assert Recipe(name=2024).name == "2024" and Recipe(tasks="sts, sst").tasks == ("sts", "sst")


def test_one_value_serves_all_tasks_and_a_mapping_leaves_the_others_at_their_defaults():
    assert Recipe(batch_size=7).batch_size == {"sst": 7, "quora": 7, "sts": 7}
    made = Recipe(tasks=tuple(TASKS), batch_size={"sst": 8}, max_length={"sst": 64})
    assert made.batch_size == {"sst": 8, "cfimdb": 32, "quora": 32, "sts": 32, "yelp": 32}
    assert made.max_length == {"sst": 64, "cfimdb": 512, "quora": 128, "sts": 128, "yelp": 256}
    assert Recipe().positive_threshold == {"sst": 3.0, "quora": 1.0, "sts": 3.0}
    assert Recipe(tasks=("sst",), encoding="bi", head="linear").encoding == {}  # a single sentence has none
    assert Recipe().replace(tasks="cfimdb,yelp").max_length == {"cfimdb": 512, "yelp": 256}


@pytest.mark.parametrize("field", ["tokens_per_batch", "augment_copies"])
def test_some_fields_leave_out_tasks(field):
    two = Recipe(augment_scores="keep", tasks=("sst", "sts"))
    assert getattr(two, field) == {} and getattr(two.replace(**{field: 9}), field) == {"sst": 9, "sts": 9}
    assert getattr(two.replace(**{field: {"sst": 9, "sts": None}}), field) == {"sst": 9}


def test_recipes_are_frozen_with_all_they_hold():
    given_sizes = {"sst": 8}
    made = Recipe(batch_size=given_sizes)
    with pytest.raises(ValueError):
        made.lr = 1.0
    with pytest.raises(TypeError):
        made.batch_size["sst"] = 99
    given_sizes["sst"] = made.as_dict()["batch_size"]["sst"] = 99
    assert made.batch_size["sst"] == 8 and repr(made.batch_size) == "{'sst': 8, 'quora': 32, 'sts': 32}"


FIELDS = {
    "tasks": st.lists(st.sampled_from(list(TASKS)), min_size=1, unique=True),
    "lr": st.floats(0, 1),
    "seed": st.integers(0, 2**32 - 1),
    "batch_size": st.integers(1, 99),
    "sampler": st.sampled_from(["mixed", "round_robin", "sequential"]),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_copies_of_a_recipe_are_equal_and_have_its_hash(fields):
    made = Recipe(**fields)
    from_json = from_dict(json.loads(json.dumps(made.as_dict())))
    for other in (from_json, pickle.loads(pickle.dumps(made)), copy.deepcopy(made), made.replace(seed=made.seed)):
        assert other == made and hash(other) == hash(made) and not made.differences(other)
    assert made != made.replace(seed=made.seed ^ 1)


def test_replace_changes_only_the_tasks_that_a_mapping_names():
    before = Recipe(batch_size={"sst": 8, "quora": 24, "sts": 4})
    after = before.replace(batch_size={"sts": 12}, head={"quora": "two_layer"})
    assert after.batch_size == {"sst": 8, "quora": 24, "sts": 12} and before.batch_size["sts"] == 4
    assert after.head == {"sst": "linear", "quora": "two_layer", "sts": "cosine"}
    assert set(before.replace(batch_size=5).batch_size.values()) == {5}


def test_replace_refuses_a_task_that_the_recipe_does_not_have():
    one = Recipe(name="one", tasks=("sst",))
    with pytest.raises(UserError, match="batch_size.quora is given, but recipe one has only sst: leave it out"):
        one.replace(batch_size={"sst": 4, "quora": 8})
    assert one.replace(tasks="sst,quora", batch_size={"quora": 8}).batch_size == {"sst": 32, "quora": 8}
    with pytest.raises(UserError, match="batch_size.sst is given, but recipe one has only sts"):
        one.replace(tasks="sts", batch_size={"sst": 4})


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        (["num_layers=null", "tasks=sst,sts"], {"num_layers": None, "tasks": "sst,sts"}),
        (['tasks=["sst"]', "encoder=some/where"], {"tasks": ["sst"], "encoder": "some/where"}),
        (["encoder=a=b"], {"encoder": "a=b"}),
        (["batch_size.sst=8", "batch_size.sts=4"], {"batch_size": {"sst": 8, "sts": 4}}),
        (['batch_size={"sst": 8}', "batch_size.sts=4"], {"batch_size": {"sst": 8, "sts": 4}}),
        (["lr=1", "lr=2"], {"lr": 2}),
        ([f"seed={'9' * 5000}"], {"seed": "9" * 5000}),
    ],
)
def test_settings_are_read_as_json_where_they_are_json(texts, changes):
    assert settings(texts) == changes


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["lr"], "--set 'lr': write name=value"),
        (["head=linear", "head.sts=cosine"], "'head.sts=cosine': head is set for all tasks already"),
        (["head.sts=cosine", "head.quora=linear", "head=linear"], "'head=linear': head is set for sts, quora already"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(texts, words):
    with pytest.raises(UserError, match=words):
        settings(texts)
