"""Tensors, and the forms in which Python holds them."""

import struct

from .datatype import ANY_SIZE, BF16, BOOL, BYTES, FP32, INT64, Datatype, TensorSpec
from .error import Error


class Tensor:
    """Elements of one datatype in a shape, row by row in little-endian bytes.

    A tensor that came from the host, an input or a model's output, stays there
    until it is looked at: to hand it on to a model, or to return it, copies
    nothing.
    """

    def __init__(self, datatype, shape, data):
        """`data` are the bytes; those of `BYTES` elements have each its length
        before it, as four little-endian bytes."""
        self.datatype = datatype
        self.shape = tuple(shape)
        self._data = bytes(data)
        self._resource = None
        if datatype is not BYTES and len(self._data) != self.size * datatype.size:
            message = f"{len(self._data)} bytes are no {TensorSpec(datatype, self.shape)}"
            raise Error(f"{message}, which takes {self.size * datatype.size}")

    @classmethod
    def of(cls, values, datatype=None):
        """A tensor of numbers, texts, bytes or lists of lists of them. Without
        a datatype whole numbers are INT64, others FP32, `bool` BOOL, and texts
        and bytes BYTES.

        Raises `Error` for rows of different lengths and for values that the
        datatype does not hold.
        """
        shape, flat = _flatten(values)
        datatype = datatype or _datatype_of(flat)
        return cls(datatype, shape, _pack(datatype, flat))

    @classmethod
    def held_by_host(cls, datatype, resource):
        """A tensor of the host; `datatype` is what its bytes mean."""
        tensor = cls.__new__(cls)
        tensor.datatype = datatype
        tensor._resource = resource
        tensor._data = None
        tensor.shape = tuple(resource.dimensions())
        return tensor

    def read_as(self, datatype):
        """The same bytes as elements of another datatype: `wasi:nn` gives a
        model's output of BOOL, BYTES and other types without a name there as
        UINT8.

        Raises `Error` if they are not as many.
        """
        return Tensor(datatype, self.shape, self.data)

    @property
    def size(self):
        """How many elements."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    @property
    def data(self):
        """The bytes."""
        if self._data is None:
            self._data = self._resource.data()
        return self._data

    @property
    def resource(self):
        """The host's tensor, if the host holds it."""
        return self._resource

    def values(self):
        """All elements, row by row: numbers, `bool`, or `bytes`."""
        return _unpack(self.datatype, self.data, self.size)

    def texts(self):
        """All elements of a tensor of BYTES as texts.

        Raises an `Error` of kind `INVALID_INPUT` where one is not UTF-8.
        """
        try:
            return [element.decode() for element in self.values()]
        except UnicodeDecodeError as error:
            raise Error.invalid_input(f"an element is not UTF-8 at byte {error.start}") from error

    def tolist(self):
        """Lists of lists, one level per axis; a bare element without axes."""
        return _nest(list(self.values()), self.shape)

    def item(self):
        """The one element.

        Raises an `Error` of kind `INVALID_INPUT` if there are more or none.
        """
        if self.size != 1:
            raise Error.invalid_input(f"one element was expected, {self.size} came")
        return self.values()[0]

    def __len__(self):
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def __repr__(self):
        return f"Tensor({TensorSpec(self.datatype, self.shape)})"


def as_tensor(value, spec, place):
    """What a function returned, or was given, as a tensor of `spec`."""
    if not isinstance(value, Tensor):
        value = Tensor.of(value, spec.datatype)
        # A bare element is a tensor of one where one is declared.
        if not value.shape and spec.shape in ((1,), (ANY_SIZE,)):
            value = Tensor(value.datatype, (1,), value.data)
    fits = len(value.shape) == len(spec.shape) and all(
        declared in (ANY_SIZE, actual) for declared, actual in zip(spec.shape, value.shape)
    )
    if value.datatype is not spec.datatype or not fits:
        came = TensorSpec(value.datatype, value.shape)
        raise Error(f"{place}: {came} is not the {spec} that is declared")
    return value


def _flatten(values):
    if isinstance(values, Tensor):
        return values.shape, list(values.values())
    if not isinstance(values, (list, tuple)):
        return (), [values]
    if not values:
        return (0,), []
    rows = [_flatten(row) for row in values]
    shape = rows[0][0]
    for index, (other, _) in enumerate(rows):
        if other != shape:
            raise Error(f"rows of different shapes: {list(shape)} first, {list(other)} at index {index}")
    return (len(rows), *shape), [value for _, row in rows for value in row]


def _nest(flat, shape):
    if not shape:
        return flat[0]
    for length in reversed(shape[1:]):
        if length == 0:
            # No element tells how many rows there are.
            return _empty(shape)
        flat = [flat[start : start + length] for start in range(0, len(flat), length)]
    return flat


def _empty(shape):
    return [_empty(shape[1:]) for _ in range(shape[0])] if len(shape) > 1 else [None] * shape[0]


def _datatype_of(flat):
    kinds = {type(value) for value in flat}
    if kinds and kinds <= {str, bytes}:
        return BYTES
    if kinds == {bool}:
        return BOOL
    if kinds == {int}:
        return INT64
    return FP32


def _pack(datatype: Datatype, flat):
    if datatype is BYTES:
        return b"".join(map(_prefixed, flat))
    try:
        if datatype is BF16:
            flat = [_to_bf16(value) for value in flat]
        return struct.pack(f"<{len(flat)}{datatype.code}", *flat)
    except (struct.error, TypeError, OverflowError) as error:
        wrong = next((value for value in flat if not _holds(datatype, value)), None)
        raise Error(f"{wrong!r} is no {datatype}: {error}") from error


def _holds(datatype, value):
    try:
        struct.pack(f"<{datatype.code}", value)
    except (struct.error, TypeError, OverflowError):
        return False
    return True


def _prefixed(element):
    if isinstance(element, str):
        element = element.encode()
    if not isinstance(element, (bytes, bytearray, memoryview)):
        raise Error(f"{element!r} is no element of BYTES; texts and bytes are")
    return struct.pack("<I", len(element)) + bytes(element)


def _unpack(datatype: Datatype, data, size):
    if datatype is BYTES:
        return _elements(data, size)
    values = struct.unpack(f"<{size}{datatype.code}", data)
    return [_from_bf16(value) for value in values] if datatype is BF16 else values


def _elements(data, size):
    elements, at = [], 0
    for _ in range(size):
        if at + 4 > len(data):
            raise Error("a tensor of BYTES ends before its last element")
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            raise Error("an element of a tensor of BYTES is longer than the tensor")
        elements.append(bytes(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return elements


def _from_bf16(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def _to_bf16(value):
    """The nearest, and of two equally near the even one."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    if value != value:
        return (bits >> 16) | 0x40
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
