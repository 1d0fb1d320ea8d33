import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundaryOf, filePart } from './multipart.ts';

const form = (...parts: [head: string, body: string][]) =>
  Buffer.from(`${parts.map(([head, body]) => `--b\r\n${head}\r\n\r\n${body}\r\n`).join('')}--b--\r\n`);
const upload =
  'Content-Disposition: form-data; name="uploadfile"; filename="a.zip"\r\nContent-Type: application/octet-stream';

async function* chunked(body: Buffer, size: number) {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}
async function read(body: Buffer, size = 3): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of filePart(chunked(body, size), 'b', 'uploadfile')) parts.push(part);
  return Buffer.concat(parts).toString('latin1');
}

test('the file is found whatever the pieces, among other fields', async () => {
  const text = 'line\r\n--not the end\r\n--\r\n\0\xff';
  const body = form(['Content-Disposition: form-data; name="x"', 'y'], [upload, text]);
  for (const size of [1, 2, 3, 7, 64, 4096])
    assert.equal(await read(body, size), Buffer.from(text).toString('latin1'));
  assert.equal(await read(form([upload, ''])), '');
});

test('what is no form, has no such field, or ends too early is refused', async () => {
  await assert.rejects(
    read(form(['Content-Disposition: form-data; name="x"', 'y'])),
    /no field "uploadfile"/,
  );
  await assert.rejects(read(form([upload, 'abc']).subarray(0, 100)), /ends too early/);
  await assert.rejects(read(Buffer.from('nothing')), /ends too early/);
  await assert.rejects(read(Buffer.from(`--b\r\n${'x'.repeat(20_000)}`), 1000), /head of a part is too long/);
  assert.throws(() => boundaryOf('application/json'), /names no boundary/);
  assert.equal(boundaryOf('multipart/form-data; boundary="a b"'), 'a b');
  assert.equal(boundaryOf('multipart/form-data; boundary=xyz'), 'xyz');
});
