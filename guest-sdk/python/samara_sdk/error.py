"""What a function answers when it cannot give its outputs."""

from enum import Enum


class ErrorKind(Enum):
    """Who is at fault, and what a caller may do."""

    #: The caller's tensors are wrong.
    INVALID_INPUT = "invalid input"
    #: Something that was named does not exist.
    NOT_FOUND = "not found"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    TOO_LARGE = "too large"
    #: The function's own fault.
    INTERNAL = "internal"


class Error(Exception):
    """An answer with a kind and a message. Any other exception that leaves a
    function is an internal error whose message names it; its traceback goes to
    stderr."""

    def __init__(self, message, kind=ErrorKind.INTERNAL):
        super().__init__(message)
        self.message = message
        self.kind = kind

    @classmethod
    def invalid_input(cls, message):
        """The caller is at fault."""
        return cls(message, ErrorKind.INVALID_INPUT)

    @classmethod
    def not_found(cls, message):
        return cls(message, ErrorKind.NOT_FOUND)

    @classmethod
    def unsupported(cls, message):
        return cls(message, ErrorKind.UNSUPPORTED)

    @classmethod
    def too_large(cls, message):
        return cls(message, ErrorKind.TOO_LARGE)
