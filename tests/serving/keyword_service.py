"""The real program around the keyword scorer; run as a child process by the tests."""

import sys
from argparse import ArgumentParser
from pathlib import Path

from serving_examples import KeywordScorer

from mlops_lab.foundation.errors import LabError
from mlops_lab.foundation.settings import read_settings
from mlops_lab.serving import launcher


class Errs(KeywordScorer):
    """Loads and warms up, and then fails."""

    def score(self, texts):
        if texts != ["warm up"]:
            raise ZeroDivisionError("a planted fault")
        return super().score(texts)


def load(folder):
    """Every label ends in the bundle's mark, so that an answer tells which model gave each text."""
    name, mark = (Path(folder) / "name.txt").read_text(), Path(folder) / "mark.txt"
    if not mark.exists():
        return KeywordScorer(name=name)
    labels = tuple(f"{label}-{mark.read_text()}" for label in KeywordScorer.labels)
    return (Errs if mark.read_text() == "errs" else KeywordScorer)(name, labels)


if __name__ == "__main__":  # the process of the shadow copies imports this file
    parser = ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args()
    if options.with_parent:
        launcher._leave_with_parent()
    try:
        launcher.serve(read_settings(), port=options.port, bundle=options.bundle, load=load)
    except LabError as problem:
        sys.exit(str(problem))
