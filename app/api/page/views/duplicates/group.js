// One group side by side.

import { Thumb } from "../../components/picture.js";
import { say } from "../../components/toasts.js";
import { patchImage, post, readImage } from "../../core/api.js";
import { follow, hrefOf } from "../../core/address.js";
import { picturesChanged } from "../../core/service.js";
import { bytes, labelOf, nameOf, plural } from "../../core/words.js";
import { html, useState } from "../../vendor/htm-preact.js";
import { deleteWithUndo } from "../collection/details.js";

/** The picture that a policy keeps; the service lists the oldest first. */
export function keptOf(images, policy) {
  if (policy === "oldest") return images[0];
  const size = (image) => [image.width * image.height, image.size_bytes];
  return images.reduce((best, image) => {
    const [[a, b], [c, d]] = [size(image), size(best)];
    return a > c || (a === c && b > d) ? image : best;
  });
}

/** Compare the rest with the one that is kept, by their descriptors. */
async function check(kept, rest, collection) {
  const found = new Map();
  for (const image of rest) {
    found.set(image.id, await post("/compare", { first: kept, second: image.id, collection }));
  }
  return found;
}

/** Whether a pair is no copy by the rule or, where bounds made the groups, its descriptors are too far apart. */
const isDoubtful = ({ likeness, descriptor_distance: distance }, bound) =>
  !["exact", "copy"].includes(likeness) && (bound === null || (distance ?? 0) > bound);

/** The service compares files with the oldest picture, which is its own exact copy. */
const isSameFile = (image, kept) => image.exact && kept.exact;

function apartOf(image, kept, oldest) {
  if (isSameFile(image, kept)) return "same file";
  return image.id === oldest.id ? "the oldest" : `${plural(image.distance, "bit")} from the oldest`;
}

function Member({ image, apart, groupId, isKept, isLeft, compared, collection, onKeep, onLeave }) {
  const here = { collection, like: image.id };
  const descriptors = compared?.descriptor_distance ?? null;
  return html`
    <li class=${`member ${isKept ? "kept" : ""} ${isLeft ? "left" : ""}`} data-id=${image.id}>
      <a href=${hrefOf(here)} aria-label=${`Find look-alikes of ${nameOf(image)}`} onClick=${(event) => follow(event, here)}><${Thumb} item=${image} /></a>
      <span class="name" title=${image.id}>${nameOf(image)}</span>
      <span>${image.width} × ${image.height} · ${bytes(image.size_bytes)}</span>
      <span>${[!isKept && apart, labelOf(compared?.likeness), descriptors !== null && `descriptors ${descriptors.toFixed(2)}`]
        .filter(Boolean).join(" · ")}</span>
      <label>
        <input type="radio" name=${`keep-${groupId}`} checked=${isKept} onChange=${onKeep} aria-label=${`Keep ${nameOf(image)}`} /> Keep
      </label>
      ${!isKept && html`
        <label>
          <input type="checkbox" checked=${isLeft} onChange=${onLeave} aria-label=${`Not a duplicate: ${nameOf(image)}`} /> not a duplicate
        </label>`}
    </li>`;
}

export function Group({ group, collection, policy, bound }) {
  const [keptId, setKept] = useState(keptOf(group.images, policy).id);
  const [left, setLeft] = useState(new Set());
  const [compared, setCompared] = useState(new Map());
  const [isBusy, setBusy] = useState(false);
  const kept = group.images.find(({ id }) => id === keptId) ?? group.images[0];
  const rest = group.images.filter((image) => image.id !== keptId);
  const doomed = rest.filter((image) => !left.has(image.id));
  /** Pictures that descriptors doubt are left out, unless the user has already looked. */
  const checked = async () => {
    const known = doomed.every((image) => compared.has(image.id) || isSameFile(image, kept));
    if (known) return doomed;
    const found = await check(keptId, doomed, collection);
    setCompared(found);
    const doubtful = doomed.filter((image) => isDoubtful(found.get(image.id), bound));
    if (!doubtful.length) return doomed;
    setLeft(new Set([...left, ...doubtful.map(({ id }) => id)]));
    say(`${plural(doubtful.length, "picture")} left out, as they may be other pictures. Look at them, then continue.`);
    return null;
  };
  const busily = (work) => async () => {
    setBusy(true);
    try {
      await work();
    } catch (problem) {
      say(problem.message, "bad");
    }
    setBusy(false);
  };
  const remove = busily(async () => {
    const ids = (await checked())?.map(({ id }) => id);
    if (ids?.length) deleteWithUndo(ids, collection);
  });
  const tag = busily(async () => {
    const wanted = await checked();
    if (!wanted) return;
    for (const { id } of wanted) {
      const image = await readImage(id, collection);
      await patchImage(id, collection, image.revision, { metadata: { ...image.metadata, duplicate_of: keptId } });
    }
    say(`${plural(wanted.length, "picture")} tagged with duplicate_of.`);
    await picturesChanged();
  });
  const look = busily(async () => setCompared(await check(keptId, rest, collection)));
  /** The service remembers what is no duplicate of the picture that is kept; the group stays as it is until it is asked again. */
  const toggle = (id) => busily(async () => {
    const before = left;
    const next = new Set(before);
    if (!next.delete(id)) next.add(id);
    setLeft(next);
    try {
      await post(`/duplicates/different${before.has(id) ? "/delete" : ""}`, { ids: [keptId, id], collection });
    } catch (problem) {
      setLeft(before);
      throw problem;
    }
  })();
  const hidden = group.size - group.images.length;
  return html`
    <article class="group" aria-label=${plural(group.size, "picture")}>
      <div class="spread">
        <h2>${plural(group.size, "picture")}${hidden > 0 && group.images.length >= 50 ? `, the first ${group.images.length} shown` : ""}</h2>
        <span class="row">
          <button type="button" class="quiet" data-act="check" disabled=${isBusy} onClick=${look}>Check by descriptors</button>
          <button type="button" class="quiet" data-act="tag" disabled=${isBusy || !doomed.length} onClick=${tag}>Tag the rest</button>
          <button type="button" class="button danger" data-act="delete" disabled=${isBusy || !doomed.length} onClick=${remove}>Delete the rest</button>
        </span>
      </div>
      <ol class="members">
        ${group.images.map((image) => html`
          <${Member} key=${image.id} image=${image} apart=${apartOf(image, kept, group.images[0])} groupId=${group.images[0].id} isKept=${image.id === keptId}
            isLeft=${left.has(image.id)} compared=${compared.get(image.id)} collection=${collection}
            onKeep=${() => { setKept(image.id); setCompared(new Map()); }} onLeave=${() => toggle(image.id)} />`)}
      </ol>
    </article>`;
}
