"""Write a function for samara in Python: see the README beside this package."""

from .datatype import (
    BF16,
    BOOL,
    BYTES,
    FP16,
    FP32,
    FP64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Datatype,
    TensorSpec,
)
from .error import Error, ErrorKind
from .function import function
from .model import Model, model
from .tensor import Tensor

__all__ = [
    "BF16",
    "BOOL",
    "BYTES",
    "FP16",
    "FP32",
    "FP64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "Datatype",
    "Error",
    "ErrorKind",
    "Model",
    "Tensor",
    "TensorSpec",
    "function",
    "model",
]
