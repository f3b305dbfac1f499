"""Datatypes of tensors, and what a function declares of each."""

from dataclasses import dataclass
from enum import Enum

#: A size that a caller may choose.
ANY_SIZE = -1


class Datatype(Enum):
    """The datatypes of the Open Inference Protocol, and `BF16`.

    `FP32[-1, 3]` declares a tensor of rows of three; `-1` is any size.
    """

    BOOL = ("BOOL", 1, "?")
    UINT8 = ("UINT8", 1, "B")
    UINT16 = ("UINT16", 2, "H")
    UINT32 = ("UINT32", 4, "I")
    UINT64 = ("UINT64", 8, "Q")
    INT8 = ("INT8", 1, "b")
    INT16 = ("INT16", 2, "h")
    INT32 = ("INT32", 4, "i")
    INT64 = ("INT64", 8, "q")
    FP16 = ("FP16", 2, "e")
    BF16 = ("BF16", 2, "H")
    FP32 = ("FP32", 4, "f")
    FP64 = ("FP64", 8, "d")
    BYTES = ("BYTES", None, None)

    def __init__(self, label, size, code):
        #: The protocol's word.
        self.label = label
        #: Bytes of an element; none for `BYTES`.
        self.size = size
        #: The letter of the module `struct`; none for `BYTES`.
        self.code = code

    def __getitem__(self, shape):
        shape = shape if isinstance(shape, tuple) else (shape,)
        return TensorSpec(self, shape)

    def __str__(self):
        return self.label


@dataclass(frozen=True)
class TensorSpec:
    """A datatype, a shape (`-1` is any size) and, for people and tools, what the
    bytes hold, such as `image/png`."""

    datatype: Datatype
    shape: tuple = ()
    media_type: str | None = None

    def __post_init__(self):
        if not isinstance(self.datatype, Datatype):
            raise TypeError(f"{self.datatype!r} is no datatype; say FP32[-1], INT64[1], …")
        for size in self.shape:
            if not isinstance(size, int) or size < ANY_SIZE:
                raise ValueError(f"{size!r} is no size of a tensor; sizes are whole numbers, and -1 is any")

    def __str__(self):
        return f"{self.datatype}[{', '.join(map(str, self.shape))}]"


BOOL = Datatype.BOOL
UINT8 = Datatype.UINT8
UINT16 = Datatype.UINT16
UINT32 = Datatype.UINT32
UINT64 = Datatype.UINT64
INT8 = Datatype.INT8
INT16 = Datatype.INT16
INT32 = Datatype.INT32
INT64 = Datatype.INT64
FP16 = Datatype.FP16
BF16 = Datatype.BF16
FP32 = Datatype.FP32
FP64 = Datatype.FP64
BYTES = Datatype.BYTES
