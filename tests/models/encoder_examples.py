"""A tiny encoder of random numbers, written as encoders are published."""

import json
import struct

import numpy as np

WORDS = (
    "the lecture exam la clase el examen was today room very un poco it and page love great".split()
)
WORDS += (
    "encant ##a fantast ##ic hate furious odio annoy ##ing sad cry triste gloom ##y ! , .".split()
)
SIZE, WIDE, LAYERS, PLACES = 32, 64, 2, 40
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": SIZE,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": PLACES,
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS) + 5,
}


def encoder_shapes():
    """Every array of such an encoder by its published name."""
    layer = {f"attention.self.{name}": (SIZE, SIZE) for name in ("query", "key", "value")}
    layer |= {"attention.output.dense": (SIZE, SIZE)}
    layer |= {"intermediate.dense": (WIDE, SIZE), "output.dense": (SIZE, WIDE)}
    rows = {"word": CONFIG["vocab_size"], "position": PLACES, "token_type": 2}
    shapes = {f"embeddings.{name}_embeddings.weight": (n, SIZE) for name, n in rows.items()}
    scales = ["embeddings"]
    for i in range(LAYERS):
        start = f"encoder.layer.{i}."
        for name, shape in layer.items():
            shapes |= {f"{start}{name}.weight": shape, f"{start}{name}.bias": shape[:1]}
        scales += [start + "attention.output", start + "output"]
    for name in scales:
        shapes |= {f"{name}.LayerNorm.{part}": (SIZE,) for part in ("weight", "bias")}
    return shapes


def write_safetensors(path, arrays):
    """Write arrays of float32, and one of whole numbers, as the library does."""
    arrays = {**arrays, "embeddings.position_ids": np.arange(PLACES)[None]}
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        kind = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        offsets = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        body += array.tobytes()
    told = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(told)) + told + body)


def make_encoder(folder, *, seed=0, prefix=""):
    """Write the folder of an encoder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*marks, *WORDS]) + "\n", "utf-8")
    arrays = {}
    for name, shape in encoder_shapes().items():
        middle = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        spread = 1.0 if "word_embeddings" in name else 0.1
        arrays[prefix + name] = (middle + rng.normal(size=shape) * spread).astype(np.float32)
    write_safetensors(folder / "model.safetensors", arrays)
    return folder
