// Use the types that openapi-typescript generates, with openapi-fetch: add, search, page, read an error, delete.
// Arguments: the URL of a running service, and a folder with sunset-01.jpg and sunset-02.jpg.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import createClient from 'openapi-fetch';

import type { components, paths } from './generated/types';

type SearchResponse = components['schemas']['SearchResponse'];

async function main(url: string, folder: string): Promise<void> {
  const client = createClient<paths>({ baseUrl: url });
  for (const name of ['sunset-01', 'sunset-02']) {
    const form = new FormData();
    form.append('file', new Blob([readFileSync(join(folder, `${name}.jpg`))]), `${name}.jpg`);
    const put = await client.PUT('/images/{image_id}', {
      params: { path: { image_id: name } },
      body: { file: '' },
      bodySerializer: () => form,
    });
    equal(put.response.status, 201, JSON.stringify(put.error));
  }

  const first = await client.POST('/search/query', {
    body: { image_id: 'sunset-01', limit: 1 },
  });
  ok(first.data, JSON.stringify(first.error));
  const page: SearchResponse = first.data;
  deepStrictEqual(page.items.map((item) => item.id), ['sunset-01']);
  const similar = await client.GET('/images/{image_id}/similar', { params: { path: { image_id: 'sunset-01' } } });
  deepStrictEqual(similar.data?.items.map((item) => item.id), ['sunset-02']);

  for (const name of ['sunset-01', 'sunset-02']) {
    const deleted = await client.DELETE('/images/{image_id}', { params: { path: { image_id: name } } });
    equal(deleted.response.status, 204);
  }
  const gone = await client.GET('/images/{image_id}', { params: { path: { image_id: 'sunset-01' } } });
  equal(gone.error?.code, 'unknown_image');
}

main(process.argv[2]!, process.argv[3]!).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
