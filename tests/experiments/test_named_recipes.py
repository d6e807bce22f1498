"""Named recipes: they can be read, written and built, and the recorded runs are runs of them."""

import csv
import itertools
import json
import subprocess
import sys
from collections import Counter

import jsonschema
import pytest

from mtbert import RECIPES, UserError, load_encoder, recipe
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments.recipes import about_report, report_names, scale_of
from mtbert.experiments.results import recipe_of
from mtbert.training.recipe import from_dict, recipe_schema
from mtbert.training.run import build_model
from mtbert.utils import paths


def test_every_named_recipe_comes_back_from_its_file_and_fits_the_schema(tmp_path):
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, entry in RECIPES.items():
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(entry.recipe.as_dict()))
        assert recipe(path) == recipe(str(path)) == recipe(name) and hash(recipe(path)) == hash(recipe(name))
        assert recipe(name).name == name and entry.about
        jsonschema.validate(json.loads(path.read_text()), schema)


@pytest.mark.parametrize("fields", [{"lr": -1}, {"learning_rate": 1}, {"head": {"sst": "x"}}, {"batch_size": {"x": 1}}])
def test_the_schema_refuses_what_a_recipe_refuses(fields):
    with pytest.raises(UserError):
        from_dict(fields)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(fields, recipe_schema())
    jsonschema.validate({"lr": 1e-3, "batch_size": 8, "head": {"sst": "two_layer"}}, recipe_schema())


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
    config = SamplerConfig(made.epochs, made.steps_per_epoch, made.temperature, made.max_oversampling)
    sampler = SAMPLERS[made.sampler](rows, made.batch_size, 0, config)
    steps = made.epochs * (made.steps_per_epoch or sampler.steps_per_epoch)
    plan = itertools.chain.from_iterable(sampler.epoch(epoch) for epoch in itertools.count())
    batches = Counter(task for step in itertools.islice(plan, steps) for task in step)
    passes = {task: batches[task] * made.batch_size[task] / count for task, count in rows.items()}
    assert 2.5 < passes["quora"] <= 4.01 and all(4 < passes[task] < 5.5 for task in ("sst", "sts"))


# -- names and files --------------------------------------------------------------------------------------------------


def test_reports_are_the_first_half_of_names():
    assert report_names() == sorted({name.split("/")[0] for name in RECIPES if "/" in name})
    assert all(about_report(report) for report in report_names())


@pytest.mark.parametrize(("name", "hint"), [("demmo", "did you mean 'demo'"), ("xyz", "`mtbert recipes` lists them")])
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=f"unknown recipe '{name}': {hint}"):
        recipe(name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "mine.json does not exist"),
        (b"{", "mine.json is not JSON"),
        (b"\xff\xfe", "mine.json is not JSON"),
        (b"[" * 10**5, "mine.json is not JSON"),
        (b"[1]", "mine.json holds no fields"),
        (b'{"lr": -1}', "lr is -1"),
        (b'{"epochs": ' + b"9" * 5000 + b"}", "epochs is '999"),
        (b'{"name": "\\u0000"}', "name is "),
    ],
)
def test_a_recipe_file_that_cannot_be_used_says_why(tmp_path, content, words):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        recipe(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_recipes_need_neither_pandas_nor_good_report_files(tmp_path):
    (tmp_path / "li-tang.csv").write_text("table,sst\nTable 1,many\n")
    program = f"""
import pathlib, sys
import mtbert
assert not {{name for name in sys.modules if name.startswith("mtbert.experiments")}}
from mtbert.utils import paths
paths.REPORTS = pathlib.Path({str(tmp_path)!r})
import mtbert.experiments.recipes
assert mtbert.recipe("li-tang/seq").name == "li-tang/seq" and mtbert.RECIPES["best"].printed == {{}}
assert "pandas" not in sys.modules and len(mtbert.RECIPES) == {len(RECIPES)}
try:
    mtbert.RECIPES["li-tang/seq"].printed
except mtbert.UserError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("li-tang.csv, ")


# -- recorded runs ----------------------------------------------------------------------------------------------------


def recorded(name: str) -> list[dict]:
    csv.field_size_limit(2**31)
    with open(paths.RESULTS / f"{name}.csv", newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row.get("fields")]


@pytest.mark.parametrize(
    ("name", "at_least", "named", "metric", "figure"),
    [
        ("best", 4, {None}, "plain", "0.7518895127729031"),
        ("multitask", 1, {None}, "plain", "0.7178135357815328"),
        ("reports", 66, {"small"}, "plain", "0.3724430781367189"),
        ("single_task", 11, {"full"}, "cfimdb", "0.7755102040816326"),
        ("strategies", 22, {None}, "sst", "0.4268846503178928"),
        ("sts", 28, {"full", None}, "sts", "0.8791489776775023"),
        ("surgery", 13, {None}, "quora", "0.6815753018009103"),
    ],
)
def test_recorded_runs_rebuild_their_recipes(name, at_least, named, metric, figure):
    """The named scales are those at which runs of a file are the named recipes; None for runs with changed fields."""
    rows = recorded(name)
    assert len(rows) >= at_least and figure in {row[metric] for row in rows}
    for row in rows:
        fields, rebuilt = json.loads(row["fields"]), recipe_of(row)
        assert fields.items() <= rebuilt.as_dict().items() and rebuilt.name == row["recipe"]
    scales = {scale_of(recipe_of(row)) for row in rows}
    assert named <= scales


def test_every_results_file_with_recipes_is_tested_above():
    with_fields = {
        path.stem for path in paths.RESULTS.glob("*.csv") if "fields" in path.open(encoding="utf-8").readline()
    }
    assert with_fields == {"best", "multitask", "reports", "single_task", "strategies", "sts", "surgery"}
