"""A table through a real service and back."""

import pytest
from canary_examples import PROGRAM

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.batch import read_scores, send_feedback, send_texts
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.refusals import Refusal


@pytest.fixture
def lab(tmp_path):
    return Settings(project=tmp_path, workspace=tmp_path / ".lab", service_batch_limit=20)


def test_texts_come_back_in_order_with_their_late_labels(lab, bundle):
    texts = [f"good day {i}" if i % 2 else f"bad day {i}" for i in range(45)]
    labels = ["joy" if i % 3 else "sadness" for i in range(45)]
    with running_service(lab, bundle=bundle, program=PROGRAM) as client:
        ids = send_texts(client, texts, batch=20, caller="nightly")
        assert send_feedback(client, ids[:40], labels=labels[:40]) == 40
        with pytest.raises(Refusal, match="1 to 20 texts"):
            send_texts(client, texts, batch=21)
        with pytest.raises(ValueError, match="shorter"):
            send_feedback(client, ids[:2], labels=["joy"])
    frame = read_scores(lab, ids)
    assert frame["text"].tolist() == texts and frame["score_id"].tolist() == ids
    assert frame["true_label"].tolist()[:40] == labels[:40]
    assert frame["true_label"][40:].isna().all() and set(frame["caller"]) == {"nightly"}
    assert read_scores(lab, ids[::-1])["text"].tolist() == texts[::-1]
    with pytest.raises(KeyError, match="1 scores are not in the store"):
        read_scores(lab, [*ids, "lost"])
