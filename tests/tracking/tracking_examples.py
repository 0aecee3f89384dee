import json
from pathlib import Path

from mlops_lab.foundation.canvas import read_canvas
from mlops_lab.foundation.targets import Targets
from mlops_lab.tracking.registry import Registry

# What a good candidate measures besides its answers.
CERTAIN = [{"confidence": 0.8, "accuracy": 0.79, "share": 1.0, "answers": 1_000}]
SERVED = {"passed": True, "message": "it answers"}
FIT = {
    "latency_ms": 1.0,
    "serving": SERVED,
    "service": SERVED,
    "certainty": CERTAIN,
    "size_mb": 1.0,
}


def agreed(**changes: float) -> Targets:
    """The targets of the lab's own canvas, but for these."""
    return read_canvas().targets.changed(changes, "this test")


def write_tiny_bundle(folder: Path, **card) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps({"name": "tiny", **card}))
    (folder / "weights.npz").write_bytes(b"weights of " + json.dumps(card).encode())
    return folder


def promote(registry: Registry, version, **changes):
    decision = {"by": "Ada", "role": "owner", "reason": "better", "evidence": {}}
    return registry.promote(version, **{**decision, **changes})
