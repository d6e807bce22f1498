"""The record of notebook 02's probes on real rows."""

import torch

from mtbert.experiments.results import read_table
from mtbert.utils import paths
from mtbert.utils.files import file_sha256
from mtbert.workbook.probes import record_probes, recorded_probes

RIGHT = {"trained layer 5": torch.arange(100) < 40, "word counts": torch.arange(100) % 10 < 3}


def test_probes_are_recorded_once_with_the_checksums_of_their_rows(results_dir, sample):
    for right in ({name: ~rows for name, rows in RIGHT.items()}, RIGHT):
        record_probes(right, sample, rows=1500, seed=0)
    record_probes(RIGHT, sample, rows=800, seed=0)
    probes = recorded_probes()
    assert probes.loc["trained layer 5"].tolist() == [0.4, 0.0, 0.0]
    assert probes.loc["word counts"].tolist() == [0.3, 10.0, 6.7]  # of 100 differences, 28 are 1 and 18 are -1
    table = read_table(results_dir / "probes.csv")
    assert len(table) == 4 and table.dev_sha256.eq(file_sha256(sample / "ids-sst-dev.csv")).all()
    assert table[["device", "torch", "revision"]].notna().all(axis=None)


def test_the_recorded_probes_are_of_the_rows_of_the_other_tables():
    table = read_table(paths.RESULTS / "probes.csv")
    others = read_table(paths.RESULTS / "calibration.csv").query("task == 'sst'")
    assert set(table.dev_sha256) == set(others.dev_sha256)
    behind = recorded_probes()["points behind"]
    assert len(behind) == 4 and behind.iloc[0] == 0 and behind.iloc[1:].min() > 0
