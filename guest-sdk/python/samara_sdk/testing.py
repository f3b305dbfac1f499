"""Runs functions and stands in for models where there is no samara: in tests."""

from contextlib import contextmanager

from .error import Error
from .model import reach_models_by
from .tensor import Tensor, as_tensor


def call(body, inputs):
    """Calls a function as samara does: inputs are checked against what it
    declares and given as tensors; its outputs come by name.

    Raises an `Error` of kind `INVALID_INPUT` for inputs that samara refuses.
    """
    declared = body.samara
    for name in inputs:
        if name not in declared.inputs:
            raise Error.invalid_input(f"input `{name}`: the function has none of this name")
    tensors = {}
    for name, spec in declared.inputs.items():
        if name not in inputs:
            raise Error.invalid_input(f"input `{name}` is missing")
        try:
            tensors[name] = as_tensor(inputs[name], spec, f"input `{name}`")
        except Error as error:
            raise Error.invalid_input(error.message) from error
    return declared.call(tensors)


@contextmanager
def with_model(name, stand_in):
    """While it lasts, `stand_in` answers for the model `name`: it takes the
    tensors by name and gives tensors, or what `Tensor.of` takes, by name."""

    def reach(asked):
        if asked == name:
            return lambda tensors: {key: _tensor(value) for key, value in stand_in(tensors).items()}
        if before is not None:
            return before(asked)
        raise Error.not_found(f"model `{asked}`: the test has none of this name")

    before = reach_models_by(reach)
    try:
        yield
    finally:
        reach_models_by(before)


def _tensor(value):
    return value if isinstance(value, Tensor) else Tensor.of(value)
