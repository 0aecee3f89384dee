"""Findings and figures: right numbers, and figures that fit any page."""

import io

import pandas as pd
import pytest

from mlops_lab.data.findings import (
    find_facts,
    label_balance,
    telling_words,
    topic_lift,
    weekly_messages,
)
from mlops_lab.data.views import (
    draw_label_balance,
    draw_languages,
    draw_lengths,
    draw_topics,
    draw_weeks,
    draw_words,
)
from mlops_lab.data.world import world_frame

FRAME = world_frame(4_000, seed=8)
OWN = pd.DataFrame({"text": ["good", "bad", "good one"] * 4, "label": ["1", "0", "1"] * 4})
OWN = OWN.assign(language="und", topic="", author="x", at=pd.NaT)


def svg(figure):
    sheet = io.BytesIO()
    figure.savefig(sheet, format="svg", transparent=True)
    return sheet.getvalue().decode()


def test_balance_counts_every_row():
    balance = label_balance(FRAME).set_index("label")
    assert balance["rows"].to_dict() == FRAME["label"].value_counts().to_dict()
    fear = FRAME.loc[FRAME["label"] == "fear", "text"].str.len().median()
    assert balance.loc["fear", "median_chars"] == fear


def test_weeks_are_whole_and_in_order():
    weeks = weekly_messages(FRAME)
    assert weeks["messages"].sum() == len(FRAME) and (weeks["week"].dt.day_of_week == 0).all()
    assert weeks["week"].diff().dropna().eq(pd.Timedelta(days=7)).all()
    assert (weeks["messages"] == 0).any(), "the break between the terms"
    shares = weeks.loc[weeks["messages"] > 0].drop(columns=["week", "messages"]).sum(axis=1)
    assert shares.to_numpy() == pytest.approx(1)


def test_the_exploration_finds_what_the_process_planted():
    facts = find_facts(FRAME)
    assert (facts["strongest_topic"], facts["strongest_label"]) == ("exams", "fear")
    assert facts["busiest_week_factor"] > 2 and facts["labels"] == 7
    words = telling_words(FRAME, each=12).groupby("label")["word"].agg(set)
    for label, word in {"anger": "furious", "fear": "anxious", "sadness": "sad"}.items():
        assert word in words[label]


def test_lift_is_one_without_a_connection():
    even = pd.DataFrame({"topic": ["a", "a", "b", "b"], "label": ["x", "y", "x", "y"]})
    assert (topic_lift(even) == 1).all(axis=None)


def test_own_data_without_extras_still_gives_findings_and_figures():
    facts = find_facts(OWN)
    assert facts["rows"] == 12 and "strongest_topic" not in facts
    figures = [
        draw_label_balance(label_balance(OWN)),
        draw_lengths(OWN),
        draw_weeks(weekly_messages(OWN)),
        draw_topics(topic_lift(OWN)),
        draw_languages(OWN),
        draw_words(telling_words(OWN, each=3)),
    ]
    assert all("</svg>" in svg(figure) for figure in figures)
    assert "no time" in figures[2].axes[0].get_title(loc="left")


def test_figures_say_their_finding_and_set_no_background():
    figures = {
        "leads": draw_label_balance(label_balance(FRAME)),
        "longest": draw_lengths(FRAME),
        "busy weeks": draw_weeks(weekly_messages(FRAME)),
        "bring fear": draw_topics(topic_lift(FRAME)),
        "of the rows": draw_languages(FRAME),
    }
    for words, figure in figures.items():
        assert words in figure.axes[0].get_title(loc="left")
        assert "</svg>" in svg(figure)
    assert "tells" in draw_words(telling_words(FRAME)).get_suptitle()


def test_drawing_leaves_pyplot_alone():
    import subprocess
    import sys

    code = (
        "import sys; from mlops_lab.data.views import draw_lengths; import pandas as pd;"
        "draw_lengths(pd.DataFrame({'text': ['a', 'bb'], 'label': ['x', 'y']}));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_a_column_of_topics_without_a_topic_is_no_topic():
    frame = world_frame(200).assign(topic=pd.Series([None] * 200, dtype="str"))
    assert "strongest_topic" not in find_facts(frame)
