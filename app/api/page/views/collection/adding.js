// How pictures get into the collection, and how far that is.

import { FileButton, isArchive, looksLikePicture } from "../../components/files.js";
import { Icon } from "../../components/icons.js";
import { Bar, ProblemNotice } from "../../components/notices.js";
import { say } from "../../components/toasts.js";
import { addFiles, adding, addUrl, dismiss, stop } from "../../core/adding.js";
import { deleteImages } from "../../core/api.js";
import { changes, picturesChanged, may } from "../../core/service.js";
import { useStore } from "../../core/store.js";
import { count, duration, plural } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";

/** Adds the pictures and archives among some files. */
export const addChosen = (files, collection) =>
  addFiles(files.filter(({ file }) => isArchive(file) || looksLikePicture(file)), collection);

export function AddButtons({ collection }) {
  const add = (files) => addChosen(files, collection);
  const submit = (event) => {
    event.preventDefault();
    const url = event.target.elements.url.value.trim();
    event.target.reset();
    if (url) addUrl(url, collection);
  };
  return html`
    <div class="add-buttons">
      <${FileButton} id="add-files" label="Choose pictures" kind="" multiple=${true} onFiles=${add} />
      <${FileButton} id="add-folder" label="A folder" folder=${true} multiple=${true} onFiles=${add} />
      <${FileButton} id="add-archive" label="A zip or tar" accept=".zip,.tar,.tgz,.gz" onFiles=${add} />
      <form class="text-query" onSubmit=${submit} autocomplete="off">
        <input name="url" type="url" aria-label="Address of a picture" placeholder="or an https address" />
        <button class="icon-button" aria-label="Add from the address"><${Icon} name="plus" /></button>
      </form>
    </div>`;
}

/** The first thing that an empty collection offers. */
export const EmptyCollection = ({ collection }) => html`
  <div class="drop wide" id="empty">
    <${Icon} name="upload" />
    <h2>Add your pictures</h2>
    <p class="soft-text">Drop files, folders or a zip here, or paste. They stay on this service.</p>
    <${AddButtons} collection=${collection} />
  </div>`;

function Failures({ failures, failed }) {
  if (!failed) return null;
  return html`
    <details class="failures" id="failures">
      <summary class="warn">${plural(failed, "file")} could not be added</summary>
      <ul>${failures.map(({ name, reason }, i) => html`<li key=${i}><code>${name}</code> <span>${reason}</span></li>`)}</ul>
      ${failed > failures.length && html`<p class="soft-text">and ${count(failed - failures.length)} more</p>`}
    </details>`;
}

/** What is being added just now, or came out of it; nothing before. */
export function AddingProgress() {
  const now = useStore(adding);
  if (!now.startedAt && !now.problem) return null;
  const left = now.rate ? (now.total - now.done) / now.rate : 0;
  const outcome = [`${plural(now.created, "picture")} added`, now.unchanged && `${count(now.unchanged)} already there`].filter(Boolean);
  const text = now.isRunning
    ? `Adding… ${count(now.done)} of ${count(now.total)}`
    : outcome.join(", ");
  return html`
    <div class="adding" id="adding" role="status">
      <div class="spread">
        <strong>${text}</strong>
        <span class="soft-text">
          ${now.isRunning && now.rate > 0 && `${now.rate.toFixed(1)} a second${left > 2 ? `, about ${duration(left)} left` : ""}`}
        </span>
        ${now.isRunning
          ? html`<button type="button" class="quiet" onClick=${stop}>Stop</button>`
          : html`<button type="button" class="quiet" id="adding-done" onClick=${dismiss}>Done</button>`}
      </div>
      ${now.isRunning && html`<${Bar} value=${now.total ? now.done / now.total : undefined} label=${text} />`}
      ${now.problem && html`<${ProblemNotice} problem=${now.problem} />`}
      <${Failures} failures=${now.failures} failed=${now.failed} />
    </div>`;
}

/** One click takes the sample gallery away, where it is there. */
export function RemoveSamples({ collection }) {
  const [found, setFound] = useState(0);
  const { count: version } = useStore(changes);
  useEffect(() => {
    let isWanted = true;
    if (!may("write")) return undefined;
    deleteImages({ samples: true, collection, dry_run: true }).then((tried) => isWanted && setFound(tried.count), () => {});
    return () => { isWanted = false; };
  }, [collection, version]);
  if (!found) return null;
  const remove = async () => {
    try {
      const gone = await deleteImages({ samples: true, collection });
      say(`${plural(gone.count, "sample")} removed.`);
    } catch (problem) {
      say(problem.message, "bad");
    }
    await picturesChanged();
  };
  return html`<button type="button" class="quiet" id="remove-samples" onClick=${remove}>Remove ${plural(found, "sample")}</button>`;
}
