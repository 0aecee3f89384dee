"""Every deliberate damage to a full project lowers exactly what it should."""

import json
from pathlib import Path

import full_project
import pytest
from damages import DAMAGES

from mlops_lab.maturity.assessment import assess
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.references import open_reference
from mlops_lab.maturity.traces import Traces

BANK = read_bank()
EXPECTED = json.loads((Path(__file__).parent / "damages.json").read_text())
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The whole project, built once."""
    return full_project.build(tmp_path_factory.mktemp("full") / "project")


@pytest.fixture(scope="module")
def whole(project):
    """What its traces prove."""
    return gather_evidence(project.folder, BANK)


def test_the_full_project_reaches_the_top_where_traces_can_prove_it(whole):
    alone = assess(BANK, ceilings=whole.ceilings)
    assert alone.lenses["google"].level == 2 and alone.lenses["ladder"].level == 4
    tracks = {track.track: track.level for track in alone.lenses["microsoft"].tracks}
    # People and a managed machine need somebody to say so; traces alone count once.
    assert tracks == {"people": 0, "creation": 1, "release": 4, "integration": 4}
    assert whole.problems == () and len(whole.ceilings) == 85
    assert [name for name, seen in whole.ceilings.items() if not seen] == ["EXP-9"]


def test_every_reference_can_be_opened(project, whole):
    traces, opened = Traces(project.folder), {}
    for ref in {ref for finding in whole.findings.values() for ref in finding.refs}:
        opened[ref] = open_reference(traces, ref).text
    blank = [ref for ref, text in opened.items() if not text.strip()]
    assert len(opened) > 100 and all(ref.endswith((".ipynb", "__init__.py")) for ref in blank)
    promotion = next(text for ref, text in opened.items() if "decisions.jsonl:" in ref)
    assert '"kind": ' in promotion
    run = next(text for ref, text in opened.items() if ref.split("/")[-2:-1] == ["runs"])
    assert "gate is done" in run and "commit:" in run


def test_the_table_is_complete():
    assert set(EXPECTED) == set(DAMAGES) and len(DAMAGES) >= 40
    named = {name for text in EXPECTED.values() for name in text.split()}
    checkable = {name for name, one in BANK.criteria.items() if one.checks}
    assert named == checkable - {"EXP-9"}, "each checkable criterion falls by some damage"


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_lowers_exactly_what_it_should(name, project, whole, tmp_path):
    copy = full_project.copy_of(project, tmp_path / "copy")
    DAMAGES[name](copy)
    seen = gather_evidence(copy.folder, BANK).ceilings
    fallen = [key for key, value in whole.ceilings.items() if seen[key] < value]
    risen = [key for key, value in whole.ceilings.items() if seen[key] > value]
    assert fallen == EXPECTED[name].split() and risen == []
