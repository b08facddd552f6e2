// The collections: choose, create, describe, delete.

import { Dialog } from "../../components/dialog.js";
import { ProblemNotice } from "../../components/notices.js";
import { say } from "../../components/toasts.js";
import { call, get, post } from "../../core/api.js";
import { go } from "../../core/address.js";
import { refresh, service } from "../../core/service.js";
import { useStore } from "../../core/store.js";
import { plural } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";

const INDEXES = { local: "in memory", clickhouse: "on ClickHouse, for collections larger than the memory" };

export function CollectionsDialog({ collection, onClose }) {
  const { collections, info } = useStore(service);
  const [models, setModels] = useState([]);
  const [problem, setProblem] = useState(null);
  const [doomed, setDoomed] = useState(null);
  useEffect(() => {
    get("/models").then(({ items }) => setModels(items), () => {});
  }, []);
  const open = (name) => {
    onClose();
    go({ view: "collection", collection: name });
  };
  const create = async (event) => {
    event.preventDefault();
    const { name, model, index, description } = Object.fromEntries(new FormData(event.target));
    try {
      await post("/collections", { name, model, index: index || "local", description: description || null });
      await refresh();
      open(name);
    } catch (error) {
      setProblem(error);
    }
  };
  const remove = async (name) => {
    try {
      await call(`/collections/${encodeURIComponent(name)}`, { method: "DELETE" });
      say(`Collection ${name} deleted.`);
      await refresh();
      if (name === collection) open("default");
    } catch (error) {
      setProblem(error);
    }
    setDoomed(null);
  };
  return html`
    <${Dialog} title="Collections" onClose=${onClose}>
      <ul class="rows" id="collections">
        ${collections.map((one) => html`
          <li key=${one.name}>
            <button type="button" class="link" aria-current=${one.name === collection ? "true" : null} onClick=${() => open(one.name)}>${one.name}</button>
            <span class="soft-text">${plural(one.images, "picture")} · ${one.model}${one.index === "local" ? "" : ` · ${one.index}`}</span>
            ${one.name !== "default" && (doomed === one.name
              ? html`<button type="button" class="button danger" onClick=${() => remove(one.name)}>Delete with its pictures</button>`
              : html`<button type="button" class="quiet" aria-label=${`Delete ${one.name}`} onClick=${() => setDoomed(one.name)}>Delete</button>`)}
          </li>`)}
      </ul>
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      <form class="form" id="new-collection" onSubmit=${create} autocomplete="off">
        <h3>New collection</h3>
        <label>Name <input name="name" required pattern="[a-z0-9_][a-z0-9_.\\-]{0,62}" title="small letters, digits, . - and _" /></label>
        <label>Model <select name="model">
          ${models.map(({ name }) => html`<option value=${name} key=${name} selected=${name === info?.model}>${name}</option>`)}
        </select></label>
        ${info?.indexes.length > 1 && html`
          <label>Index <select name="index">
            ${info.indexes.map((kind) => html`<option value=${kind} key=${kind}>${INDEXES[kind] ?? kind}</option>`)}
          </select></label>`}
        <label>Description <input name="description" maxlength="1000" /></label>
        <button class="button">Create</button>
      </form>
    <//>`;
}
