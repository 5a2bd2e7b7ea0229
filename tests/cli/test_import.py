"""`embedcache import` from the command line."""

from pathlib import Path

import numpy as np
import pytest
from command import Command


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty rows and their labels, in the working folder."""
    monkeypatch.chdir(tmp_path)
    table = np.random.default_rng(0).standard_normal((40, 5))
    table[::2] += 3
    np.save("features.npy", table)
    lines = [f"{row},{'ab'[row % 2]}" for row in range(40)]
    Path("labels.csv").write_text("\n".join(["id,label", *lines]))
    return Path("features.npy")


_IMPORT = ("import", "features.npy", "--labels", "labels.csv", "--backbone-name", "dino v2")


def test_imported_features_are_fitted_inspected_and_predicted(features: Path, cli: Command) -> None:
    """By the commands that know caches of images."""
    done = cli.well(*_IMPORT)
    assert done.out.startswith("40 rows × 5\n")
    assert "next:    embedcache fit-head" in done.out
    cli.well("fit-head", "--c", "1")
    (run,) = Path("runs").glob("*-1")
    assert "imported/dino v2" in cli.well("inspect").out
    assert "imported" in cli.well("verify").out
    assert ", ok" in cli.well("ls").out
    found = cli.well("predict", run, features).out.splitlines()
    assert len(found) == 41
    assert found[1].startswith("features.npy:0,a,")
    refused = cli("predict", run, "labels.csv")
    assert refused.code == 2
    assert "cannot embed images" in refused.err


def test_rejected_rows_end_with_code_3(features: Path, cli: Command) -> None:
    """And are listed by `inspect`."""
    table = np.load(features)
    table[1, 1] = np.nan
    np.save(features, table)
    done = cli(*_IMPORT, "--json")
    assert (done.code, done.json["rows"], done.json["rejected"]) == (3, 39, 1)
    assert "1: not finite: row 1 of the file" in cli.well("inspect", "--rejects").out


def test_the_name_of_the_backbone_is_required(features: Path, cli: Command) -> None:
    """Nothing else tells features apart."""
    done = cli("import", features)
    assert done.code == 2
    assert "--backbone-name" in done.err
