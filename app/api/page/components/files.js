// Files that were dropped, chosen or pasted: flattened, with their paths.

import { html, useEffect, useState } from "../vendor/htm-preact.js";

const ARCHIVE = /\.(zip|tar|tar\.gz|tgz)$/i;
const PICTURE = /\.(jpe?g|png|gif|webp|bmp|tiff?|avif|hei[cf]|jxl|jp2|j2k)$/i;

export const isArchive = (file) => ARCHIVE.test(file.name);

/** By type or name; the service determines the actual format. */
export const looksLikePicture = (file) => file.type.startsWith("image/") || PICTURE.test(file.name);

/** {file, path} of chosen files; in a chosen folder the path begins with its name. */
export const chosen = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

const read = (method, self) => new Promise((resolve, reject) => method.call(self, resolve, reject));

async function walk(entry, path) {
  if (entry.isFile) return [{ file: await read(entry.file, entry), path: path + entry.name }];
  const reader = entry.createReader();
  const found = [];
  // A reader gives at most a hundred entries at a time.
  for (;;) {
    const some = await read(reader.readEntries, reader);
    if (!some.length) return found;
    for (const inner of some) found.push(...await walk(inner, `${path}${entry.name}/`));
  }
}

/** Everything in a drop, folders too. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = chosen(transfer.files);
  if (!entries.some((entry) => entry.isDirectory)) return files;
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

/**
 * Takes what is dropped or pasted anywhere on the page.
 *
 * @param {(files: {file: File, path: string}[]) => void} onFiles
 * @param {(url: string) => void} onAddress
 * @returns {boolean} Whether something is being dragged over the page.
 */
export function useDrops(onFiles, onAddress) {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    // A thumbnail that is dragged a little and let go is no query.
    let isOurs = false;
    const start = () => { isOurs = true; };
    const end = () => { isOurs = false; };
    const over = (event) => {
      event.preventDefault();
      if (isOurs) return;
      setOver(true);
    };
    const leave = (event) => {
      if (!event.relatedTarget) setOver(false);
    };
    const drop = async (event) => {
      event.preventDefault();
      setOver(false);
      if (isOurs) return;
      const address = event.dataTransfer.getData("text/uri-list") || event.dataTransfer.getData("text/plain");
      const files = await dropped(event.dataTransfer);
      if (files.length) onFiles(files);
      else if (/^https?:\/\//.test(address)) onAddress(address.split("\n")[0].trim());
    };
    const paste = (event) => {
      const files = chosen(event.clipboardData.files);
      const text = event.clipboardData.getData("text/plain").trim();
      const isTyping = event.target.closest?.("input, textarea");
      if (files.length) onFiles(files);
      else if (!isTyping && /^https?:\/\/\S+$/.test(text)) onAddress(text);
    };
    const listeners = { dragstart: start, dragend: end, dragover: over, dragleave: leave, drop, paste };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
    };
  }, [onFiles, onAddress]);
  return isOver;
}

/** A button that opens the system's choice of files; on a phone that offers the camera too. */
export const FileButton = ({ id, label, onFiles, accept = "image/*", multiple = false, folder = false, kind = "soft" }) => html`
  <span class="file-button">
    <input id=${id} type="file" accept=${folder ? null : accept} multiple=${multiple} webkitdirectory=${folder}
      onChange=${(event) => {
        const files = chosen(event.target.files);
        // The same file chosen again is a change too.
        event.target.value = "";
        if (files.length) onFiles(files);
      }} />
    <label for=${id} class=${`button ${kind}`}>${label}</label>
  </span>`;
