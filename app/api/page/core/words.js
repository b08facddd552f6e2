// Distances and sizes in words.

const LABELS = {
  exact: "Exact copy",
  copy: "Nearly identical",
  similar: "Similar",
  unclear: "Perhaps related",
  unrelated: "Unrelated",
};

export const labelOf = (word) => LABELS[word] ?? "";

/** The word for a distance: copy, similar, unclear or unrelated; "" where the model was not measured. */
export const wordOf = (calibration, distance) =>
  calibration?.likeness.find((bound) => distance <= bound.max_distance)?.likeness ?? "";

/** The largest distance that a word stands for. */
export const boundOf = (calibration, word) =>
  calibration?.likeness.find((bound) => bound.likeness === word)?.max_distance ?? null;

/** Up to here pictures count as similar; null where the model was not measured. */
export const similarBound = (calibration) => boundOf(calibration, "similar") ?? boundOf(calibration, "copy");

// Of a normal distribution: how many standard deviations below the mean 5 %, 1 % and 0.01 % lie.
const Z = { p5: 1.645, p1: 2.326, rare: 3.719 };

/** The distance within which about 1 of 10,000 unrelated pictures lies: the tail of those measured, drawn out. */
export function suggestedMark(calibration) {
  const unrelated = calibration?.quantiles?.unrelated;
  if (!unrelated) return null;
  const slope = (unrelated[5] - unrelated[1]) / (Z.p1 - Z.p5);
  return Math.max(0, Math.floor(unrelated[1] - (Z.rare - Z.p1) * slope));
}

/** The share of measured pairs of a kind that lie within a distance, 0 to 1. */
export function shareWithin(calibration, kind, distance) {
  const points = Object.entries(calibration?.quantiles?.[kind] ?? {}).map(([percent, at]) => [Number(percent), at]);
  points.sort((a, b) => a[0] - b[0]);
  if (!points.length) return null;
  if (distance < points[0][1]) return 0;
  for (let i = 1; i < points.length; i += 1) {
    const [[p, a], [q, b]] = [points[i - 1], points[i]];
    if (distance < b) return (p + ((distance - a) / Math.max(b - a, 1e-9)) * (q - p)) / 100;
  }
  return points.at(-1)[0] / 100;
}

export const count = (number) => Number(number ?? 0).toLocaleString("en");

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : many}`;

export function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  const at = Math.min(units.length, Math.floor(Math.log10(number) / 3));
  const value = number / 1000 ** at;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[at - 1]}`;
}

export const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export const moment = (text) => new Date(text).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

/** What to call a picture. */
export const nameOf = (item) => String(item.metadata?.title || (item.uri || item.id).split("/").findLast(Boolean) || item.id);
