// JSON whose large integers are exact: they are BigInt here, because a Number would round them.

// No text of the service can hold a NUL, so no text looks like a marked integer.
const MARK = "\u0000integer:";
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARKED = /"\\u0000integer:(-?\d+)"/g;
const INTEGER = /^-?\d+$/;

const isLarge = (text) => INTEGER.test(text) && !Number.isSafeInteger(Number(text));

/** The number that a text stands for: a BigInt where a Number would round it. */
export const numberOf = (text) => (isLarge(text) ? BigInt(text) : Number(text));

export function parse(text) {
  const marked = text.replace(TOKENS, (token) => (isLarge(token) ? JSON.stringify(MARK + token) : token));
  const revive = (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value;
  return JSON.parse(marked, revive);
}

export function stringify(document) {
  const mark = (_, value) => (typeof value === "bigint" ? MARK + value : value);
  return JSON.stringify(document, mark).replace(MARKED, "$1");
}
