"""Our NumPy scorer as a runtime of MLServer, which batches adaptively in front of it."""

from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse

from mlops_lab.models.scorer import load_scorer


class Bag(MLModel):
    async def load(self):
        self.scorer = load_scorer(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload):
        texts = [text for tensor in payload.inputs for text in StringCodec.decode_input(tensor)]
        scores = self.scorer.score(texts)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("probabilities", scores.probabilities),
                StringCodec.encode_output("label", scores.top),
            ],
        )
