import pytest

from mlops_lab.foundation.errors import CourseProblem
from mlops_lab.foundation.records import write_json
from mlops_lab.teaching.checks import Checks, open_checks, read_checks, seal


def both(text):
    return {"en": text, "es": f"{text} (es)"}


def rule(holds="value == 1", **changes):
    return {"holds": holds, "expected": both("one"), "next": both("try 1")} | changes


def check_of(*rules, **changes):
    return {"title": both("The one"), "rules": list(rules), "passed": both("Yes.")} | changes


def write_checks(folder, **checks):
    write_json(folder / "checks.json", {"checks": checks})
    return folder


def test_rules_are_tried_in_order_and_the_first_broken_one_speaks():
    first = rule("isinstance(value, int)", next=both("a whole number"))
    check = Checks({"one": check_of(first, rule())})
    assert dict(check("one", "1").rows)["Next step"] == "a whole number"
    assert dict(check("one", 2).rows)["Next step"] == "try 1"
    assert check("one", 1).passed


def test_the_card_speaks_the_language():
    card = Checks({"one": check_of(rule())}, "es")("one", 2)
    assert card.title == "Todavía no · The one (es)"
    assert card.rows == (
        ("Encontrado", "2"),
        ("Se esperaba", "one (es)"),
        ("Siguiente paso", "try 1 (es)"),
    )


@pytest.mark.parametrize("value", [..., "?", [1, ...], {1: "a", 2: " ? "}, (1, ("?",))])
def test_an_unanswered_exercise_is_no_mistake(value):
    card = Checks({"one": check_of(rule())})("one", value)
    assert card.state == "unanswered" and "in place of the dots" in card.rows[0][1]


class Hostile:
    def __eq__(self, other):
        raise RuntimeError("boom")

    def __repr__(self):
        return "hostile"

    __hash__ = None


@pytest.mark.parametrize("value", [None, "one", [], {}, float("nan"), Hostile(), print, object])
def test_no_answer_makes_a_check_raise(value):
    assert not Checks({"one": check_of(rule())})("one", value).passed


def test_facts_and_values_fill_the_texts():
    wrong = rule("value == len(rows)", next=both("{short} short of {unknown} {1: 2}"))
    passed = both("{share} %")
    values = {"short": "len(rows) - value", "share": "100 * value / 4"}
    check = Checks({"one": check_of(wrong, passed=passed, values=values)})
    assert check("one", 3, rows="abcd").rows[2][1] == "1 short of {unknown} {1: 2}"
    assert check("one", 4, rows="abcd").rows[0][1] == "100.0 %"


def test_values_that_an_answer_does_not_allow_are_left_out():
    wrong = rule("isinstance(value, int)", next=both("{double} is not it"))
    check = Checks({"one": check_of(wrong, values={"double": "value * value"})})
    assert "is not it" in check("one", "text").rows[2][1]


def test_expressions_reach_nothing_but_the_facts():
    for expression in ("open('x')", "__import__('os')", "exec('1')", "pd.DataFrame()"):
        with pytest.raises(CourseProblem, match="needs a fact it is not given"):
            Checks({"one": check_of(rule(expression))})("one", 1)


def test_unknown_check_offers_the_close_one():
    with pytest.raises(CourseProblem, match="did you mean 'one'"):
        Checks({"one": check_of(rule())})("on", 1)


def test_the_summary_counts_and_forgets_nothing():
    check = Checks({"one": check_of(rule()), "two": check_of(rule(), title=both("The two"))})
    assert check.summary().rows[0][1] == "Still open: The one, The two. Try as often as you like."
    check("one", 1)
    assert check.summary().title == "1 of 2 exercises solved" and not check.summary().passed
    check("two", 1)
    assert check.summary().passed
    check("one", 5)
    assert check.summary().title == "1 of 2 exercises solved"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (check_of(rule("value >")), "is no expression: 'value >'"),
        (check_of(rule(3)), "is no expression: 3"),
        (check_of({"holds": "True"}), "a rule of 'one' is not whole"),
        (check_of("True"), "a rule of 'one' is not whole"),
        (check_of(rule(expected={"en": "one"})), "'one, expected' lacks es"),
        (check_of(rule(next="try")), "'one, next' lacks en and es"),
        (check_of(rule(), title={"es": "Uno"}), "'one, title' lacks en"),
        ({"rules": []}, "malformed"),
        ([], "malformed"),
    ],
)
def test_a_mistake_in_the_file_is_found_when_the_lesson_opens(tmp_path, check, message):
    with pytest.raises(CourseProblem) as caught:
        read_checks(write_checks(tmp_path, one=check))
    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"rules": 1}'])
def test_a_broken_file_is_a_course_problem(tmp_path, content):
    (tmp_path / "checks.json").write_text(content)
    with pytest.raises(CourseProblem):
        read_checks(tmp_path)


def test_checks_are_found_in_the_project_and_beside_the_notebook(tmp_path, monkeypatch):
    project = tmp_path / "project"
    write_checks(project / "course" / "source" / "demo", one=check_of(rule()))
    (project / "settings.ini").write_text("")
    (project / "work").mkdir()
    monkeypatch.chdir(project / "work")
    assert open_checks("demo")("one", 1).passed
    handed_out = write_checks(tmp_path / "elsewhere", one=check_of(rule("value == 2")))
    (handed_out / "demo.ipynb").write_text("{}")
    monkeypatch.chdir(handed_out)
    assert open_checks("demo")("one", 2).passed


def test_a_seal_hides_and_tells_apart():
    assert seal("quiz-1", "a") == seal("quiz-1", "a") != seal("quiz-2", "a")
    assert len({seal("quiz-1", letter) for letter in "abcd"}) == 4
