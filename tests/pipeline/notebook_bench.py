"""Write small pipelines of real notebooks and run them."""

from pathlib import Path

import nbformat

from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.plan import Pipeline, read_pipeline
from mlops_lab.pipeline.runner import RunEnd, run_pipeline

BEGIN = "from mlops_lab.pipeline.stage import begin_stage\nstage = begin_stage({name!r}, workspace)"


def write_notebook(path: Path, *sources: str, tagged: bool = True) -> Path:
    """Write a notebook whose first cell holds the parameters."""
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    if tagged:
        cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "python3", "language": "python"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, path)
    return path


def write_stage(folder: Path, name: str, *work: str, parameters: str = "") -> Path:
    """Write a stage notebook that begins, does its work and finishes."""
    first = f"workspace = ''  # folder of this run\n{parameters}"
    last = f"stage.finish(headline={name!r})"
    return write_notebook(folder / f"{name}.ipynb", first, BEGIN.format(name=name), *work, last)


class Bench:
    """A pipeline in a folder, and a lab to run it in."""

    lend = None  # gives warm processes kept from run to run; each run has its own if nothing

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings

    def stage(self, name: str, *work: str, parameters: str = "") -> Path:
        """Write the notebook of a stage."""
        return write_stage(self.folder, name, *work, parameters=parameters)

    def define(self, stages: str) -> Pipeline:
        """Write and read the definition."""
        path = self.folder / "pipeline.yaml"
        path.write_text("pipeline: bench\nstages:\n" + stages)
        return read_pipeline(path, vars(self.settings))

    def run(self, pipeline: Pipeline, **options: object) -> RunEnd:
        """Run the pipeline."""
        options = {"lend": self.lend, **options}
        return run_pipeline(pipeline, self.settings, options=RunOptions(**options))
