"""A small text source with known probabilities, so that drifts can be planted."""

import numpy as np
import pandas as pd

LABELS = ("joy", "neutral", "sadness")


class TextSource:
    """Makes scored texts: 600 words of very unequal frequency, some of them telling the label."""

    def __init__(self, label_mix=(0.3, 0.5, 0.2), replaced=0.0, longest=40, unknown=0.03):
        self.label_mix, self.replaced = label_mix, replaced
        self.longest, self.unknown = longest, unknown
        self.words = np.array([f"w{i}" for i in range(600)])
        chances = 1 / np.arange(1, 601)
        self.chances = [np.roll(chances, 7 * i) / chances.sum() for i in range(len(LABELS))]

    def draw(self, rows, seed):
        generator = np.random.default_rng(seed)
        labels = generator.choice(len(LABELS), rows, p=self.label_mix)
        lengths = np.minimum(generator.negative_binomial(3, 0.2, rows) + 1, self.longest)
        total, owner = int(lengths.sum()), np.repeat(labels, lengths)
        words = np.empty(total, dtype=object)
        for label, chances in enumerate(self.chances):
            words[owner == label] = generator.choice(
                self.words, int((owner == label).sum()), p=chances
            )
        new = generator.random(total) < self.replaced
        words[new] = "new" + words[new]
        strange = generator.random(total) < self.unknown + (1 - self.unknown) * self.replaced
        ends = np.cumsum(lengths)
        texts = [" ".join(part) for part in np.split(words, ends[:-1])]
        unknown = [part.mean() for part in np.split(strange, ends[:-1])]
        sure = generator.beta(6, 3, rows)
        chances = np.full((rows, len(LABELS)), ((1 - sure) / 2)[:, None])
        chances[np.arange(rows), labels] = sure
        top = chances.argmax(axis=1)
        return pd.DataFrame(
            {
                "text": texts,
                "label": [LABELS[i] for i in top],
                "probabilities": [dict(zip(LABELS, row, strict=True)) for row in chances.tolist()],
                "oov_rate": unknown,
                "true_label": [LABELS[i] for i in labels],
            }
        )


SETS = {"joy": 0.4, "joy|love": 0.15, "sadness": 0.32, "sadness|love": 0.03, "love": 0.04, "": 0.06}


def draw_sets(rows, seed, **mix):
    """Scored texts that may have several labels, or none; mix: other shares of sets."""
    shares = SETS | {name.replace("_", "|") if name != "none" else "": n for name, n in mix.items()}
    chances = np.array(list(shares.values())) / sum(shares.values())
    table, generator = TextSource().draw(rows, seed), np.random.default_rng([seed, 7])
    given = generator.choice(list(shares), rows, p=chances)
    names = ("joy", "love", "sadness")
    named = [dict(zip(names, chances.values(), strict=True)) for chances in table["probabilities"]]
    surest = ["sadness" if "sadness" in one else "joy" for one in given]
    return table.assign(label=surest, labels=given, probabilities=named)
