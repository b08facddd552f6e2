// Pictures that were searched with, kept in this browser so that Back, Forward and a reload find them again.

const MOST = 40;
const NAME = "lookalike-uploads";
const held = new Map();
const addresses = new Map();

function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("files", { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function store(mode) {
  const database = await open();
  return database.transaction("files", mode).objectStore("files");
}

/** Keep a file and return the id that addresses name it by. */
export async function keep(file) {
  const id = [...crypto.getRandomValues(new Uint8Array(6))].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  held.set(id, file);
  try {
    const files = await store("readwrite");
    await done(files.put({ id, file, at: Date.now() }));
    const all = await done(files.getAll());
    all.sort((a, b) => b.at - a.at);
    for (const old of all.slice(MOST)) files.delete(old.id);
  } catch {
    // A private window may not store; then the file lasts as long as the page.
  }
  return id;
}

/** Where this page shows a file from. */
export function addressOf(id, file) {
  if (!addresses.has(id)) addresses.set(id, URL.createObjectURL(file));
  return addresses.get(id);
}

/** The file by that id, or null if this browser has it no longer. */
export async function find(id) {
  if (held.has(id)) return held.get(id);
  try {
    const found = await done((await store("readonly")).get(id));
    if (found) held.set(id, found.file);
    return found?.file ?? null;
  } catch {
    return null;
  }
}
