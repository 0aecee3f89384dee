"""How often an equal canary is rolled back, and a worse one is not: 200 simulated canaries each.

Callers differ: a few send most texts, and each sends easy or hard ones. Each caller always gets the
same model, so the answers to one caller are no independent evidence. Three ways to take the same
labels in are played on the same callers: paired by shadow copies, one vote a caller, and every
label for itself (the naive way, the reference). The parts are those of the service.

    python benchmarks/serving/canary_rollbacks.py   (5 minutes; writes canary_rollbacks.json)
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from mlops_lab.serving.observations import Observations
from mlops_lab.serving.routing import Note, is_chosen
from mlops_lab.tracking.trials import Terms, Trial

CALLERS, REQUESTS, LABELLED, LOOK_EVERY = 60, 2500, 0.3, 10
ALPHA, SHARE, DELAY = 0.05, 0.1, 200  # the delay of labels is in requests, at most
WAYS = ("paired by copies", "one vote a caller", "naive")


def make_trial(seed):
    """Give the terms of one trial; it never promotes, so that all of it is watched."""
    terms = Terms(share=SHARE, alpha=ALPHA, labels=10**9)
    return Trial(2, "", Path("canary"), 1, terms, "2026-01-01", "nobody", f"trial {seed}")


def play(seed, way, *, worse=0.0, requests=REQUESTS):
    """Play one canary; give its decision, and the requests and labels until then."""
    chance, trial = np.random.default_rng(seed), make_trial(seed)
    seen, due, count = Observations(trial), [], 0
    volumes = 1 / np.arange(1, CALLERS + 1)
    difficulty = chance.beta(1.2, 2.8, CALLERS)  # share of wrong answers, 0.3 on average
    callers = chance.choice(CALLERS, requests, p=volumes / volumes.sum())
    for number, caller in enumerate(callers):
        key = f"caller {caller}"
        is_canary = is_chosen(key, SHARE, salt=trial.line)
        variant, version = ("canary", "2") if is_canary else ("champion", "1")
        seen.saw_note(Note(variant, version, "errors", chance.random() < 0.002))
        seen.saw_note(Note(variant, version, "slow", chance.random() < 0.01))
        if chance.random() < LABELLED:
            wrong = chance.random(2) < difficulty[caller] + np.array([0.0, worse])
            due.append((number + chance.integers(DELAY), key, variant, version, *wrong))
        for _, key, variant, version, champion_wrong, canary_wrong in _arrived(due, number):
            count += 1
            answers = ["bad" if w else "good" for w in (champion_wrong, canary_wrong)]
            own, other = answers[::-1] if variant == "canary" else answers
            if way == "naive":
                seen.evidence.saw("wrong", variant, is_bad=own == "bad")
                continue
            row = {"number": count, "variant": variant, "version": version, "caller": key}
            row |= {"label": own, "true_label": "good", "text": f"text {number}"}
            seen.saw_label(row | {"copied_label": other if way == WAYS[0] else None})
        if number % LOOK_EVERY == 0 and seen.evidence.advice().decision == "roll back":
            return "roll back", number, count
    return "hold", requests, count


def _arrived(due, now):
    ready = [one for one in due if one[0] <= now]
    due[:] = [one for one in due if one[0] > now]
    return ready


def measure(canaries):
    """Play many canaries of each kind."""
    found = {"alpha": ALPHA, "canaries": canaries, "requests": REQUESTS, "callers": CALLERS}
    for way in WAYS:
        ends = [play(seed, way) for seed in range(canaries)]
        share = Counter(end for end, _, _ in ends)["roll back"] / canaries
        found[f"equal, {way}"] = {"rolled back": share}
    for worse in (0.1, 0.2):
        ends = [play(seed, WAYS[0], worse=worse) for seed in range(canaries)]
        bad = [one for one in ends if one[0] == "roll back"]
        known = int(np.median([labels for _, _, labels in bad])) if bad else None
        found[f"worse by {worse}, {WAYS[0]}"] = {
            "rolled back": len(bad) / canaries,
            "median labels until then": known,
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--canaries", type=int, default=200)
    parser.add_argument("--write", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    result = measure(options.canaries)
    options.write.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
