// This very search as code.

import { Dialog } from "../../components/dialog.js";
import { say } from "../../components/toasts.js";
import { given } from "../../core/api.js";
import { stringify } from "../../core/json.js";
import { ROOT } from "../../core/root.js";
import { html, useState } from "../../vendor/htm-preact.js";
import { limitsOf } from "./query.js";

const single = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Python's literal of a JSON value. */
const python = (text) => text.replace(/"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g, (token) =>
  ({ true: "True", false: "False", null: "None" })[token] ?? token);

/** The JSON body, or the form's fields where a file is sent. */
export function requestOf(place, query) {
  const { crop, orientations, regions, ...limits } = limitsOf(place);
  const picture = { crop, orientations, regions };
  if (query.file) {
    const fields = Object.entries(given({ ...limits, ...picture }))
      .map(([name, value]) => [name, typeof value === "object" ? stringify(value) : String(value)]);
    return { file: query.file.name, fields };
  }
  if (query.url) return { body: given({ url: query.url, ...limits, ...picture }) };
  if (query.examples || query.text) {
    const images = query.examples?.map(({ id, sign }) => ({ image_id: id, sign })) ?? null;
    return { body: given({ images, text: query.text ?? null, include_self: images ? false : null, ...limits, rank: null, diversify: null, colour: null }) };
  }
  return { body: given({ image_id: query.id, include_self: false, ...limits }) };
}

const json = JSON.stringify;

const lines = (...parts) => parts.flat().join("\n");

function curl(url, needsKey, parts) {
  const key = needsKey ? ['-H "Authorization: Bearer $LOOKALIKE_KEY"'] : [];
  return [`curl ${url}`, ...key, ...parts].join(" \\\n  ");
}

const fetching = (url, before, headers, body) => lines(
  before,
  `const answer = await fetch(${json(url)}, {`,
  '  method: "POST",',
  headers.length ? `  headers: { ${headers.join(", ")} },` : [],
  `  body: ${body},`,
  "});",
  "const { items } = await answer.json();",
);

const KEY_IN_FETCH = "Authorization: `Bearer ${key}`";
const KEY_IN_PYTHON = '    headers={"Authorization": f"Bearer {key}"},';
const IN_PYTHON = 'items = answer.raise_for_status().json()["items"]';

function ofFile({ file, fields }, url, needsKey) {
  const data = fields.map(([name, value]) => `${json(name)}: ${json(value)}`).join(", ");
  return {
    curl: curl(url, needsKey, [`file=@${file}`, ...fields.map((field) => field.join("="))].map((part) => `-F ${single(part)}`)),
    fetch: fetching(url, [
      "const form = new FormData();",
      'form.set("file", file); // a File or Blob',
      ...fields.map(([name, value]) => `form.set(${json(name)}, ${json(value)});`),
    ], needsKey ? [KEY_IN_FETCH] : [], "form"),
    Python: lines("import httpx", "", `file = open(${json(file)}, "rb")`, "answer = httpx.post(", `    ${json(url)},`,
      needsKey ? KEY_IN_PYTHON : [], '    files={"file": file},', `    data={${data}},`, ")", IN_PYTHON),
  };
}

function ofBody(body, url, needsKey) {
  const text = stringify(body);
  const headers = ['"Content-Type": "application/json"', ...(needsKey ? [KEY_IN_FETCH] : [])];
  return {
    curl: curl(url, needsKey, ["-H 'Content-Type: application/json'", `-d ${single(text)}`]),
    fetch: fetching(url, [], headers, `JSON.stringify(${text})`),
    Python: lines("import httpx", "", "answer = httpx.post(", `    ${json(url)},`, needsKey ? KEY_IN_PYTHON : [],
      `    json=${python(text)},`, ")", IN_PYTHON),
  };
}

/** The request in three languages. */
export function snippetsOf(request, root, needsKey) {
  const url = `${root}search`;
  return request.file ? ofFile(request, url, needsKey) : ofBody(request.body, url, needsKey);
}

export function CodeDialog({ place, query, needsKey = false, onClose }) {
  const snippets = snippetsOf(requestOf(place, query), location.origin + ROOT, needsKey);
  const [language, setLanguage] = useState("curl");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(snippets[language]);
      say("Copied.");
    } catch {
      // Without https, browsers give no clipboard: select it for the user's own copy.
      getSelection().selectAllChildren(document.getElementById("snippet"));
    }
  };
  return html`
    <${Dialog} title="Use from code" wide onClose=${onClose}>
      <div class="row" role="group" aria-label="Language">
        ${Object.keys(snippets).map((name) => html`
          <button type="button" key=${name} class="quiet" aria-pressed=${String(name === language)} onClick=${() => setLanguage(name)}>${name}</button>`)}
      </div>
      <pre id="snippet" class="snippet" tabindex="0">${snippets[language]}</pre>
      <div class="row end"><button type="button" class="button" id="copy" onClick=${copy}>Copy</button></div>
    <//>`;
}
