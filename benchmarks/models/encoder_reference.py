"""Compare the lab's reading of a published encoder with the `transformers` library, on a tiny one.

    PYTHONPATH=. python benchmarks/models/encoder_reference.py

Needs an environment with `transformers<5` and `tf-keras`; the lab itself needs neither.
Pieces have to be equal, numbers within 1e-5. What it prints for the first texts is the reference in
`tests/models/test_pretrained.py`.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "USE_TORCH": "0", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "models"))

import numpy as np
import transformers.modeling_tf_utils as loading
from encoder_examples import make_encoder
from transformers import BertTokenizer, BertTokenizerFast, TFBertModel

from mlops_lab.models.encoder_files import read_encoder
from mlops_lab.models.pretrained import encoded

TEXTS = [
    "The lecture was GREAT!",
    "La clase me encantá, un poco triste.",
    "",
    "it's $5 你好\u200d fantastic\x00 café",
    "love " * 60,
    "Él   no\tLO vio ¿eh? — «sí» 😍!",
]
_open = loading.safe_open


class Iterable:
    """An open safetensors file that can be iterated, as this release of transformers expects."""

    def __init__(self, *words, **named):
        self.file = _open(*words, **named)

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *reason):
        return self.file.__exit__(*reason)

    def __iter__(self):
        return iter(list(self.file.keys()))

    def __getattr__(self, name):
        return getattr(self.file, name)


def main() -> None:
    """Read the same files twice."""
    loading.safe_open = Iterable
    with TemporaryDirectory() as folder:
        home = make_encoder(Path(folder) / "tiny")
        fast, slow = (kind.from_pretrained(home) for kind in (BertTokenizerFast, BertTokenizer))
        told = fast(TEXTS, padding=True, truncation=True, max_length=40, return_tensors="tf")
        last = TFBertModel.from_pretrained(home)(told).last_hidden_state.numpy()
        published = read_encoder(home)
    mask = told["attention_mask"].numpy()
    theirs = (last * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    bags = published.features.bags(TEXTS)
    for number, text in enumerate(TEXTS):
        ours = bags.ids[bags.starts[number] : bags.starts[number + 1]].tolist()
        wanted = told["input_ids"].numpy()[number][mask[number] > 0].tolist()
        assert ours == wanted == slow(text, truncation=True, max_length=40)["input_ids"], text
    off = np.abs(encoded(published.encoder, bags) - theirs).max()
    assert off < 1e-5, off
    print(f"same pieces, numbers within {off:.1g}")
    for text, row in zip(TEXTS[:3], theirs, strict=False):
        print(repr(text), row[:4].round(6).tolist())


if __name__ == "__main__":
    main()
