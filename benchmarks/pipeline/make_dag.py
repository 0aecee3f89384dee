"""Write one DAG of small parameterised notebooks in the form that each runner wants.

    python make_dag.py FOLDER

The same cells become a plain script, notebooks for Papermill and peers, and stages of our engine.
The bytes written depend on nothing but this file.
"""

import json
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    "One notebook of the DAG; `IN(path)` and `OUT(path)` in its cells name its files."

    name: str  # of the notebook, without ending
    cells: tuple[str, ...]  # code; the first holds the imports, the last ends in the step's number
    inputs: tuple[str, ...] = ()  # files it reads, in the working folder
    outputs: tuple[str, ...] = ()  # files it writes
    parameters: dict[str, int] = field(default_factory=dict)  # values of its parameters cell
    given: dict[str, int] = field(default_factory=dict)  # values the runner hands it
    outside: tuple[str, ...] = ()  # files beside the definition that it reads, as ROOT(path)
    timeout_s: int = 0  # longest time; 0: none

    @property
    def after(self) -> tuple[str, ...]:
        "Steps it waits for: data/NAME.ending is made by NAME."
        return tuple(dict.fromkeys(Path(path).stem for path in self.inputs))


_DATA = ("import numpy as np\nimport pandas as pd",)
_GROUPED = """\
columns = ["value", "weight", "noise"]
for turn in range(turns):
    means = frame.groupby("group")[columns].transform("mean")
    frame["value"] = frame["value"] - 0.1 * means["value"]
    frame = frame.sort_values(["group", "value"], kind="stable").reset_index(drop=True)
frame.groupby("group")[columns].describe().head(3)"""


def _frame_step(
    name: str,  # of the step
    source: str,  # step it reads
    work: str,  # code that changes `frame`
    **parameters: int,  # of its parameters cell
) -> Step:
    "A step that reads a frame, works on it and writes it."
    read, written = f"data/{source}.parquet", f"data/{name}.parquet"
    cells = (
        *_DATA,
        f'frame = pd.read_parquet(IN("{read}"))\nframe.head(3)',
        work,
        f'frame.to_parquet(OUT("{written}"))\ntotal = float(np.abs(frame["value"]).sum())\ntotal',
    )
    return Step(name, cells, (read,), (written,), parameters, dict(parameters))


def eight_steps() -> tuple[Step, ...]:
    "1 -> 2 -> 3 -> 4a, 4b, 4c -> 5 -> 6; each about 0.2 s of pandas; 4c trains with TensorFlow."
    make = Step(
        "one",
        (
            *_DATA,
            "random = np.random.default_rng(seed)\n"
            'names = ["value", "weight", "noise"]\n'
            "frame = pd.DataFrame({name: random.normal(size=rows) for name in names})\n"
            'frame["group"] = random.integers(0, 40, size=rows)\nframe.head(3)',
            _GROUPED.replace("range(turns)", "range(3)"),
            'frame.to_parquet(OUT("data/one.parquet"))\n'
            'total = float(np.abs(frame["value"]).sum())\ntotal',
        ),
        outputs=("data/one.parquet",),
        parameters={"rows": 120_000, "seed": 7},
        given={"rows": 120_000, "seed": 7},
    )
    rolling = """\
for turn in range(turns):
    rolled = frame.groupby("group")["value"].rolling(20, min_periods=1).mean()
    frame["value"] = rolled.reset_index(level=0, drop=True).sort_index()
frame.describe()"""
    learn = Step(
        "four_c",
        (
            "import numpy as np\nimport pandas as pd\nimport tensorflow as tf",
            'frame = pd.read_parquet(IN("data/three.parquet")).head(4_000)\n'
            'x = frame[["value", "weight", "noise"]].to_numpy("float32")\nx.shape',
            "tf.keras.utils.set_random_seed(seed)\n"
            'layers = [tf.keras.layers.Dense(8, activation="relu"), tf.keras.layers.Dense(1)]\n'
            "model = tf.keras.Sequential(layers)\n"
            'model.compile("adam", "mse")\n'
            "history = model.fit(x, x[:, 0], epochs=2, batch_size=256, verbose=0)\n"
            "len(history.epoch)",
            'frame["value"] = np.arange(len(frame), dtype="float64")\n'
            'frame.to_parquet(OUT("data/four_c.parquet"))\n'
            "total = float(len(model.weights))\ntotal",
        ),
        ("data/three.parquet",),
        ("data/four_c.parquet",),
        {"seed": 7},
        {"seed": 7},
    )
    parts = ("data/four_a.parquet", "data/four_b.parquet", "data/four_c.parquet")
    join = Step(
        "five",
        (
            *_DATA,
            "parts = [\n"
            + "".join(f'    pd.read_parquet(IN("{part}")),\n' for part in parts)
            + "]\n"
            "frame = pd.concat(parts, ignore_index=True)\nlen(frame)",
            _GROUPED.replace("range(turns)", "range(2)"),
            'frame["value"] = frame["value"] * factor\n'
            'frame.to_parquet(OUT("data/five.parquet"))\n'
            'total = float(np.abs(frame["value"]).sum())\ntotal',
        ),
        parts,
        ("data/five.parquet",),
        {"factor": 1},
        {},
    )
    close = Step(
        "six",
        (
            "import json\n" + _DATA[0],
            'frame = pd.read_parquet(IN("data/five.parquet"))\n'
            'table = frame.groupby("group")["value"].agg(["mean", "std", "count"])\ntable.head(3)',
            'ranks = [frame[name].rank() for name in ("value", "weight", "noise")]\n'
            "shares = np.corrcoef(ranks)\nshares.round(3)",
            'total = round(float(table["std"].sum()), 6)\n'
            'OUT("data/six.json").write_text(json.dumps({"total": total}))\ntotal',
        ),
        ("data/five.parquet",),
        ("data/six.json",),
    )
    return (
        make,
        _frame_step("two", "one", _GROUPED, turns=3),
        _frame_step("three", "two", rolling, turns=3),
        _frame_step("four_a", "three", rolling, turns=3),
        _frame_step("four_b", "three", _GROUPED, turns=3),
        learn,
        join,
        close,
    )


def chain_of_three(trap: str = "") -> tuple[Step, ...]:
    "a -> b -> c with a helper module and a source file, and a trap in the middle of b."
    traps = {
        "": "pass",
        "kill": "import os\nimport signal\n\nos.kill(os.getpid(), signal.SIGKILL)",
        "timeout": "import time\n\ntime.sleep(100)",
        "exit": "import sys\n\nsys.exit(0)",
    }
    given = {"factr": 2} if trap == "typo" else {"factor": 2}
    read = 'n = json.loads(IN("data/{}.json").read_text())["n"]\nn'
    write = 'total = n\nOUT("data/{}.json").write_text(json.dumps({{"n": n}}))\ntotal'
    return (
        Step(
            "a",
            ("import json", 'n = int(ROOT("source.txt").read_text())\nn', write.format("a")),
            outputs=("data/a.json",),
            outside=("source.txt",),
        ),
        Step(
            "b",
            (
                "import json\n\nfrom helper import scale",
                read.format("a"),
                "n = scale(n) * factor\n" + write.format("b"),
                traps.get(trap, "pass"),
                "total = n\ntotal",
            ),
            ("data/a.json",),
            ("data/b.json",),
            {"factor": 2},
            given,
            timeout_s=4 if trap == "timeout" else 0,
        ),
        Step(
            "c",
            ("import json", read.format("b"), "n = n + 1\n" + write.format("c")),
            ("data/b.json",),
            ("data/c.json",),
        ),
    )


def trivial_steps(
    count: int,  # how many
) -> tuple[Step, ...]:
    "Stages that do nothing but write a number, each reading the one before."
    steps = []
    for i in range(count):
        name, before = f"s{i:03d}", f"data/s{i - 1:03d}.json"
        read = f'n = json.loads(IN("{before}").read_text())["n"] + 1' if i else "n = 0"
        out = f'OUT("data/{name}.json").write_text(json.dumps({{"n": n}}))\ntotal = n\ntotal'
        inputs = (before,) if i else ()
        steps.append(Step(name, ("import json", read, out), inputs, (f"data/{name}.json",)))
    return tuple(steps)


def spell(
    code: str,  # of a cell
    *,
    place: str = 'folder / "{}"',  # how a path in the working folder is spelled
    out: str = "",  # how an output is, if not the same
    root: str = 'root / "{}"',  # how a file beside the definition is
) -> str:
    "Put real paths in the place of IN, OUT and ROOT."
    code = re.sub(r'IN\("([^"]+)"\)', lambda found: f"({place.format(found[1])})", code)
    code = re.sub(r'OUT\("([^"]+)"\)', lambda found: f"({(out or place).format(found[1])})", code)
    return re.sub(r'ROOT\("([^"]+)"\)', lambda found: f"({root.format(found[1])})", code)


def _notebook(
    name: str,  # title
    sources: list[tuple[str, list[str]]],  # code with tags
) -> str:
    "Spell a notebook, the same bytes each time."
    cells = [
        {"cell_type": "markdown", "id": f"{name}-0", "metadata": {}, "source": f"# {name}"},
        *(
            {
                "cell_type": "code",
                "id": f"{name}-{i}",
                "metadata": {"tags": tags},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for i, (source, tags) in enumerate(sources, 1)
        ),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    body = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(body, indent=1) + "\n"


def write_script(
    steps: tuple[Step, ...],  # of the DAG
    folder: Path,  # for script.py
) -> None:
    "Write all steps as one plain program: script.py WORKING_FOLDER [STEP...]."
    parts = ["import sys\nfrom pathlib import Path\n\nroot = Path(__file__).parent\n"]
    parts += ["folder = Path(sys.argv[1])\n(folder / 'data').mkdir(parents=True, exist_ok=True)\n"]
    for step in steps:
        values = [f"{key} = {value!r}" for key, value in step.parameters.items()]
        body = "\n\n".join([*values, *(spell(cell) for cell in step.cells)])
        parts.append(f"\ndef {step.name}():\n{textwrap.indent(body, '    ')}\n")
    names = ", ".join(f'"{step.name}"' for step in steps)
    parts.append(f"\nfor name in sys.argv[2:] or [{names}]:\n    globals()[name]()\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.py").write_text("\n".join(parts))


def write_notebooks(
    steps: tuple[Step, ...],  # of the DAG
    folder: Path,  # for the notebooks
    *,
    more: str = "",  # more lines in the parameters cell, for a peer
) -> None:
    "Write notebooks that know nothing of any runner: all they need is `folder` and `root`."
    folder.mkdir(parents=True, exist_ok=True)
    for step in steps:
        lines = ['folder = ""  # working folder', 'root = "."  # of the definition']
        lines += [f"{key} = {value!r}" for key, value in step.parameters.items()]
        cells = [spell(cell) for cell in step.cells]
        paths = "from pathlib import Path\n\nfolder, root = Path(folder), Path(root)\n"
        paths += '(folder / "data").mkdir(parents=True, exist_ok=True)'
        sources = [("\n".join(lines) + more, ["parameters"]), (paths, [])]
        text = _notebook(step.name, sources + [(cell, []) for cell in cells])
        (folder / f"{step.name}.ipynb").write_text(text)


def write_stages(
    steps: tuple[Step, ...],  # of the DAG
    folder: Path,  # for pipeline.yaml and the stage notebooks
) -> None:
    "Write the same steps as stages of our engine, outputs declared."
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["pipeline: benchmark", "title: Eight small notebooks", "stages:"]
    for step in steps:
        lines += [f"  {step.name}:", f"    notebook: {step.name}.ipynb"]
        lines += [f"    parameters: {json.dumps(step.given)}"] if step.given else []
        lines += [f"    inputs: {json.dumps(step.inputs)}"] if step.inputs else []
        outside = [str(folder.resolve() / path) for path in step.outside]
        lines += [f"    outside: {json.dumps(outside)}"] if outside else []
        lines += [f"    outputs: {json.dumps(step.outputs)}"]
        lines += [f"    timeout_s: {step.timeout_s}"] if step.timeout_s else []
        names = [f"{key} = {value!r}" for key, value in step.parameters.items()]
        noted = "".join(f", {key}={key}" for key in step.parameters)
        begin = f'stage = begin_stage("{step.name}", workspace{noted})'
        imports = step.cells[0] + "\n\nfrom mlops_lab.pipeline.stage import begin_stage"
        if step.outside:
            begin = f"root = Path({str(folder.resolve())!r})\n{begin}"
            imports = "from pathlib import Path\n" + imports
        spelling = {"place": 'stage.input("{}")', "out": 'stage.output("{}")'}
        cells = [spell(cell, **spelling) for cell in step.cells[1:]]
        last = 'stage.finish(headline=f"total {total}", metrics={"total": total})'
        sources = [("\n".join(['workspace = ""  # run folder', *names]), ["parameters"])]
        sources += [(cell, []) for cell in [imports, begin, *cells, last]]
        (folder / f"{step.name}.ipynb").write_text(_notebook(step.name, sources))
    (folder / "pipeline.yaml").write_text("\n".join(lines) + "\n")


def write_beside(
    folder: Path,  # of a definition of chain_of_three
) -> None:
    "Write the helper module and the source file that chain_of_three uses."
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "helper.py").write_text("def scale(n):\n    return n * 10\n")
    (folder / "source.txt").write_text("3\n")


def write_all(
    folder: Path,  # for everything
) -> None:
    "Write the eight steps in every form that needs no peer."
    shutil.rmtree(folder, ignore_errors=True)
    steps = eight_steps()
    write_script(steps, folder / "script")
    write_notebooks(steps, folder / "plain")
    write_stages(steps, folder / "ours")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
