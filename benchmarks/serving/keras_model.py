"""The bundle's model as a Keras network behind MLflow's generic interface (models from code)."""

from pathlib import Path

import mlflow
import numpy as np


class KerasBag(mlflow.pyfunc.PythonModel):
    """Same features, same table, multiplied by Keras with a direct call."""

    def load_context(self, context):
        import keras

        from mlops_lab.models.bundle import load_bundle

        self.bundle = load_bundle(Path(context.artifacts["bundle"]))
        table, bias = self.bundle.model.table, self.bundle.model.bias
        ids, weights = keras.Input((None,), dtype="int32"), keras.Input((None,))
        rows = keras.layers.Embedding(*table.shape, name="table")(ids)
        logits = keras.layers.Dot(axes=1)([weights, rows])
        answer = keras.layers.Dense(len(bias), activation="softmax", name="bias")(logits)
        self.network = keras.Model([ids, weights], answer)
        self.network.get_layer("table").set_weights([table])
        self.network.get_layer("bias").set_weights([np.eye(len(bias), dtype="f4"), bias])

    def predict(self, context, model_input, params=None):
        from mlops_lab.models.bag_model import bag_weights

        texts = np.asarray(model_input).reshape(-1).tolist()
        bags = self.bundle.features.bags(texts)
        lengths = np.diff(bags.starts)
        shape = len(texts), max(int(lengths.max()), 1)
        place = np.arange(shape[1]) < lengths[:, None]
        ids, weights = np.zeros(shape, "i4"), np.zeros(shape, "f4")
        ids[place], weights[place] = bags.ids, bag_weights(bags, self.bundle.model.importance)
        return np.asarray(self.network([ids, weights]))  # the direct call, not .predict


mlflow.models.set_model(KerasBag())
