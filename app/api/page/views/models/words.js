// Words that were learned from the collection's metadata, how well each ranks, and learning them again.

import { ProblemNotice } from "../../components/notices.js";
import { get, metadataKeys } from "../../core/api.js";
import { go } from "../../core/address.js";
import { ROOT } from "../../core/root.js";
import { percent, plural } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";
import { JobBar, useJob } from "./actions.js";

const SHOWN = 100;

function useWords(collection) {
  const [found, setFound] = useState({ words: [], keys: [], problem: null });
  const load = async () => {
    try {
      const [{ items: words }, { items }] = await Promise.all([get(`/collections/${collection}/words`), metadataKeys(collection)]);
      const keys = items.filter(({ values }) => values.some((value) => typeof value === "string")).map(({ key }) => key);
      setFound({ words, keys, problem: null });
    } catch (problem) {
      setFound((now) => ({ ...now, problem }));
    }
  };
  useEffect(() => { load(); }, [collection]);
  return [found, load];
}

const Word = ({ word, collection }) => html`
  <tr data-word=${word.word}>
    <td>${word.is_offered
      ? html`<button type="button" class="chip" onClick=${() => go({ collection, text: word.word })}>${word.word}</button>`
      : word.word}</td>
    <td>${word.pictures}</td><td>${percent(word.precision_at_10)}</td><td>${percent(word.average_precision)}</td>
    <td>${word.is_offered ? "yes" : "below the bound"}</td>
  </tr>`;

function WordTable({ words, collection }) {
  const [isWhole, setWhole] = useState(false);
  if (!words.length) return html`<p class="soft-text">No words were learned for this collection yet.</p>`;
  return html`
    <div class="scroll"><table>
      <thead><tr><th>Word</th><th>Pictures</th><th>Right among ten</th><th>Average precision</th><th>Used</th></tr></thead>
      <tbody>${(isWhole ? words : words.slice(0, SHOWN)).map((word) => html`<${Word} key=${word.word} word=${word} collection=${collection} />`)}</tbody>
    </table></div>
    ${words.length > SHOWN && !isWhole && html`
      <button type="button" class="quiet" onClick=${() => setWhole(true)}>Show all ${plural(words.length, "word")}</button>`}`;
}

/** Learns words from tags and captions, and lists them with their cross-validated figures. */
export function Words({ collection }) {
  const [{ words, keys, problem: unread }, load] = useWords(collection);
  const { job, problem, setProblem, run } = useJob(load);
  const submit = (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    const body = { collection, keys: data.getAll("keys"), min_pictures: Number(data.get("min_pictures")) };
    if (!body.keys.length) setProblem({ message: "Choose a metadata key to learn words from." });
    else run("/admin/jobs/learn-words", body, "Learned words.");
  };
  return html`
    <section class="panel stack" id="words" aria-labelledby="words-title">
      <h2 id="words-title">Words of your own</h2>
      <p class="soft-text">Learn words from the labels, tags or captions of some pictures, then find the others by them. Each word is measured on
        pictures that it was not learned from.</p>
      ${keys.length > 0 ? html`
        <form class="controls" onSubmit=${submit} autocomplete="off">
          <fieldset class="row"><legend>Metadata keys</legend>
            ${keys.map((key) => html`<label class="choice" key=${key}><input type="checkbox" name="keys" value=${key} /> <span>${key}</span></label>`)}
          </fieldset>
          <label>Pictures a word needs <input name="min_pictures" type="number" min="2" defaultValue="3" /></label>
          <button class="button" disabled=${Boolean(job)}>Learn words</button>
        </form>` : html`<p>The pictures have no texts in their metadata to learn from.</p>`}
      <${JobBar} job=${job} />
      ${(problem ?? unread) && html`<${ProblemNotice} problem=${problem ?? unread} />`}
      <${WordTable} words=${words} collection=${collection} />
      <p><a id="labels" href=${`${ROOT}collections/${encodeURIComponent(collection)}/labels?format=csv`} download=${`${collection}-labels.csv`}>
        Words for all pictures as CSV</a></p>
    </section>`;
}
