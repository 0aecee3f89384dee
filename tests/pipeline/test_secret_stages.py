"""Secrets in stages: usable, and nowhere on disk, whatever the stage does with them."""

import base64
import json

import nbformat
import pytest

from mlops_lab.foundation.errors import PipelineProblem

VALUE = 'correct "horse" battery/staple'
ASK = "token = stage.secret(api_token)"
WRITE = "_ = stage.output('n.txt').write_text({})"
PIECES = (
    "import sys, time\nfor piece in (token[:5], token[5:9], token[9:]):\n"
    "    print(piece, end='', flush=True)\n    print(end='', file=sys.stderr, flush=True)"
)
BASIC = "import base64\nbase64.b64encode(f'user:{token}'.encode()).decode()"
CALM = {
    "used": ["len(token)"],
    "printed": ["print(token)"],
    "in pieces": [PIECES],
    "shown": ["token"],
    "as a table": ["import pandas as pd\npd.DataFrame({'t': [token]})"],
    "basic": [BASIC],
    "displayed": ["h = display(token, display_id=True)\nh.update([token])"],
    "by a child": ["import subprocess\n_ = subprocess.run(['printenv', 'LESSON_TOKEN'])"],
    "to the log": ["import os\n_ = os.write(2, token.encode())"],
}
FAILING = {
    "raised": ("raise ValueError(f'bad token {token}')", "bad token [secret LESSON_TOKEN]"),
    "raised inside": ("{}[token]", "KeyError"),
    "in the record": (
        "stage.finish(headline=token)",
        "its record of stage 'make' holds the secret",
    ),
    "in an output": (WRITE.format("token"), "n.txt held the secret LESSON_TOKEN"),
    "encoded": (WRITE.format("token.encode().hex()"), "n.txt held the secret LESSON_TOKEN"),
    "undeclared": ("(stage.folder / 'x.txt').write_text(token)", "x.txt held the secret"),
    "then dead": ("print(token, flush=True)\nimport os\nos._exit(1)", "the kernel died"),
}


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("LESSON_TOKEN", VALUE)


def run_one(bench, work, keys=""):
    """Run one stage that asks for the secret, then does its work."""
    outputs = "outputs: [n.txt]" if any("n.txt" in cell for cell in work) else "outputs: []"
    bench.stage("make", ASK, *work, parameters="api_token = 'env:LESSON_TOKEN'  # secret")
    end = bench.run(bench.define(f"  make: {{notebook: make.ipynb, {outputs}{keys}}}\n"))
    assert_nothing_shows(bench.settings.workspace)
    return end


def assert_nothing_shows(lab):
    """Look for the value in every file of a lab."""
    forms = {VALUE, json.dumps(VALUE)[1:-1], VALUE.encode().hex(), repr(VALUE)[1:-1]}
    forms |= {base64.b64encode(b"user:" + VALUE.encode()).decode()[8:-4], "battery"}
    files = [path for path in lab.rglob("*") if path.is_file()]
    assert files
    for path in files:
        held = [form for form in forms if form.encode() in path.read_bytes()]
        assert not held, path


@pytest.mark.parametrize("kernel", ["", ", kernel: own"], ids=["fork", "kernel"])
@pytest.mark.parametrize("name", CALM)
def test_a_secret_may_be_used_and_is_not_shown(bench, name, kernel):
    end = run_one(bench, CALM[name], kernel)
    assert end.state == "done", end.stages[0]
    cells = nbformat.read(end.folder / "notebooks" / "make.ipynb", 4).cells
    assert any("env:LESSON_TOKEN" in cell.source for cell in cells)


@pytest.mark.parametrize("kernel", ["", ", kernel: own"], ids=["fork", "kernel"])
@pytest.mark.parametrize("name", FAILING)
def test_a_stage_that_gives_a_secret_away_fails(bench, name, kernel):
    work, words = FAILING[name]
    end = run_one(bench, [work], kernel)
    assert end.state == "failed"
    assert words in end.stages[0].reason


def test_a_secret_given_openly_is_refused_unseen(bench):
    bench.stage("make", ASK, "len(token)", parameters="api_token = 'env:LESSON_TOKEN'")
    pipeline = bench.define("  make: {notebook: make.ipynb}\n")
    for given in (VALUE, 12345678):
        with pytest.raises(PipelineProblem, match="given openly") as caught:
            bench.run(pipeline, parameters={"api_token": given})
        assert str(given) not in str(caught.value)
    assert not bench.settings.workspace.joinpath("ledger.jsonl").exists()


def test_a_new_value_of_a_secret_does_not_run_a_stage_again(bench, monkeypatch):
    assert run_one(bench, ["len(token)"]).state == "done"
    monkeypatch.setenv("LESSON_TOKEN", "another correct horse")
    assert run_one(bench, ["len(token)"]).state == "cached"
