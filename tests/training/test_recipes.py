"""Recipes: everything that decides a result, checked where it is written down."""

import copy
import dataclasses
import itertools
import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtbert
from mtbert import RECIPES, Recipe, UserError, load_encoder, recipe
from mtbert.data import TASKS
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments.recipes import reports
from mtbert.nn.heads import HEADS
from mtbert.training.recipe import from_dict, settings
from mtbert.training.run import build_model


def refused(**fields) -> str:
    """What Recipe says of impossible fields: one line, that ``replace`` says too."""
    with pytest.raises(UserError) as caught:
        Recipe(**fields)
    with pytest.raises(UserError):
        Recipe().replace(**fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- impossible values ------------------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_beside_the_known_ones():
    with pytest.raises(UserError, match="no field 'learning_rate': choose from .*lr"):
        Recipe().replace(learning_rate=1)
    with pytest.raises(UserError, match="no field 'self': choose from name, tasks"):
        Recipe().replace(**settings(["self=3"]))
    with pytest.raises(UserError, match="no field 'learning_rate': choose from .*lr"):
        from_dict({"learning_rate": 1})


def test_a_whole_number_keeps_all_its_digits():
    assert Recipe(train_rows=2**60 + 1).train_rows == 2**60 + 1 and Recipe(train_rows="1e3").train_rows == 1000
    assert type(Recipe(seed=np.int64(3)).seed) is int and type(Recipe(lr=1).lr) is float


def test_a_seed_is_one_that_every_generator_takes():
    made = Recipe(seed=2**32 - 1)
    mtbert.utils.device.seed_everything(made.seed)
    assert refused(seed=2**32) == "seed is 4294967296, but must be a whole number from 0 to 4,294,967,295"
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match=f"seed is {seed}, but must be from 0 to 4,294,967,295"):
            mtbert.utils.device.seed_everything(seed)


def test_user_errors_are_value_errors():
    with pytest.raises(ValueError, match="lr"):
        Recipe(lr=-1)


@pytest.mark.parametrize("tasks", ["imdb", ["sst", "imdb"], "sst,imdb", [["sst"]], [1]])
def test_an_unknown_task_is_named(tasks):
    assert refused(tasks=tasks).startswith("tasks: unknown task ")


@pytest.mark.parametrize("tasks", [[], (), "sst,sst", ["sts", "sst", "sts"]])
def test_tasks_are_at_least_one_and_each_once(tasks):
    assert "at least one task, and each once" in refused(tasks=tasks)


@pytest.mark.parametrize("tasks", [5, None, True])
def test_tasks_that_are_no_names_are_refused(tasks):
    assert refused(tasks=tasks).startswith(f"tasks is {tasks!r}")


@pytest.mark.parametrize("field", ["encoding", "head", "batch_size", "max_length"])
def test_an_unknown_task_in_a_mapping_names_the_field(field):
    assert refused(**{field: {"imdb": 1}}).startswith(f"{field}: unknown task 'imdb'")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trainable", "freeze"),
        ("pooling", "sum"),
        ("sampler", "random"),
        ("lr_schedule", "cosine"),
        ("overlap", "ignore"),
        ("precision", "float16"),
        ("trainable", None),
        ("pooling", ["mean"]),
    ],
)
def test_a_choice_that_does_not_exist_names_the_field_and_the_choices(field, value):
    message = refused(**{field: value})
    assert message.startswith(f"{field} is {value!r}: choose from ") and getattr(Recipe(), field) in message


@pytest.mark.parametrize(("field", "value", "first"), [("encoding", "tri", "quora"), ("head", "quadratic", "sst")])
def test_a_choice_per_task_names_field_and_task(field, value, first):
    assert refused(**{field: {"quora": value}}).startswith(f"{field}.quora is {value!r}: choose from ")
    assert refused(**{field: value}).startswith(f"{field}.{first} is {value!r}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", "many"),
        ("epochs", None),
        ("seed", -1),
        ("lr", -1e-5),
        ("lr", "fast"),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", {"sst": 1e-5}),
        ("lr", [1]),
        ("weight_decay", float("inf")),
        ("warmup_ratio", 1.1),
        ("max_grad_norm", -1),
        ("head_dropout", 1),
        ("hidden_dropout", -0.1),
        ("attention_dropout", 1),
        ("num_layers", 0),
        ("steps_per_epoch", 0),
        ("train_rows", 0.5),
        ("seed", float("inf")),
        ("temperature", 0),
        ("oversample", 0.5),
        ("augment_fraction", -0.1),
    ],
)
def test_an_impossible_number_names_field_value_and_bounds(field, value):
    message = refused(**{field: value})
    assert message.startswith(f"{field} is {value!r}, but must be ") and "number from" in message


@pytest.mark.parametrize(("field", "value"), [("batch_size", 0), ("max_length", 3), ("batch_size", "x")])
def test_an_impossible_number_per_task_names_field_and_task(field, value):
    assert refused(**{field: {"sts": value}}).startswith(f"{field}.sts is {value!r}, but must be a whole number from")


PAIR_HEADS = [name for name, head in HEADS.items() if head.pair]
VECTOR_HEADS = [name for name, head in HEADS.items() if not head.pair]


@pytest.mark.parametrize("head", PAIR_HEADS)
def test_heads_on_two_vectors_need_a_bi_encoded_pair(head):
    assert refused(head={"sst": head}).startswith(f"head.sst: {head!r} needs two vectors, but sst has one sentence")
    message = refused(head={"sts": head}, encoding={"sts": "cross"})
    assert message.startswith("head.sts") and "set encoding to bi" in message
    assert Recipe(tasks=("sts",), head=head, encoding="bi").head == {"sts": head}


@pytest.mark.parametrize("head", VECTOR_HEADS)
def test_heads_on_one_vector_refuse_a_bi_encoded_pair(head):
    message = refused(head={"sts": head}, encoding={"sts": "bi"})
    assert message.startswith(f"head.sts: {head!r} sees one vector") and "cosine" in message
    assert Recipe(tasks=("sst", "sts"), head={"sts": head}, encoding="cross").head == {"sst": "linear", "sts": head}


def test_a_head_that_sees_tokens_is_refused_on_kept_vectors():
    message = refused(tasks=("sst",), head={"sst": "convolution"}, trainable="heads")
    assert message.startswith("head.sst: 'convolution' sees every token") and "set trainable to all" in message


def test_a_bounded_head_is_for_scores_only():
    message = refused(tasks=("sst",), head="linear_sigmoid")
    assert message == "head.sst: 'linear_sigmoid' is for a regression task, but sst asks for a multiclass task"


BI = {"tasks": ("sts",), "encoding": "bi", "head": "cosine"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tasks": ("sst",), "loss": "mnrl"}, "loss.sst: 'mnrl' is for a binary task or a regression task, but sst"),
        (
            {"tasks": ("sts",), "encoding": "cross", "head": "linear", "loss": "mnrl"},
            "loss.sts: 'mnrl' needs two vectors, but sts is cross-encoded: set encoding to bi",
        ),
        ({**BI, "loss": "cross_entropy"}, "loss.sts: 'cross_entropy' is for a multiclass task or a binary task"),
        ({"tasks": ("sst",), "loss": "mse"}, "loss.sst: 'mse' is for a regression task"),
        ({**BI, "head": "concat", "loss": "cosent", "trainable": "heads"}, "loss.sts: 'cosent' trains the vectors"),
        (
            {**BI, "loss": "triplet", "gradient_accumulation_steps": 2},
            "gradient_accumulation_steps is 2, but loss.sts: 'triplet' compares the rows",
        ),
        ({**BI, "loss": "mnrl", "batch_size": 1}, "batch_size.sts is 1, but loss.sts: 'mnrl' compares rows"),
        (
            {**BI, "loss": "mnrl", "positive_threshold": 5.5},
            "positive_threshold.sts is 5.5, but the labels of sts end at 5",
        ),
        (
            {**BI, "head": "concat", "smart_weight": 1, "trainable": "heads"},
            "smart_weight.sts is 1, but SMART changes embeddings",
        ),
        ({**BI, "loss": "ranking"}, "loss.sts is 'ranking': choose from default, cross_entropy, mse, mnrl"),
        ({**BI, "triplet_margin": -1}, "triplet_margin.sts is -1, but must be a number from 0 up"),
        ({**BI, "similarity_scale": "high"}, "similarity_scale.sts is 'high', but must be a number from 0 up"),
    ],
)
def test_an_impossible_loss_names_its_fields(fields, expected):
    assert refused(**fields).startswith(expected)


def test_a_duplicate_is_positive_from_one_and_a_similar_pair_from_three():
    assert Recipe().positive_threshold == {"sst": 3.0, "quora": 1.0, "sts": 3.0}
    assert Recipe(tasks=("quora",), encoding="bi", head="cosine", loss="mnrl").positive_threshold == {"quora": 1.0}


def test_encoding_does_not_matter_to_single_sentences():
    assert Recipe(tasks=("sst",), encoding="bi", head="linear").encoding == {}


def test_tasks_that_begin_later_need_epochs_to_begin_in():
    assert "set it to 3 or more" in refused(sampler="stages", epochs=2)
    assert "set it to 2 or more" in refused(sampler="curriculum", epochs=1)
    assert "set it to 2 or more" in refused(sampler="oversampled_curriculum", epochs=1)
    assert "set it to 2 or more" in refused(sampler="alone_first", epochs=1)
    assert Recipe(sampler="stages", epochs=3).epochs == 3


def test_an_optimiser_per_task_needs_steps_of_one_task():
    assert "one task a step" in refused(optimizer_state="per_task", sampler="mixed")
    assert Recipe(optimizer_state="per_task", sampler="round_robin").optimizer_state == "per_task"


def test_copies_of_similarities_are_refused_unless_asked_for():
    assert refused(augment_copies={"sts": 9}).startswith("augment_copies.sts: changed words change how similar")
    assert Recipe(augment_copies={"sts": 9}, augment_scores="keep").augment_copies == {"sts": 9}
    assert Recipe(augment_copies={"sst": 9}).augment_copies == {"sst": 9} and Recipe().augment_copies == {}
    assert refused(augment_fraction=1.5).startswith("augment_fraction is 1.5")


def test_a_token_budget_is_a_tasks_own_and_none_unless_given():
    assert Recipe().tokens_per_batch == {}
    assert Recipe(tokens_per_batch={"sst": 500}).tokens_per_batch == {"sst": 500}
    assert Recipe(tasks=("sst", "sts"), tokens_per_batch=500).tokens_per_batch == {"sst": 500, "sts": 500}
    assert refused(tokens_per_batch={"sst": 0}).startswith("tokens_per_batch.sst is 0, but must be a whole number")


# -- values and defaults ----------------------------------------------------------------------------------------------


def test_numbers_written_as_text_are_numbers():
    made = Recipe(lr="1e-3", epochs="4", batch_size="8", seed=3.0)
    assert (made.lr, made.epochs, made.batch_size["sst"], made.seed) == (1e-3, 4, 8, 3)
    assert isinstance(made.epochs, int) and isinstance(made.seed, int) and isinstance(made.batch_size["sst"], int)


def test_a_name_is_text_whatever_it_looks_like():
    assert Recipe(name=2024).name == "2024"


def test_tasks_may_be_one_text():
    assert Recipe(tasks="sts, sst").tasks == ("sts", "sst")


def test_one_value_serves_all_tasks():
    assert Recipe(batch_size=7).batch_size == {"sst": 7, "quora": 7, "sts": 7}


def test_tasks_that_a_mapping_does_not_name_have_the_default():
    made = Recipe(tasks=tuple(TASKS), batch_size={"sst": 8}, max_length={"sst": 64})
    assert made.batch_size == {"sst": 8, "cfimdb": 32, "quora": 32, "sts": 32, "yelp": 32}
    assert made.max_length == {"sst": 64, "cfimdb": 512, "quora": 128, "sts": 128, "yelp": 256}


def test_a_task_that_joins_later_has_the_same_length_as_one_that_was_there_from_the_start():
    assert recipe("demo").replace(tasks="cfimdb,yelp").max_length == {"cfimdb": 512, "yelp": 256}
    assert RECIPES["li-tang/mix-aux-0.3"].recipe.max_length["yelp"] == 256


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0


def test_what_a_recipe_holds_for_each_task_is_frozen_too():
    made = recipe("demo")
    for field in ("batch_size", "head", "augment_copies"):
        with pytest.raises(TypeError):
            getattr(made, field)["sst"] = 99
    given = {"sst": 8}
    made = Recipe(batch_size=given)
    given["sst"] = made.as_dict()["batch_size"]["sst"] = 99
    assert made.batch_size["sst"] == 8 and repr(made.batch_size) == "{'sst': 8, 'quora': 32, 'sts': 32}"


@pytest.mark.parametrize("name", RECIPES)
def test_copies_of_a_recipe_are_equal_and_have_its_hash(name):
    made = recipe(name)
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), from_dict(made.as_dict())):
        assert other == made and hash(other) == hash(made)
    assert made != made.replace(seed=1) and len({made, made.replace(seed=1), made.replace(seed=made.seed)}) == 2


def test_with_changes_only_the_tasks_a_mapping_names():
    before = Recipe(batch_size={"sst": 8, "quora": 24, "sts": 4})
    after = before.replace(batch_size={"sts": 12}, head={"quora": "two_layer"})
    assert after.batch_size == {"sst": 8, "quora": 24, "sts": 12}
    assert after.head == {"sst": "linear", "quora": "two_layer", "sts": "cosine"}
    assert before.batch_size["sts"] == 4  # the first one is as it was


def test_with_refuses_a_task_that_the_recipe_does_not_have():
    one = Recipe(name="one", tasks=("sst",))
    with pytest.raises(UserError, match="batch_size.quora is given, but recipe one has only sst: leave it out"):
        one.replace(batch_size={"sst": 4, "quora": 8})
    assert one.replace(tasks="sst,quora", batch_size={"quora": 8}).batch_size == {"sst": 32, "quora": 8}
    with pytest.raises(UserError, match="batch_size.sst is given, but recipe one has only sts"):
        one.replace(tasks="sts", batch_size={"sst": 4})


def test_with_a_plain_value_changes_all_tasks():
    assert set(Recipe(batch_size={"sst": 8}).replace(batch_size=5).batch_size.values()) == {5}


def test_differences_name_fields_and_leave_out_the_name():
    one, two = Recipe(name="one", lr=1e-3, batch_size=4), Recipe(name="two", lr=2e-3, batch_size=4)
    assert one.differences(two) == {"lr": (1e-3, 2e-3)}
    assert one.differences(one.replace(name="three")) == {}


# -- in and out of JSON -----------------------------------------------------------------------------------------------

FIELDS = {
    "tasks": st.lists(st.sampled_from(list(TASKS)), min_size=1, unique=True),
    "lr": st.floats(0, 1),
    "seed": st.integers(0, 2**32 - 1),
    "epochs": st.integers(1, 99),
    "num_layers": st.none() | st.integers(1, 12),
    "batch_size": st.integers(1, 99),
    "sampler": st.sampled_from(["mixed", "round_robin", "sequential"]),
    "overlap": st.sampled_from(["drop", "keep"]),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_a_recipe_comes_back_from_json_as_it_was(fields):
    made = Recipe(**fields)
    assert from_dict(json.loads(json.dumps(made.as_dict()))) == made


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_comes_back_from_its_file(name, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe(name).as_dict()))
    assert recipe(path) == recipe(str(path)) == recipe(name)
    assert recipe(name).name == name


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_describes_a_model_that_can_be_built(name):
    made = recipe(name)
    model = build_model(made, load_encoder("tiny", num_layers=1))
    assert set(model.heads) == set(made.tasks)
    assert RECIPES[name].about


@pytest.mark.parametrize("name", ["best", "best-pcgrad", "best-smart", "best-cfimdb"])
def test_the_best_recipes_have_at_most_34_million_parameters(name):
    e5_small = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 12}
    made = recipe(name)
    model = build_model(made, load_encoder("tiny", **e5_small))
    assert made.encoder == "intfloat/e5-small" and made.num_layers is None
    embeddings, layer, pooler = 384 * (30522 + 512 + 2 + 2), 4 * 384 * 385 + 2 * 384 * 1536 + 1920 + 4 * 384, 384 * 385
    assert sum(p.numel() for p in model.bert.parameters()) == embeddings + 12 * layer + pooler
    assert sum(p.numel() for p in model.parameters()) <= 34e6


@pytest.mark.parametrize("name", ["best", "best-pcgrad"])
def test_best_reads_quora_three_or_four_times_and_small_sets_little_more(name):
    made, rows = recipe(name), {"sst": 8541, "quora": 75842, "sts": 6000}
    pace = SamplerConfig(made.epochs, made.steps_per_epoch, made.temperature, made.oversample)
    sampler = SAMPLERS[made.sampler](rows, made.batch_size, 0, pace)
    steps = made.epochs * (made.steps_per_epoch or sampler.steps_per_epoch)
    taken = Counter(task for step in itertools.islice(plan_of(sampler), steps) for task in step)
    passes = {task: taken[task] * made.batch_size[task] / count for task, count in rows.items()}
    assert 2.5 < passes["quora"] <= 4.01 and all(4 < passes[task] < 5.5 for task in ("sst", "sts"))


def plan_of(sampler):
    """The tasks of each step, epoch after epoch."""
    return itertools.chain.from_iterable(sampler.epoch(number) for number in itertools.count())


def test_reports_are_the_first_half_of_names():
    assert reports() == sorted({name.split("/")[0] for name in RECIPES if "/" in name}) and "li-tang" in reports()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown recipe 'demmo': choose from demo, "):
        recipe("demmo")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{", "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[1]", "holds no fields"), (b'{"lr": -1}', "lr is -1")],
)
def test_a_recipe_file_that_cannot_be_used_says_why(tmp_path, content, words):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        recipe(path)
    assert "\n" not in str(caught.value)


def test_a_recipe_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match="none.json does not exist"):
        recipe(tmp_path / "none.json")


# -- name=value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        ([], {}),
        (["lr=1e-3"], {"lr": 1e-3}),
        (["num_layers=null", "tasks=sst,sts"], {"num_layers": None, "tasks": "sst,sts"}),
        (['tasks=["sst"]', "encoder=some/where"], {"tasks": ["sst"], "encoder": "some/where"}),
        (["encoder=a=b"], {"encoder": "a=b"}),
        (["batch_size.sst=8", "batch_size.sts=4"], {"batch_size": {"sst": 8, "sts": 4}}),
        (['batch_size={"sst": 8}', "batch_size.sts=4"], {"batch_size": {"sst": 8, "sts": 4}}),
        (["lr=1", "lr=2"], {"lr": 2}),
        (["encoder="], {"encoder": ""}),
    ],
)
def test_settings_are_read_as_json_where_they_are_json(texts, changes):
    assert settings(texts) == changes


def test_a_setting_without_a_value_is_an_error():
    with pytest.raises(UserError, match="--set 'lr': write name=value"):
        settings(["lr"])


def test_a_field_set_for_all_tasks_cannot_be_set_for_one_as_well():
    with pytest.raises(UserError, match="'head.sts=cosine': head is set for all tasks already"):
        settings(["head=linear", "head.sts=cosine"])
    with pytest.raises(UserError, match="'head=linear': head is set for sts, quora already: set it for all or for"):
        settings(["head.sts=cosine", "head.quora=linear", "head=linear"])


def test_a_setting_per_task_reaches_its_task():
    made = Recipe().replace(**settings(["batch_size.sts=5", "head.quora=two_layer"]))
    assert made.batch_size["sts"] == 5 and made.head["quora"] == "two_layer" and made.head["sts"] == "cosine"
