import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_lab.foundation.errors import CourseProblem
from mlops_lab.teaching.markers import release_source, solution_source, split_regions

SOLVED = "### BEGIN SOLUTION\nx = 41 + 1\n### END SOLUTION"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("### BEGIN SOLUTION\nx = 1", "line 1: BEGIN SOLUTION is never closed"),
        ("x\n### END SOLUTION", "line 2: END SOLUTION outside any region"),
        (f"x\n### BEGIN SOLUTION\n{SOLVED}", "line 3: BEGIN SOLUTION inside SOLUTION"),
        ("### BEGIN SOLUTION\n### END HIDDEN TESTS", "line 2: END HIDDEN TESTS inside SOLUTION"),
        ("### BEGIN SOLUTON\nx = 1\n### END SOLUTON", "line 1: '### BEGIN SOLUTON' is no marker"),
        ("### Begin Solution\nx = 1\n### End Solution", "line 1"),
        ("###BEGIN HIDDEN TEST\nassert x\n###END HIDDEN TEST", "line 1"),
    ],
)
def test_a_wrong_marker_names_cell_and_line(source, message):
    for make in (release_source, solution_source):
        with pytest.raises(CourseProblem) as caught:
            make(source, cell="c7")
        assert "cell 'c7', " in str(caught.value) and message in str(caught.value)


def test_markers_may_be_indented_and_unspaced():
    source = "def f(x):\n    ### BEGIN SOLUTION\n    return x\n    ###END SOLUTION\nf(1)"
    released = release_source(source, "# HERE")
    unwritten = "    raise NotImplementedError()"  # the student's part: says so until it is written
    assert released == f"def f(x):\n    # HERE\n{unwritten}\nf(1)"
    compile(released, "cell", "exec")


def test_two_solutions_in_a_cell_keep_their_names():
    source = f"{SOLVED}\nx\n### BEGIN SOLUTION\ny = x\n### END SOLUTION"
    assert release_source(source, "# HERE") == "# HERE\nx = ...\nx\n# HERE\ny = ..."


def test_a_given_skeleton_is_not_overwritten():
    released = release_source(f"x = ['?', '?']\n{SOLVED}", "# HERE")
    assert released == "x = ['?', '?']\n# HERE"


def test_changing_an_object_does_not_replace_it():
    source = "### BEGIN SOLUTION\nlines[1] = 'b'\nrow.name = 'c'\n### END SOLUTION"
    assert release_source(source, "# HERE") == "# HERE"


def test_solution_keeps_every_line_but_the_markers():
    source = f"a = 1\n{SOLVED}\n### BEGIN HIDDEN TESTS\nassert x\n### END HIDDEN TESTS\nx"
    assert solution_source(source) == "a = 1\nx = 41 + 1\nassert x\nx"
    assert release_source(source, "# HERE") == "a = 1\n# HERE\nx = ...\nx"


_plain = st.lists(st.from_regex(r"[a-z]{1,5} = 0", fullmatch=True), max_size=3)
_secret = st.lists(st.from_regex(r"secret[0-9]{1,3} = 7[0-9]{3}", fullmatch=True), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["", "SOLUTION", "HIDDEN TESTS"]), _plain, _secret)))
def test_no_value_of_a_solution_or_test_survives_a_release(parts):
    lines, kept = [], []
    for kind, plain, secret in parts:
        if kind:
            lines += [f"### BEGIN {kind}", *secret, f"### END {kind}"]
        else:
            lines += plain
            kept += plain
    source = "\n".join(lines)
    released = release_source(source, "# HERE")
    assert "= 7" not in released and "###" not in released
    assert [line for line in released.split("\n") if line.endswith(" = 0")] == kept
    regions = [line for region in split_regions(source) for line in region.lines]
    assert regions == ([line for line in lines if not line.startswith("###")] if lines else [""])
