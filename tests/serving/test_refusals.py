"""A problem survives the way over the wire."""

import pytest

from mlops_lab.foundation.errors import DataProblem, LabError, ModelProblem, ServiceProblem
from mlops_lab.serving.refusals import (
    Overloaded,
    Refusal,
    read_refusal,
    refusal_body,
    refusal_status,
)


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (Refusal(413, "too large"), 413),
        (Overloaded("2000 wait"), 429),
        (ServiceProblem("disk full"), 503),
        (ModelProblem("no champion"), 503),
        (DataProblem("odd"), 503),
    ],
)
def test_every_problem_has_a_status(problem, status):
    assert refusal_status(problem) == status


def test_a_refusal_arrives_as_it_was_sent():
    sent = Refusal(422, "text 3 is 7", expected="a text", remedy="send a text")
    arrived = read_refusal(422, refusal_body(sent))
    assert (arrived.status, str(arrived)) == (422, str(sent))
    assert isinstance(arrived, LabError)


@pytest.mark.parametrize("body", [None, [], "gateway", {"message": "x"}, {"error": ""}])
def test_a_strange_body_still_names_the_status(body):
    assert read_refusal(502, body).found == "the service answered 502"


def test_overload_says_when_to_come_back():
    assert "in a moment" in Overloaded("full").remedy and Overloaded("full").status == 429
