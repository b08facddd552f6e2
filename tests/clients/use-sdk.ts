// Use the client that @hey-api/openapi-ts generates: add, search, page, read an error, delete.
// Arguments: the URL of a running service, and a folder with sunset-01.jpg, sunset-02.jpg and forest-01.jpg.
import { deepStrictEqual, equal, notEqual, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { client } from './generated/sdk/client.gen';
import {
  addPictures,
  deletePicture,
  getPicture,
  getThumbnail,
  searchByQuery,
  searchByUpload,
} from './generated/sdk/sdk.gen';

const NAMES = ['sunset-01', 'sunset-02', 'forest-01'];

async function main(url: string, folder: string): Promise<void> {
  client.setConfig({ baseUrl: url });
  const files = NAMES.map((name) => new File([readFileSync(join(folder, `${name}.jpg`))], `${name}.jpg`));

  const added = await addPictures({ body: { files, ids: JSON.stringify(NAMES) } });
  ok(added.data && 'items' in added.data, JSON.stringify(added.error));
  deepStrictEqual(added.data.items.map((item) => item.id), NAMES);

  const first = await searchByUpload({ body: { file: files[0]!, limit: 1 } });
  ok(first.data, JSON.stringify(first.error));
  deepStrictEqual(first.data.items.map((item) => [item.id, item.exact]), [['sunset-01', true]]);
  const second = await searchByQuery({ body: { cursor: first.data.next_cursor } });
  ok(second.data, JSON.stringify(second.error));
  equal(second.data.items.length, 1);
  notEqual(second.data.items[0]!.id, 'sunset-01');

  const thumbnail = await getThumbnail({ path: { image_id: 'sunset-01' }, parseAs: 'blob' });
  equal((thumbnail.data as Blob).type, 'image/webp');

  const deleted = await deletePicture({ path: { image_id: 'sunset-01' } });
  equal(deleted.response?.status, 204);
  const gone = await getPicture({ path: { image_id: 'sunset-01' } });
  equal(gone.error?.code, 'unknown_image');
  for (const name of NAMES.slice(1)) {
    await deletePicture({ path: { image_id: name } });
  }
}

main(process.argv[2]!, process.argv[3]!).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
