"""Models that a function's manifest grants."""

from .tensor import Tensor

#: What reaches models: the host inside a component, closures in a test.
_reach = None


def model(name):
    """The model that the manifest grants as `[model.NAME]`.

    Raises an `Error` of kind `NOT_FOUND` for one that it does not grant.
    """
    if _reach is None:
        raise RuntimeError(f"model `{name}`: there is no samara here; in a test, use samara_sdk.testing.with_model")
    return Model(name, _reach(name))


class Model:
    """A model that is loaded already."""

    def __init__(self, name, run):
        self.name = name
        self._run = run

    def run(self, inputs):
        """Runs the model once: named tensors, or what `Tensor.of` takes, in; its
        tensors by name out.

        Raises `Error` with the host's words, e.g. for an input that is not as
        the model declares it.
        """
        tensors = {
            name: value if isinstance(value, Tensor) else Tensor.of(value) for name, value in inputs.items()
        }
        return self._run(tensors)


def reach_models_by(reach):
    """Sets what gives the runner of a model by its name; returns the one before."""
    global _reach
    before, _reach = _reach, reach
    return before
