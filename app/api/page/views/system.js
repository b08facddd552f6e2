// The machine: version, memory, room for more pictures, speed, workers, backups.

import { Bar, ProblemNotice } from "../components/notices.js";
import { say } from "../components/toasts.js";
import { call, get, post } from "../core/api.js";
import { whenOver } from "../core/events.js";
import { service, useReturn } from "../core/service.js";
import { useStore } from "../core/store.js";
import { bytes, count, duration, moment, plural } from "../core/words.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

const Tile = ({ label, value, note }) => html`
  <div class="tile"><span class="soft-text">${label}</span><strong>${value}</strong>${note && html`<span class="soft-text">${note}</span>`}</div>`;

const milliseconds = (ms) => (ms === null ? "–" : `${ms < 1 ? ms.toFixed(2) : ms.toFixed(1)} ms`);

/** A rounded number of pictures; the last digits of an estimate mean nothing. */
const about = (number) => (number < 1000 ? count(number) : count(Number(number.toPrecision(2))));

function Rooms({ rooms, collections }) {
  return html`
    <div class="scroll panel"><h2>Collections</h2><table id="rooms">
      <thead><tr><th>Collection</th><th>Pictures</th><th>Room for</th><th>A search takes</th><th>Memory per picture</th><th>Disk per picture</th></tr></thead>
      <tbody>${rooms.map((room) => html`
        <tr key=${room.collection}>
          <td>${room.collection}</td>
          <td>${count(collections.find(({ name }) => name === room.collection)?.images)}</td>
          <td>about ${about(room.pictures)} more</td>
          <td>${milliseconds(room.search_ms)}</td>
          <td>${bytes(room.index_bytes_per_picture)}</td>
          <td>${bytes(Math.round(room.stored_bytes_per_picture))}</td>
        </tr>`)}</tbody>
    </table></div>`;
}

function Processes({ processes }) {
  const since = (text) => duration((Date.now() - new Date(text)) / 1000);
  const hasWorker = processes.some(({ kind }) => kind === "worker");
  return html`
    <div class="scroll panel"><h2>Processes</h2>
      ${!hasWorker && html`<p class="warn">No worker runs, so jobs wait. Start one with <code>lookalike worker</code>, or serve with <code>--worker</code>.</p>`}
      <table id="processes"><thead><tr><th>Kind</th><th>Host</th><th>Process</th><th>Runs for</th><th>Training</th></tr></thead>
      <tbody>${processes.map((one) => html`
        <tr key=${`${one.host} ${one.pid}`}><td>${one.kind}</td><td>${one.host}</td><td>${one.pid}</td><td>${since(one.started_at)}</td>
          <td>${one.kind === "worker" ? (one.training_lacks ? `lacks ${one.training_lacks}` : "ready") : "–"}</td></tr>`)}</tbody>
    </table></div>`;
}

function Backups() {
  const [backups, setBackups] = useState(null);
  const [job, setJob] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => get("/admin/backups").then(({ items }) => { setBackups(items); setProblem(null); }, setProblem);
  useEffect(() => { load(); }, []);
  useReturn(problem, load);
  const run = async (path, body, done) => {
    try {
      const started = await post(path, body);
      setJob(started);
      const ended = await whenOver(started, setJob);
      say(ended.status === "succeeded" ? done : ended.error?.detail ?? ended.status, ended.status === "succeeded" ? "plain" : "bad");
    } catch (problem) {
      say(problem.message, "bad");
    }
    setJob(null);
    load();
  };
  const remove = async (id) => {
    await call(`/admin/backups/${id}`, { method: "DELETE" }).catch((problem) => say(problem.message, "bad"));
    load();
  };
  return html`
    <div class="panel"><div class="spread"><h2>Backups</h2>
      <span class="row">
        <button type="button" class="quiet" disabled=${Boolean(job)} onClick=${() => run("/admin/jobs/verify", {}, "Everything was verified; see Jobs.")}>Verify</button>
        <button type="button" class="button soft" id="make-backup" disabled=${Boolean(job)} onClick=${() => run("/admin/jobs/backup", {}, "Backup made.")}>Make a backup</button>
      </span></div>
      ${job && html`<${Bar} value=${job.progress.percent === null ? undefined : job.progress.percent / 100} label="Progress" />`}
      ${backups?.length === 0 && !job && html`<p class="soft-text">No backups yet.</p>`}
      <ul class="rows" id="backups">${(backups ?? []).map((one) => html`
        <li key=${one.id}><strong>${moment(one.created_at)}</strong>
          <span class="soft-text">${plural(one.pictures, "picture")}${one.missing_files ? `, ${count(one.missing_files)} files missing` : ""} · <code>${one.id}</code></span>
          <button type="button" class="quiet" onClick=${() => remove(one.id)} aria-label=${`Delete the backup of ${moment(one.created_at)}`}>Delete</button></li>`)}</ul>
      <p class="soft-text">Restore one with <code>lookalike restore ID</code>.</p>
    </div>`;
}

export function SystemView({ collection }) {
  const { info, collections } = useStore(service);
  const [machine, setMachine] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => get("/admin/system").then((found) => { setMachine(found); setProblem(null); }, setProblem);
  useEffect(() => { load(); }, []);
  useReturn(problem, load);
  const room = machine?.room.find((one) => one.collection === collection) ?? machine?.room[0];
  return html`
    <section class="stack" aria-labelledby="title">
      <div class="title-bar"><h1 id="title">System</h1><p class="soft-text">Measured on this machine, just now.</p>
        <button type="button" class="quiet" onClick=${load}>Measure again</button></div>
      ${problem && html`<${ProblemNotice} problem=${problem} onRetry=${load} />`}
      <div class="tiles" id="tiles">
        <${Tile} label="Version" value=${info.version} note=${`model of new collections: ${info.model}`} />
        <${Tile} label="Pictures" value=${count(info.images)} note=${plural(info.collections.length, "collection")} />
        <${Tile} label="Memory of this process" value=${bytes(info.memory_bytes)} note=${`${bytes(info.index_bytes)} of it for the index`} />
        ${machine && html`
          <${Tile} label="Room for" value=${`${about(room?.pictures ?? 0)} more`}
            note=${room && (room.by_memory !== null && room.by_memory < room.by_disk ? "then memory is full" : "then the disk is full")} />
          <${Tile} label="A search takes" value=${milliseconds(room?.search_ms ?? null)} note="the scan, among the current pictures" />
          <${Tile} label="Free" value=${bytes(machine.free_disk_bytes)}
            note=${`of disk${machine.free_memory_bytes === null ? "" : `, ${bytes(machine.free_memory_bytes)} of memory`}`} />`}
      </div>
      ${machine && html`
        <${Rooms} rooms=${machine.room} collections=${collections} />
        <${Processes} processes=${machine.processes} />`}
      <${Backups} />
    </section>`;
}
