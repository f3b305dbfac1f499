"""The decorator that makes a function of Python one of samara's."""

import inspect
from dataclasses import dataclass

from .datatype import Datatype, TensorSpec
from .tensor import as_tensor


def function(*, inputs, outputs):
    """Declares what a function takes and gives, by name:

        @function(inputs={"rows": FP32[-1, 3]}, outputs={"sums": FP32[-1]})
        def sum_rows(rows):
            return [sum(row) for row in rows.tolist()]

    Each input comes as a `Tensor`, by its name (a `-` in it is a `_` in
    Python's). What is returned is a dictionary by name, a tuple in the order of
    the outputs or, where there is one, that output: tensors, or what `Tensor.of`
    takes. One function of a component is samara's.
    """

    def declare(body):
        declared = Function(body, _specs("input", inputs), _specs("output", outputs))
        _check_parameters(body, declared.inputs)
        _declare_once(declared)
        body.samara = declared
        return body

    return declare


@dataclass(frozen=True)
class Function:
    """A body and its signature."""

    body: object
    inputs: dict
    outputs: dict

    def call(self, tensors):
        """Runs it on tensors by name; its outputs by name, as declared."""
        arguments = {_identifier(name): tensor for name, tensor in tensors.items()}
        returned = self._by_name(self.body(**arguments))
        for name in returned:
            if name not in self.outputs:
                raise TypeError(f"`{name}` was returned, which is no declared output")
        for name in self.outputs:
            if name not in returned:
                raise TypeError(f"output `{name}` was not returned")
        return {name: as_tensor(returned[name], spec, f"output `{name}`") for name, spec in self.outputs.items()}

    def _by_name(self, returned):
        if isinstance(returned, dict):
            return returned
        if len(self.outputs) == 1:
            return {next(iter(self.outputs)): returned}
        if isinstance(returned, tuple) and len(returned) == len(self.outputs):
            return dict(zip(self.outputs, returned))
        raise TypeError(f"{len(self.outputs)} outputs are declared; return a tuple or a dictionary of as many")


_declared = None


def declared():
    """The function of this component.

    Raises `RuntimeError` if nothing was declared.
    """
    if _declared is None:
        raise RuntimeError("no function is declared; put `@samara_sdk.function(…)` before one in `function.py`")
    return _declared


def _declare_once(new):
    global _declared
    # A module that is loaded twice, as tests may do, declares the same again.
    if _declared is not None and _declared.body.__qualname__ != new.body.__qualname__:
        raise TypeError(f"`{new.body.__name__}` and `{_declared.body.__name__}`: a component has one function")
    _declared = new


def _specs(side, declared):
    specs = {}
    for name, spec in declared.items():
        if isinstance(spec, Datatype):
            spec = TensorSpec(spec)
        if not isinstance(spec, TensorSpec):
            raise TypeError(f"{side} `{name}`: {spec!r} declares no tensor; say FP32[-1], INT64[1], …")
        specs[name] = spec
    return specs


def _check_parameters(body, inputs):
    parameters = inspect.signature(body).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return
    names = [_identifier(name) for name in inputs]
    if sorted(names) != sorted(parameters):
        raise TypeError(f"`{body.__name__}` takes {list(parameters)}, but the inputs are {names}")


def _identifier(name):
    return name.replace("-", "_")
