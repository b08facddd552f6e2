// What is searched with, from the fields of the address.

import * as api from "../../core/api.js";
import { filterOf } from "../../core/filter.js";
import { isLocal } from "../../core/service.js";
import * as uploads from "../../core/uploads.js";
import { nameOf } from "../../core/words.js";

const QUERY_FIELDS = ["like", "upload", "url", "plus", "minus", "text"];
const LIMIT = 24;

/** How much the results should differ from each other, where that is chosen. */
const VARIED = 0.5;

export const isSearch = (place) => QUERY_FIELDS.some((field) => place[field]);

const ids = (text) => (text ? text.split(",").filter(Boolean) : []);

export const examplesOf = ({ plus, minus }) =>
  [...ids(plus).map((id) => ({ id, sign: "+" })), ...ids(minus).map((id) => ({ id, sign: "-" }))];

/** The part of the picture that the address names, or null. */
export function cropOf({ crop }) {
  const [x, y, width, height] = (crop || "").split(",").map(Number);
  return height > 0 && width > 0 ? { x, y, width, height } : null;
}

export const cropText = ({ x, y, width, height }) => [x, y, width, height].join(",");

const numberOr = (text, otherwise) => (/^-?\d+$/.test(text ?? "") ? Number(text) : otherwise);

/** The farthest distance that the address allows, or null for any. */
export const maxOf = ({ max }) => numberOr(max, null);

/** The weight of colours that the address names, in percent, 0 to 100. */
export const colourOf = ({ colour }) => Math.min(100, Math.max(0, numberOr(colour, 0)));

/** The fields of a request, beside the query itself. */
export function limitsOf(place) {
  const isByPicture = !examplesOf(place).length && !place.text;
  const isPicture = Boolean(place.upload || place.url) && isByPicture;
  return {
    collection: place.collection || "default",
    limit: LIMIT,
    where: place.text && isLocal(place.collection || "default") ? "both" : null,
    max_distance: place.text ? null : maxOf(place),
    filter: filterOf(place.filter),
    rank: place.rank && isByPicture ? place.rank : null,
    diversify: place.varied && isByPicture ? VARIED : null,
    colour: place.colour && isByPicture ? colourOf(place) / 100 : null,
    regions: isPicture && place.parts ? "auto" : null,
    crop: isPicture ? cropOf(place) : null,
    orientations: isPicture ? numberOr(place.turned, null) : null,
  };
}

/** What an address searches with; `name` and `picture` (an address, or null) describe it. */
export async function queryOf(place) {
  const examples = examplesOf(place);
  if (place.text) return { text: place.text, examples: examples.length ? examples : null, name: `“${place.text}”`, picture: null };
  if (examples.length) return { examples, name: "Like these", picture: null };
  if (place.upload) {
    const file = await uploads.find(place.upload);
    if (!file) {
      throw new api.Problem(404, {
        detail: "This browser no longer has that picture. Choose it again: uploaded pictures are kept only in the browser that they were searched from.",
      });
    }
    return { file, name: file.name, picture: uploads.addressOf(place.upload, file) };
  }
  if (place.url) return { url: place.url, name: place.url, picture: null };
  const stored = await api.readImage(place.like, place.collection || "default");
  return { id: place.like, name: nameOf(stored), picture: stored.thumbnail_url?.replace("size=256", "size=512") ?? null, stored };
}
