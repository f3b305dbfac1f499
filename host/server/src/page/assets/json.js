// JSON without loss: integers of 64 bits stay exact.

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;
const MARK = "\u0000integer:";

/**
 * Parses JSON; integers that a number cannot hold become BigInt.
 * Throws a SyntaxError as `JSON.parse` does.
 */
export function parseJson(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKEN, (token) => (isLong(token) ? JSON.stringify(MARK + token) : token));
  return JSON.parse(marked, (_, value) => (typeof value === "string" && isMark(value) ? BigInt(value.slice(MARK.length)) : value));
}

/** Writes JSON; BigInt as digits. `indent` as for `JSON.stringify`. */
export function writeJson(value, indent) {
  const text = JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? MARK + inner : inner), indent);
  return text.replace(/"\\u0000integer:(-?\d+)"/g, "$1");
}

function isLong(token) {
  return /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token));
}

function isMark(value) {
  return value.startsWith(MARK) && /^-?\d+$/.test(value.slice(MARK.length));
}
