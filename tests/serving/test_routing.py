"""Who gets the canary, in a real service."""

from canary_examples import LONG, PROGRAM, WHO, post, wait_until_tried

from mlops_lab.serving.launcher import running_service
from mlops_lab.tracking.trials import Terms


def test_a_share_of_the_callers_gets_the_canary_each_always_the_same(settings, trials, add):
    add("first"), add("second")
    with running_service(settings, program=PROGRAM) as client:
        trial = trials.start(2, Terms(share=0.2, copies_per_s=0, **LONG), signed=WHO)
        wait_until_tried(trials, trial)
        ask = [client.score("good", caller=f"caller {i}") for i in range(1000)]
        first = [one["variant"] for one in ask]
        assert abs(first.count("canary") - 200) < 4 * (1000 * 0.2 * 0.8) ** 0.5
        again = [client.score("bad", caller=f"caller {i}")["variant"] for i in range(200)]
        assert again == first[:200]
        assert {one["variant"]: one["version"] for one in ask} == {"champion": "1", "canary": "2"}
        assert all(client.read(one["score_id"])["variant"] == one["variant"] for one in ask[:20])
        named = [post(client, "good", x_caller=f"caller {i}")[1]["variant"] for i in range(60)]
        assert named == first[:60]
        texts = [[client.score(f"text {i}")["variant"] for i in range(100)] for _ in range(2)]
        assert texts[0] == texts[1] and set(texts[0]) == {"champion", "canary"}
        batch = client.score(["good", "bad", "so so"], caller="caller 1")
        assert batch["variant"] == first[1]
        tensors = client.infer(["good"], "keywords")  # the other protocol takes the same way
        assert client.read(tensors["outputs"][2]["data"][0])["variant"] in ("champion", "canary")


def test_a_tester_chooses_and_a_restart_changes_nobody(settings, trials, add):
    add("first"), add("second")
    terms = Terms(share=0.5, copies_per_s=0, key="x-user", **LONG)
    with running_service(settings, program=PROGRAM) as client:
        assert post(client, "good", x_variant="canary")[0] == 409
        wait_until_tried(trials, trials.start(2, terms, signed=WHO))
        for wanted in ("canary", "champion"):
            told = [post(client, "good", x_variant=wanted, x_user=str(i))[1] for i in range(10)]
            assert {one["variant"] for one in told} == {wanted}
        assert post(client, "good", x_variant="best")[0] == 422
        before = [post(client, "good", x_user=str(i))[1]["version"] for i in range(40)]
        assert set(before) == {"1", "2"}
        same = [post(client, "good", x_user="7", x_caller=str(i))[1]["version"] for i in range(9)]
        assert set(same) == {before[7]}
    with running_service(settings, program=PROGRAM) as client:  # from the first request on
        assert [post(client, "good", x_user=str(i))[1]["version"] for i in range(40)] == before
