"""Named recipes: they can be read, written and built, and the recorded runs are runs of them."""

import csv
import json
import subprocess
import sys

import jsonschema
import pytest

from mtbert import RECIPES, UserError, load_encoder, recipe
from mtbert.experiments.recipes import report_names, scale_of
from mtbert.experiments.results import recipe_of
from mtbert.training.recipe import from_dict, recipe_schema
from mtbert.training.run import build_model
from mtbert.utils import paths
from mtbert.utils.tables import read_csv


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
    assert made.encoder == "intfloat/e5-small" and made.num_layers is None
    assert sum(p.numel() for p in build_model(made, load_encoder("tiny", **e5_small)).parameters()) <= 34e6


def test_reports_are_the_first_half_of_names_and_an_unknown_name_is_answered_with_the_nearest():
    assert report_names() == sorted({name.split("/")[0] for name in RECIPES if "/" in name})
    with pytest.raises(UserError, match="unknown recipe 'demmo': did you mean 'demo'"):
        recipe("demmo")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "mine.json does not exist"),
        (b"{", "mine.json is not JSON"),
        (b"[" * 10**5, "mine.json is nested"),
        (b"[1]", "mine.json holds no JSON object"),
        (b'{"lr": -1}', "mine.json: lr is -1"),
        (b'{"epochs": ' + b"9" * 5000 + b"}", "5,000 digits in field 'epochs'"),
        (b'{"lr": NaN}', "in field 'lr'"),
        (b'{"name": "a\\u0000"}', "NUL in field 'name'"),
        (b'{"encoder": null}', "mine.json: encoder is None"),
        (b'{"epochs": 1, "epochs": 2}', "second value in field 'epochs'"),
    ],
)
def test_a_recipe_file_that_cannot_be_used_says_why(tmp_path, content, words):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        recipe(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_recipes_need_neither_pandas_nor_the_reports_files(tmp_path):
    program = f"""
import pathlib, sys
import mtbert
assert not {{name for name in sys.modules if name.startswith("mtbert.experiments")}}
from mtbert.utils import paths
paths.REPORTS = pathlib.Path({str(tmp_path)!r})
assert mtbert.recipe("li-tang/seq").name == "li-tang/seq" and mtbert.RECIPES["best"].printed == {{}}
assert "pandas" not in sys.modules and mtbert.RECIPES["li-tang/seq"].printed == {{}}
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# file -> at least so many runs, scales at which they are the named recipes (None: with changed fields), a figure
RECORDED = {
    "best": (4, {None}, "plain", "0.7518895127729031"),
    "learning_rates": (6, {None}, "cfimdb", "0.7755102040816326"),
    "multitask": (1, {None}, "plain", "0.7178135357815328"),
    "reports": (67, {"small"}, "plain", "0.46046870436154047"),
    "single_task": (11, {"full"}, "cfimdb", "0.8204081632653061"),
    "strategies": (22, {None}, "sst", "0.4268846503178928"),
    "sts": (28, {"full", None}, "sts", "0.8791489776775023"),
    "surgery": (13, {None}, "quora", "0.6815753018009103"),
}


def test_recorded_runs_rebuild_their_recipes():
    csv.field_size_limit(2**31)
    tables = {path.stem: read_csv(path) for path in paths.RESULTS.glob("*.csv")}
    for rows in tables.values():
        for row in (row for row in rows if row.get("fields")):
            rebuilt = recipe_of(row)
            assert json.loads(row["fields"]).items() <= rebuilt.as_dict().items() and rebuilt.name == row["recipe"]
    for name, (at_least, scales, metric, figure) in RECORDED.items():
        assert len(tables[name]) >= at_least and figure in {row[metric] for row in tables[name]}
        assert scales <= {scale_of(recipe_of(row)) for row in tables[name]}
