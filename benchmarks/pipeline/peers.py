"""The runners that are compared: how each is defined and called.

    python peers.py install      puts the peers into $PIPELINE_PEERS, each in its own environment

A peer brings only itself. Every notebook of every runner is executed by the same Papermill and in
the same environment as ours, except Ploomber, which brings its own Papermill.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from make_dag import Step, write_beside, write_notebooks, write_script, write_stages
from measure import Taken, python_path, take, tell

_HERE = Path(__file__).resolve().parent
_PACKAGES = {
    "ploomber": ("ploomber", "papermill", "ipykernel", "setuptools<81"),
    "dvc": ("dvc",),
    "doit": ("doit",),
    "pytask": ("pytask", "pytask-parallel"),
    "snakemake": ("snakemake",),
}


def _call(
    step: Step,  # of a DAG
    **names: str,  # more parameters
) -> str:  # a shell command
    "Spell the Papermill command of one notebook."
    given = names | {key: str(value) for key, value in step.given.items()}
    words = [f"$PAPERMILL {step.name}.ipynb executed/{step.name}.ipynb -k python3"]
    words += ["--no-progress-bar"]
    words += [f"--execution-timeout {step.timeout_s}"] if step.timeout_s else []
    return " ".join(words + [f"-p {key} {value}" for key, value in given.items()])


def _needs(
    step: Step,  # of a DAG
) -> list[str]:  # what its command depends on, declared to every peer
    "List what a step reads, its notebook too."
    return [f"{step.name}.ipynb", *step.outside, *(f"work/{path}" for path in step.inputs)]


def _makes(
    step: Step,  # of a DAG
) -> list[str]:
    "List what a step writes."
    return [f"work/{path}" for path in step.outputs]


def _define_chain(steps: tuple[Step, ...], folder: Path) -> None:
    lines = ["set -e", "mkdir -p executed"]
    lines += [_call(step, folder="work", root=".") for step in steps]
    (folder / "run.sh").write_text("\n".join(lines) + "\n")


def _define_process(steps: tuple[Step, ...], folder: Path) -> None:
    lines = ["from pathlib import Path", "", "import papermill", ""]
    lines += ['Path("executed").mkdir(exist_ok=True)']
    for step in steps:
        given = {"folder": "work", "root": "."} | step.given
        names = f'"{step.name}.ipynb", "executed/{step.name}.ipynb", {given!r}'
        limit = f", execution_timeout={step.timeout_s}" if step.timeout_s else ""
        lines += [
            f"papermill.execute_notebook({names}, kernel_name='python3', progress_bar=False{limit})"
        ]
    (folder / "run.py").write_text("\n".join(lines) + "\n")


def _define_dvc(steps: tuple[Step, ...], folder: Path) -> None:
    stages = {
        step.name: {
            "cmd": "mkdir -p executed && " + _call(step, folder="work", root="."),
            "deps": _needs(step),
            "outs": _makes(step),
        }
        for step in steps
    }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}, indent=1))


def _define_doit(steps: tuple[Step, ...], folder: Path) -> None:
    lines = ["import os", "", 'os.makedirs("executed", exist_ok=True)']
    for step in steps:
        action = _call(step, folder="work", root=".")
        task = {"actions": [action], "file_dep": _needs(step), "targets": _makes(step)}
        lines += [f"def task_{step.name}():\n    return {task!r}\n"]
    (folder / "dodo.py").write_text("\n".join(lines))


def _define_pytask(steps: tuple[Step, ...], folder: Path) -> None:
    lines = ["import subprocess", "from pathlib import Path", "", "import pytask", ""]
    lines += ["HERE = Path(__file__).parent", '(HERE / "executed").mkdir(exist_ok=True)', ""]
    for step in steps:
        needs = ", ".join(f"HERE / {path!r}" for path in _needs(step))
        makes = ", ".join(f"HERE / {path!r}" for path in _makes(step))
        action = _call(step, folder="work", root=".")
        lines += [
            f"def task_{step.name}(depends_on=[{needs}], produces=[{makes}]):",
            f"    subprocess.run({action!r}, shell=True, check=True, cwd=HERE)",
            "",
        ]
    (folder / "task_all.py").write_text("\n".join(lines).replace("import pytask\n", ""))


def _define_snakemake(steps: tuple[Step, ...], folder: Path) -> None:
    lines = ["rule all:", f"    input: {_makes(steps[-1])!r}", ""]
    for step in steps:
        action = "mkdir -p executed && " + _call(step, folder="work", root=".")
        lines += [f"rule {step.name}:", f"    input: {_needs(step)!r}"]
        lines += [f"    output: {_makes(step)!r}", f"    shell: {action!r}", ""]
    (folder / "Snakefile").write_text("\n".join(lines))


def _define_ploomber(steps: tuple[Step, ...], folder: Path) -> None:
    write_notebooks(steps, folder, more="\nupstream = None\nproduct = None")
    tasks = []
    for step in steps:
        task = {
            "source": f"{step.name}.ipynb",
            "name": step.name,
            "product": {"nb": f"executed/{step.name}.ipynb", "data": f"work/{step.outputs[0]}"},
            "params": {"folder": str(folder / "work"), "root": str(folder)} | step.given,
        }
        if step.after:
            task["upstream"] = list(step.after)
        if step.outside:
            task["params"]["resources_"] = {
                Path(path).stem: str(folder / path) for path in step.outside
            }
        if step.timeout_s:
            task["executor_params"] = {"execution_timeout": step.timeout_s}
        tasks.append(task)
    parallel = {"dotted_path": "ploomber.executors.Parallel", "processes": 2}
    body = {"meta": {"extract_upstream": False}, "executor": parallel, "tasks": tasks}
    (folder / "pipeline.yaml").write_text(json.dumps(body, indent=1))
    (folder / "env.yaml").write_text("{}\n")


@dataclass(frozen=True)
class Runner:
    "One way to run the DAG."

    name: str
    command: tuple[str, ...]  # PY stands for our Python, BIN for the folder of the peer's programs
    define: Callable[[tuple[Step, ...], Path], None]  # writes what it needs beside the notebooks
    prepare: tuple[tuple[str, ...], ...] = ()  # commands that are not measured
    peer: str = ""  # environment it needs; empty: ours
    keeps: bool = True  # whether it knows what is up to date
    environment: dict[str, str] = field(default_factory=dict)
    repeats: bool = False  # whether it measures a repeated run itself, and prints what it took

    @property
    def programs(self) -> Path:
        "Folder of the peer's programs."
        return Path(os.environ.get("PIPELINE_PEERS", "peers-not-installed")) / self.peer / "bin"

    @property
    def installed(self) -> bool:
        "Whether it can be run here."
        return not self.peer or (self.programs / "python").exists() and bool(self.version)

    @property
    def version(self) -> str:
        "Version of the peer; empty if it is not there."
        if not self.peer:
            return ""
        code = f"from importlib.metadata import version; print(version({self.peer!r}))"
        try:
            ask = [str(self.programs / "python"), "-c", code]
            return subprocess.run(ask, capture_output=True, text=True, timeout=60).stdout.strip()
        except OSError:
            return ""


_OURS = "from mlops_lab.command_line.commands import main; main()"
_RUN = ("PY", "-c", _OURS, "run", "--pipeline", ".", "--json")
_QUIET = {"PLOOMBER_STATS_ENABLED": "false", "DVC_NO_ANALYTICS": "true", "DO_NOT_TRACK": "true"}

RUNNERS = (
    Runner("plain script", ("PY", "script.py", "work"), write_script, keeps=False),
    Runner("mlops-lab", _RUN, write_stages),
    Runner("mlops-lab, one stage at a time", (*_RUN, "--jobs", "1"), write_stages),
    Runner(
        "mlops-lab, repeated, warm server alive",
        ("PY", str(_HERE / "warm.py"), "."),
        write_stages,
        keeps=False,
        repeats=True,
    ),
    Runner("papermill, one process", ("PY", "run.py"), _define_process, keeps=False),
    Runner("papermill, one command each", ("sh", "run.sh"), _define_chain, keeps=False),
    Runner("ploomber", ("BIN/ploomber", "build"), _define_ploomber, peer="ploomber"),
    Runner(
        "dvc",
        ("BIN/dvc", "repro"),
        _define_dvc,
        (("BIN/dvc", "init", "--no-scm", "-q"),),
        peer="dvc",
    ),
    Runner("doit", ("BIN/doit", "-n", "2"), _define_doit, peer="doit"),
    Runner("pytask", ("BIN/pytask", "-n", "2"), _define_pytask, peer="pytask"),
    Runner(
        "snakemake",
        ("BIN/snakemake", "--cores", "2", "--quiet", "all"),
        _define_snakemake,
        peer="snakemake",
    ),
)


@dataclass(frozen=True)
class Place:
    "A runner with its definition in a fresh folder."

    runner: Runner
    folder: Path

    def run(
        self,
        *more: str,  # words after the command
        limit_s: float = 180,
        shared: bool = False,  # whether to sample memory with shared pages counted once
    ) -> Taken:
        "Run the whole DAG as one would at a terminal."
        words = self._words(self.runner.command) + list(more)
        asked = {"environment": self.environment, "limit_s": limit_s, "shared": shared}
        return take(words, folder=self.folder, **asked)

    @property
    def environment(self) -> dict[str, str]:
        "What every runner finds in its environment."
        kernels = self.folder.parent / "jupyter"
        path = f"{self.runner.programs}{os.pathsep}{os.environ['PATH']}"
        return {
            **_QUIET,
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.folder.parent / "bytecode"),
            "PATH": path if self.runner.peer else os.environ["PATH"],
            "PYTHONPATH": "" if self.runner.peer == "ploomber" else python_path(),
            "PAPERMILL": f"{sys.executable} -m papermill",
            "JUPYTER_PATH": str(kernels),
            "MLOPS_LAB_WORKSPACE": str(self.folder / "lab"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }

    @property
    def is_ours(self) -> bool:
        "Whether it is the engine of this project."
        return self.runner.name.startswith("mlops-lab")

    @property
    def results(self) -> Path:
        "Folder that holds data/ after the last run."
        if self.is_ours:
            begun = (self.folder / "lab" / "runs").glob("*/run.json")
            runs = sorted(begun, key=lambda run: run.stat().st_mtime_ns)
            return runs[-1].parent if runs else self.folder
        return self.folder / "work"

    @property
    def executed(self) -> Path:
        "Folder of the executed notebooks of the last run."
        return self.results / "notebooks" if self.is_ours else self.folder / "executed"

    def _words(self, command: tuple[str, ...]) -> list[str]:
        names = {"PY": sys.executable}
        return [names.get(w, w.replace("BIN", str(self.runner.programs))) for w in command]

    def prepare(self) -> None:
        "Do what is done once per project, not measured."
        for command in self.runner.prepare:
            take(self._words(command), folder=self.folder, environment=self.environment)


def _empty(
    folder: Path,
) -> None:
    "Make the folder anew, waiting for what still writes into it after its run has ended."
    deadline = time.monotonic() + 30
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            raise TimeoutError(f"something keeps writing into {folder}")
    folder.mkdir(parents=True)


def settle(
    runner: Runner,
    steps: tuple[Step, ...],  # of the DAG
    folder: Path,  # emptied first
) -> Place:
    "Write a runner's definition into a fresh folder."
    _empty(folder)
    if any(step.outside for step in steps):
        write_beside(folder)
    if runner.define not in (write_script, write_stages, _define_ploomber):
        write_notebooks(steps, folder)
    runner.define(steps, folder)
    kernel = folder.parent / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    named = {"argv": words, "display_name": "Python 3", "language": "python"}
    kernel.write_text(json.dumps(named))
    place = Place(runner, folder)
    place.prepare()
    return place


def edit(
    place: Place,
    step: str,  # whose notebook
    old: str,
    new: str,
) -> None:
    "Change the code of one step, as its author would."
    notebook = place.folder / f"{step}.ipynb"
    text = notebook.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{old!r} stands {text.count(old)} times in {notebook.name}")
    notebook.write_text(text.replace(old, new))


def install() -> None:
    "Install every peer that installs, each in an environment of its own."
    home = Path(os.environ["PIPELINE_PEERS"])
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    for peer, packages in _PACKAGES.items():
        tell("installing", peer)
        python = home / peer / "bin" / "python"
        try:
            subprocess.run([uv, "venv", "-q", home / peer], check=True, timeout=120)
            ask = [uv, "pip", "install", "-q", "--python", python, *packages]
            subprocess.run(ask, check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            tell("not installed:", peer, error)


if __name__ == "__main__":
    if sys.argv[1:] != ["install"] or "PIPELINE_PEERS" not in os.environ:
        sys.exit("usage: PIPELINE_PEERS=FOLDER python peers.py install")
    install()
