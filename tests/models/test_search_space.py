"""A search space is data, and a slip of the pen in it is told in words."""

import pytest

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models.candidates import CANDIDATES, usual_recipe
from mlops_lab.models.search_space import apply_values, read_space

SHIPPED = ("tfidf_logistic", "embedding_bag", "text_cnn", "bi_gru", "transformer")
BAD = {
    "text_cnn: {droput: {from: 0, to: 1}}": "did you mean 'dropout'",
    "text_cnn: {seed: {from: 0, to: 9}}": "the seed is not searched for",
    "text_cnn: {dropout: {from: 0.2, to: 1.0}}": "dropout may not be 1.0",
    "text_cnn: {dropout: {from: 0.8, to: 0.2}}": "from below to",
    "text_cnn: {dropout: {from: 0.2, to: 0.2}}": "from below to",
    "text_cnn: {dropout: {from: .nan, to: 0.2}}": "may not be nan",
    "text_cnn: {dropout: {from: low, to: 0.2}}": "may not be 'low'",
    "text_cnn: {filters: {from: 8.5, to: 16}}": "a whole number",
    "text_cnn: {filters: {from: 0, to: 16}}": "filters may not be 0",
    "text_cnn: {learning_rate: {from: 0, to: 1, log: true}}": "above zero",
    "text_cnn: {learning_rate: {from: 0.1, to: 1, log: 3}}": "true or false",
    "text_cnn: {learning_rate: {from: 0.1, to: 1, steps: 3}}": "'steps'",
    "text_cnn: {learning_rate: {from: 0.1}}": "either from and to, or choices",
    "text_cnn: {learning_rate: {from: 0.1, to: 1, choices: [1, 2]}}": "either from and to",
    "text_cnn: {learning_rate: 0.1}": "either from and to",
    "text_cnn: {filters: {choices: [32, 32]}}": "each once",
    "text_cnn: {filters: {choices: 32}}": "two values or more",
    "text_cnn: {filters: {choices: [true, 32]}}": "may not be True",
    "text_cnn: {longest: {choices: [1, 2]}}": "shortest may be 3",
    "text_cnn: {shortest: {choices: [2, 6]}}": "longest may be 4 where shortest may be 6",
    "text_cnn: {}": "one field or more",
    "text_cnn: dropout": "one field or more",
    "text_cn: {dropout: {from: 0, to: 0.5}}": "did you mean 'text_cn'?",
    "text_cnn: [": "cannot be read",
    "- text_cnn": "holds no spaces",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_space_is_refused_in_words(text, tmp_path):
    place = tmp_path / "space.yaml"
    place.write_text(text)
    with pytest.raises(ModelProblem) as caught:
        read_space("text_cnn", place)
    assert BAD[text] in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    place = tmp_path / "space.yaml"
    place.write_bytes(b"\xff\xfe\x00text_cnn")
    with pytest.raises(ModelProblem, match="cannot be read"):
        read_space("text_cnn", place)


@pytest.mark.parametrize("candidate", SHIPPED)
def test_every_corner_of_a_shipped_space_is_a_recipe_near_the_usual_one(candidate):
    axes = read_space(candidate)
    usual = usual_recipe(candidate)
    assert candidate in CANDIDATES and len(axes) > 3
    for pick in (min, max):
        changed = apply_values(usual, {axis.name: pick(axis.ends) for axis in axes})
        assert changed != usual
    inside = [axis.holds(getattr(usual, axis.name)) for axis in axes]
    assert all(inside), "the recipe as it is must be a trial of its own"
