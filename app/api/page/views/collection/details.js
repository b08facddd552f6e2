// One picture: large, with its facts, and metadata to edit.

import { Dialog } from "../../components/dialog.js";
import { Icon } from "../../components/icons.js";
import { ProblemNotice } from "../../components/notices.js";
import { say, withUndo } from "../../components/toasts.js";
import { deleteImages, patchImage, readImage } from "../../core/api.js";
import { follow, hrefOf } from "../../core/address.js";
import * as deletions from "../../core/deletions.js";
import { textOf, valueOf } from "../../core/metadata.js";
import { picturesChanged } from "../../core/service.js";
import { bytes, moment, nameOf } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";

function MetadataForm({ image, onSaved, onProblem }) {
  const [rows, setRows] = useState(Object.entries(image.metadata).map(([key, value]) => [key, textOf(value)]));
  const put = (i, part, text) => setRows(rows.map((row, j) => (i === j ? (part ? [row[0], text] : [text, row[1]]) : row)));
  const save = async (event) => {
    event.preventDefault();
    const metadata = Object.fromEntries(rows.filter(([key]) => key.trim()).map(([key, text]) => [key.trim(), valueOf(text)]));
    try {
      onSaved(await patchImage(image.id, image.collection, image.revision, { metadata }));
    } catch (problem) {
      onProblem(problem);
    }
  };
  return html`
    <form id="metadata" class="metadata" onSubmit=${save} autocomplete="off">
      ${rows.map(([key, text], i) => html`
        <div class="metadata-row" key=${i}>
          <input aria-label="Key" value=${key} onInput=${(event) => put(i, 0, event.target.value)} />
          <input aria-label=${`Value of ${key || "the new key"}`} value=${text} onInput=${(event) => put(i, 1, event.target.value)} />
          <button type="button" class="icon-button" aria-label=${`Remove ${key}`} onClick=${() => setRows(rows.filter((_, j) => j !== i))}>
            <${Icon} name="close" /></button>
        </div>`)}
      <div class="row">
        <button type="button" class="quiet" id="add-row" onClick=${() => setRows([...rows, ["", ""]])}>Add a key</button>
        <button class="button soft" id="save-metadata">Save</button>
      </div>
    </form>`;
}

/** Hide pictures in every view, and delete them after some seconds in which that can be undone. */
export function deleteWithUndo(ids, collection) {
  deletions.begin(ids, collection);
  withUndo(
    ids.length === 1 ? "Picture deleted." : `${ids.length} pictures deleted.`,
    (isLeaving) => deleteImages({ ids, collection }, { keepalive: isLeaving }).then(() => {
      deletions.finish(ids, collection);
      return picturesChanged();
    }, (problem) => {
      say(`Not deleted: ${problem.message}`, "bad");
      deletions.undo(ids, collection);
    }),
    () => deletions.undo(ids, collection),
  );
}

export function Details({ id, collection, onClose }) {
  const [image, setImage] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    readImage(id, collection).then(setImage, setProblem);
  }, [id]);
  const remove = () => {
    onClose();
    deleteWithUndo([id], collection);
  };
  const saved = (changed) => {
    setImage(changed);
    setProblem(null);
    say("Saved.");
    picturesChanged();
  };
  const similar = { collection, like: id };
  return html`
    <${Dialog} title=${image ? nameOf(image) : "Picture"} sheet onClose=${onClose}>
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      ${image && html`
        <div class="details" id="details">
          ${image.thumbnail_url && html`<a href=${image.content_url} target="_blank" rel="noopener" title="Open the original">
            <img class="large" src=${image.thumbnail_url.replace("size=256", "size=512")} alt=${nameOf(image)} /></a>`}
          <dl class="facts">
            <dt>Id</dt><dd><code>${image.id}</code></dd>
            ${image.uri && html`<dt>From</dt><dd>${image.uri}</dd>`}
            <dt>Picture</dt><dd>${image.width} × ${image.height} pixels, ${bytes(image.size_bytes)}, ${image.media_type.replace("image/", "").toUpperCase()}</dd>
            <dt>Added</dt><dd>${moment(image.created_at)}</dd>
          </dl>
          <h3>Metadata</h3>
          <${MetadataForm} key=${image.revision} image=${image} onSaved=${saved} onProblem=${setProblem} />
          <div class="row">
            <a class="button" href=${hrefOf(similar)} onClick=${(event) => { onClose(); follow(event, similar); }}>Find look-alikes</a>
            <button type="button" class="quiet danger" id="delete" onClick=${remove}><${Icon} name="trash" /> Delete</button>
          </div>
        </div>`}
    <//>`;
}
