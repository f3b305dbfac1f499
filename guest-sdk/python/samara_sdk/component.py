"""What componentize-py makes the component of: the user's `function.py` behind
samara's contract."""

import sys
import traceback
from contextlib import contextmanager

import componentize_py_types as component_types
import function as _user  # noqa: F401  declares the function
from wit_world import exports
from wit_world.exports import function as contract
from wit_world.imports import graph as nn
from wit_world.imports import tensor as host
from wit_world.imports.errors import ErrorCode

from .datatype import Datatype
from .error import Error, ErrorKind
from .function import declared
from .model import reach_models_by
from .tensor import Tensor

# What `wasi:nn` has a name for; the rest travels as bytes.
_TYPES = {
    Datatype.FP16: host.TensorType.FP16,
    Datatype.FP32: host.TensorType.FP32,
    Datatype.FP64: host.TensorType.FP64,
    Datatype.BF16: host.TensorType.BF16,
    Datatype.UINT8: host.TensorType.U8,
    Datatype.INT32: host.TensorType.I32,
    Datatype.INT64: host.TensorType.I64,
}
_DATATYPES = {type_: datatype for datatype, type_ in _TYPES.items()}


class Function(exports.Function):
    """The export `samara:function/function`."""

    def describe(self):
        function = declared()
        return contract.Signature(_specs(function.inputs), _specs(function.outputs))

    def infer(self, inputs):
        try:
            function = declared()
            tensors = {name: Tensor.held_by_host(function.inputs[name].datatype, tensor) for name, tensor in inputs}
            outputs = function.call(tensors)
            return [(name, _lowered(tensor)) for name, tensor in outputs.items()]
        except Error as error:
            raise _answer(error.kind, error.message) from None
        except Exception as error:
            traceback.print_exc()
            raise _answer(ErrorKind.INTERNAL, f"{type(error).__name__}: {error}") from None
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _specs(specs):
    return [
        contract.TensorSpec(name, contract.Datatype[spec.datatype.name], list(spec.shape), spec.media_type)
        for name, spec in specs.items()
    ]


def _answer(kind, message):
    return component_types.Err(contract.Error(contract.ErrorKind[kind.name], message))


def _lowered(tensor):
    if tensor.resource is not None:
        return tensor.resource
    return host.Tensor(list(tensor.shape), _TYPES.get(tensor.datatype, host.TensorType.U8), tensor.data)


def _lifted(resource):
    return Tensor.held_by_host(_DATATYPES[resource.ty()], resource)


#: The models that this instance has opened: what it is granted does not change
#: while it lives.
_opened = {}


def _reach(name):
    if name not in _opened:
        with _words_of_host(name):
            _opened[name] = nn.load_by_name(name).init_execution_context()
    context = _opened[name]

    def run(tensors):
        with _words_of_host(name):
            outputs = context.compute([(key, _lowered(tensor)) for key, tensor in tensors.items()])
        return {key: _lifted(tensor) for key, tensor in outputs}

    return run


_KINDS = {
    ErrorCode.INVALID_ARGUMENT: ErrorKind.INVALID_INPUT,
    ErrorCode.INVALID_ENCODING: ErrorKind.INVALID_INPUT,
    ErrorCode.TIMEOUT: ErrorKind.TIMEOUT,
    ErrorCode.UNSUPPORTED_OPERATION: ErrorKind.UNSUPPORTED,
    ErrorCode.TOO_LARGE: ErrorKind.TOO_LARGE,
    ErrorCode.NOT_FOUND: ErrorKind.NOT_FOUND,
}


@contextmanager
def _words_of_host(model):
    try:
        yield
    except component_types.Err as error:
        kind = _KINDS.get(error.value.code(), ErrorKind.INTERNAL)
        raise Error(f"model `{model}`: {error.value.data()}", kind) from None


reach_models_by(_reach)
