"""The real program around the keyword scorer; run as a child process by the tests."""

import multiprocessing
import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from zlib import crc32

from serving_examples import KeywordScorer

from mlops_lab.foundation.errors import LabError
from mlops_lab.foundation.settings import read_settings
from mlops_lab.serving import launcher
from mlops_lab.serving.served_models import read_wishes


class Errs(KeywordScorer):
    """Loads and warms up, and then fails."""

    def score(self, texts):
        if texts != ["warm up"]:
            raise ZeroDivisionError("a planted fault")
        return super().score(texts)


class Worse(KeywordScorer):
    """Wrong on four texts of ten, and always on the same ones."""

    def score(self, texts):
        scores = super().score(texts)
        for row, text in enumerate(texts):
            if crc32(text.encode()) % 10 < 4:
                scores.top[row] = "sadness" if scores.top[row] == "joy" else "joy"
        return scores


class Dies(KeywordScorer):
    """Ends its process, but only where it makes shadow copies."""

    def score(self, texts):
        if multiprocessing.parent_process() is not None:
            os.abort()
        return super().score(texts)


class Slow(KeywordScorer):
    """Twenty texts a second and no more."""

    def score(self, texts):
        time.sleep(0.05 * len(texts))
        return super().score(texts)


class Broken(KeywordScorer):
    """Does not even warm up."""

    def score(self, texts):
        raise ValueError("a planted fault")


KINDS = {"errs": Errs, "worse": Worse, "dies": Dies, "broken": Broken, "slow": Slow}


def load(folder):
    """Every label ends in the bundle's mark, so that an answer tells which model gave each text."""
    name, mark = (Path(folder) / "name.txt").read_text(), Path(folder) / "mark.txt"
    kind = Path(folder) / "kind.txt"  # another way to answer, with the same labels
    if not mark.exists():
        return KINDS.get(kind.read_text() if kind.exists() else "", KeywordScorer)(name=name)
    labels = tuple(f"{label}-{mark.read_text()}" for label in KeywordScorer.labels)
    return (Errs if mark.read_text() == "errs" else KeywordScorer)(name, labels)


if __name__ == "__main__":  # the process of the shadow copies imports this file
    parser = ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--bundle", action="append", default=[])
    parser.add_argument("--lab", action="append", default=[])
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args()
    if options.with_parent:
        launcher._leave_with_parent()
    try:
        wishes = read_wishes(options.lab, options.bundle)
        launcher.serve(read_settings(), port=options.port, wishes=wishes, load=load)
    except LabError as problem:
        sys.exit(str(problem))
