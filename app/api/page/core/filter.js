// The filter of the address: a JSON document, and its conditions as the page shows and edits them.

import { Problem } from "./api.js";
import { parse, stringify } from "./json.js";
import { textOf } from "./metadata.js";

export const TESTS = [["is", "is"], ["not", "is not"], ["gte", "≥"], ["lte", "≤"]];
const SIGNS = { gt: ">", gte: "≥", lt: "<", lte: "≤" };
const GROUPS = ["must", "must_not"];

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Parse the filter of an address; null for none. Throws a Problem where it is no JSON object. */
export function filterOf(text) {
  if (!text) return null;
  let document = null;
  try {
    document = parse(text);
  } catch {
    // Reported below, with what is JSON but no object.
  }
  if (!isObject(document)) throw new Problem(422, { detail: `The filter in the address is not a JSON object: ${text}` });
  return document;
}

function describe(group, condition) {
  const { key, match, range } = isObject(condition) ? condition : {};
  if (isObject(range)) {
    const bounds = Object.entries(range).map(([bound, value]) => `${SIGNS[bound] ?? bound} ${textOf(value)}`).join(" and ");
    return `${group === "must_not" ? "not " : ""}${key} ${bounds}`;
  }
  if (match !== undefined) return `${key} ${group === "must_not" ? "is not" : "is"} ${textOf(match)}`;
  return `${group}: ${stringify(condition)}`;
}

/** Return the conditions of a filter as {text, without}; `without` is the filter when the condition is removed. */
export function conditionsIn(text) {
  let document;
  try {
    document = filterOf(text) ?? {};
  } catch {
    return [];
  }
  return GROUPS.filter((group) => Array.isArray(document[group])).flatMap((group) =>
    document[group].map((condition, i) => ({
      text: describe(group, condition),
      without: filterText({ ...document, [group]: document[group].filter((_, j) => j !== i) }),
    })));
}

/** Return the text of a filter without its empty groups, or null where nothing is left. */
function filterText(document) {
  const left = Object.entries(document).filter(([, conditions]) => !Array.isArray(conditions) || conditions.length);
  return left.length ? stringify(Object.fromEntries(left)) : null;
}

/** Return the filter with one more condition; a filter that cannot be read is replaced. */
export function withCondition(text, { key, test, value }) {
  let document;
  try {
    document = filterOf(text) ?? {};
  } catch {
    document = {};
  }
  const group = test === "not" ? "must_not" : "must";
  const before = Array.isArray(document[group]) ? document[group] : [];
  const condition = test === "is" || test === "not" ? { key, match: value } : { key, range: { [test]: value } };
  return filterText({ ...document, [group]: [...before, condition] });
}
