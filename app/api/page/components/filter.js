// Filters by the keys and values that the collection has.

import { metadataKeys } from "../core/api.js";
import { conditionsIn, TESTS, withCondition } from "../core/filter.js";
import { textOf, valueOf } from "../core/metadata.js";
import { changes } from "../core/service.js";
import { useStore } from "../core/store.js";
import { Icon } from "./icons.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

/** The metadata keys of a collection; read again when its pictures change. */
export function useKeys(collection) {
  const [keys, setKeys] = useState([]);
  const { count } = useStore(changes);
  useEffect(() => {
    let isWanted = true;
    metadataKeys(collection).then(({ items }) => isWanted && setKeys(items), () => {});
    return () => { isWanted = false; };
  }, [collection, count]);
  return keys;
}

const Chip = ({ text, onRemove }) => html`
  <button type="button" class="chip" aria-label=${`Remove the filter ${text}`} onClick=${onRemove}>
    ${text} <${Icon} name="close" />
  </button>`;

export function FilterFields({ collection, filter, onChange }) {
  const keys = useKeys(collection);
  const conditions = conditionsIn(filter);
  const [draft, setDraft] = useState({ key: "", test: "is", value: "" });
  const chosen = keys.find(({ key }) => key === draft.key);
  const change = (fields) => setDraft((now) => ({ ...now, ...fields }));
  const add = (event) => {
    event.preventDefault();
    const value = valueOf(draft.value);
    if (!draft.key.trim() || draft.value === "") return;
    onChange(withCondition(filter, { key: draft.key.trim(), test: draft.test, value }));
    setDraft({ key: "", test: "is", value: "" });
  };
  const bounds = chosen && chosen.min !== null ? `${textOf(chosen.min)} to ${textOf(chosen.max)}` : "value";
  return html`
    <form class="filter" id="filter" onSubmit=${add} autocomplete="off">
      <fieldset>
        <legend>Only pictures whose</legend>
        ${conditions.length > 0 && html`
          <div class="chips">
            ${conditions.map(({ text, without }) => html`<${Chip} key=${text} text=${text} onRemove=${() => onChange(without)} />`)}
          </div>`}
        <div class="filter-row">
          <input id="filter-key" aria-label="Metadata key" placeholder="key" list="filter-keys" value=${draft.key}
            onInput=${(event) => change({ key: event.target.value })} />
          <select id="filter-test" aria-label="Comparison" value=${draft.test} onChange=${(event) => change({ test: event.target.value })}>
            ${TESTS.map(([name, label]) => html`<option value=${name} key=${name} selected=${name === draft.test}>${label}</option>`)}
          </select>
          <input id="filter-value" aria-label="Metadata value" placeholder=${bounds} list="filter-values" value=${draft.value}
            onInput=${(event) => change({ value: event.target.value })} />
          <button class="icon-button" aria-label="Add the filter"><${Icon} name="plus" /></button>
        </div>
        <datalist id="filter-keys">${keys.map(({ key }) => html`<option value=${key} key=${key}></option>`)}</datalist>
        <datalist id="filter-values">
          ${(chosen?.values ?? []).map((value) => html`<option value=${textOf(value)} key=${textOf(value)}></option>`)}
        </datalist>
      </fieldset>
    </form>`;
}
