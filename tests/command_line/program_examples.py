"""The program to start, and a stage for it to run."""

from pathlib import Path

import nbformat

PROJECT = Path(__file__).parents[2]
MAIN = "from mlops_lab.command_line.program import main; main(prog_name='mlops-lab')"


def write_stage(path: Path, parameters: str, *work: str) -> None:
    """Write a stage notebook."""
    begin = f"stage = begin_stage({path.stem!r}, workspace{', n=n' if parameters else ''})"
    cells = [
        f"workspace = ''  # folder of this run\n{parameters}".strip(),
        "from mlops_lab.pipeline.stage import begin_stage",
        begin,
        *work,
        f"stage.finish(headline='{path.stem} is done')",
    ]
    made = [nbformat.v4.new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)]
    made[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
