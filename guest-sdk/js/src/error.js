/** What a function answers when it cannot give its outputs. */

/** Who is at fault, and what a caller may do. */
export const ErrorKind = Object.freeze({
  INVALID_INPUT: "invalid-input",
  NOT_FOUND: "not-found",
  UNSUPPORTED: "unsupported",
  TIMEOUT: "timeout",
  TOO_LARGE: "too-large",
  INTERNAL: "internal",
});

/**
 * An answer with a kind and a message. Anything else that is thrown out of a
 * function is an internal error whose message names it; its stack goes to stderr.
 */
class SamaraError extends globalThis.Error {
  constructor(message, kind = ErrorKind.INTERNAL) {
    super(message);
    this.name = "samara.Error";
    this.kind = kind;
  }

  /** The caller is at fault. */
  static invalidInput(message) {
    return new SamaraError(message, ErrorKind.INVALID_INPUT);
  }

  static notFound(message) {
    return new SamaraError(message, ErrorKind.NOT_FOUND);
  }

  static unsupported(message) {
    return new SamaraError(message, ErrorKind.UNSUPPORTED);
  }

  static tooLarge(message) {
    return new SamaraError(message, ErrorKind.TOO_LARGE);
  }
}

export { SamaraError as Error };
