"""What runs cost: only measured figures, and the README shows those."""

import pandas as pd
import pytest

from mtbert import UserError
from mtbert.experiments.costs import README, costs, markdown
from mtbert.utils import paths


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two files of results: runs on a CPU and on two GPUs, one of them unfinished, and a table that is none of runs."""
    row = {"recipe": "mixed", "encoder": "a/b", "steps": 10, "device": "cpu (X)", "fields": "{}", "status": "finished"}
    pd.DataFrame(
        [{**row, "seconds": 60, "peak_memory_mb": 1024}, {**row, "seconds": 180, "peak_memory_mb": 2048}]
    ).to_csv(tmp_path / "one.csv")
    gpu = {**row, "device": "cuda (Y)", "world_size": 2, "seconds": 6, "peak_memory_mb": 512}
    pd.DataFrame([gpu, {**gpu, "status": "unfinished", "seconds": 1}]).to_csv(tmp_path / "two.csv")
    pd.DataFrame([{"seconds": 1}]).to_csv(tmp_path / "three.csv")
    monkeypatch.setattr(paths, "RESULTS", tmp_path)


def test_runs_of_one_recipe_and_machine_make_one_row(results):
    lines = markdown(costs()).splitlines()[2:]
    assert lines == [
        "| `mixed` | b | 10 | cpu (X) | 2 | 2.0 | 2.0 GB |",
        "| `mixed` | b | 10 | 2 x cuda (Y) | 1 | 0.1 | 0.5 GB |",
    ]


def test_without_any_recorded_run_costs_say_what_to_do(kept):
    (kept / "table.csv").write_text("seconds\n1\n")
    with pytest.raises(UserError, match="holds no run: record some with `mtbert results --record NAME`"):
        costs()


def test_where_no_gpu_was_measured_the_table_says_so(results):
    table = costs()
    assert "not measured" not in markdown(table)
    assert markdown(table[table.device == "cpu (X)"]).endswith("| a GPU | | not measured | not measured |")


def test_the_readme_shows_what_data_results_holds():
    assert markdown(costs(), README) in (paths.ROOT / "README.md").read_text(encoding="utf-8")
