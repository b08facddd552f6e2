// Metadata values as texts that can be typed, and back, without loss.

import { numberOf, parse, stringify } from "./json.js";

/** The value that a typed text stands for: numbers, truth values, null and JSON are read as such. */
export function valueOf(text) {
  const trimmed = text.trim();
  if (["true", "false", "null"].includes(trimmed) || /^[[{"]/.test(trimmed)) {
    try {
      return parse(trimmed);
    } catch {
      return text;
    }
  }
  return trimmed && Number.isFinite(Number(trimmed)) ? numberOf(trimmed) : text;
}

/** The text that stands for a value. */
export function textOf(value) {
  if (typeof value !== "string") return stringify(value);
  return valueOf(value) === value ? value : stringify(value);
}

/** The scalar metadata of a picture as short texts, without its title. */
export const tagsOf = (metadata) =>
  Object.entries(metadata ?? {})
    .filter(([key, value]) => key !== "title" && typeof value === "string" && value)
    .map(([, value]) => value);

export const linesOf = (metadata) =>
  Object.entries(metadata ?? {}).map(([key, value]) => `${key}: ${typeof value === "string" ? value : stringify(value)}`);
