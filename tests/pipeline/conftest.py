"""Small pipelines made of real notebooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from notebook_bench import Bench

from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.plan import Pipeline
from mlops_lab.pipeline.warm_keeper import WarmKeeper


@pytest.fixture(scope="session")
def keeper() -> Iterator[WarmKeeper]:
    """Warm processes for many runs; test_warm_keeper proves that they are what fresh ones are."""
    keeper = WarmKeeper()
    yield keeper
    keeper.close()


@pytest.fixture
def bench(tmp_path: Path, settings: Settings, keeper: WarmKeeper) -> Bench:
    """An empty folder for notebooks and an empty lab."""
    (tmp_path / "notebooks").mkdir()
    bench = Bench(tmp_path / "notebooks", settings)
    bench.lend = keeper.lend
    return bench


@pytest.fixture
def chain(bench: Bench) -> Pipeline:
    """Three stages in a row: make writes n, double reads it, show reads that."""
    bench.stage("make", "_ = stage.output('n.txt').write_text(str(n))", parameters="n = 3")
    bench.stage(
        "double",
        "n = 2 * int(stage.input('n.txt').read_text())",
        "_ = stage.output('m.txt').write_text(str(n))",
    )
    bench.stage("show", "stage.input('m.txt').read_text()")
    return bench.define(
        "  make: {notebook: make.ipynb, outputs: [n.txt]}\n"
        "  double: {notebook: double.ipynb, inputs: [n.txt], outputs: [m.txt]}\n"
        "  show: {notebook: show.ipynb, inputs: [m.txt]}\n"
    )
