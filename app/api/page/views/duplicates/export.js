// Groups of duplicates as a table.

const COLUMNS = ["group", "id", "keep", "exact", "distance", "width", "height", "size_bytes", "uri"];

/** Every group, over all pages. */
export async function allGroups(ask) {
  const groups = [];
  let cursor = null;
  do {
    const page = await ask(cursor);
    groups.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return groups;
}

/** A cell, quoted where needed; a leading quote keeps spreadsheets from running a text as a formula. */
const cell = (value) => {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value === "string" ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export function toCsv(groups, keptOf) {
  const rows = groups.flatMap(({ images }, i) => {
    const kept = keptOf(images).id;
    return images.map((image) => ({ ...image, group: i + 1, keep: image.id === kept ? "yes" : "no" }));
  });
  return [COLUMNS.join(","), ...rows.map((row) => COLUMNS.map((name) => cell(row[name])).join(","))].join("\r\n") + "\r\n";
}
