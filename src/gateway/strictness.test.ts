/** What is refused, and that it is refused for good: 400 (or its own status), connection closed, nothing forwarded. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ACCEPTED, REFUSED, SMUGGLED } from './testing/corpus.ts';
import { type Harness, RawClient, startHarness } from './testing/harness.ts';
import { type MuxInstance, startMuxInstance } from './testing/mux-instance.ts';

let h: Harness;
let instance: MuxInstance;
const seen: string[] = [];

before(async () => {
  instance = await startMuxInstance((s) => {
    seen.push(s.head);
    const answer = () => s.respond(200, {}, s.body);
    if (s.ended) answer();
    else s.onEnd = answer;
  });
  h = await startHarness();
  h.endpoints(instance.path);
});
after(async () => {
  await h.gateway.close(0);
  await instance.close();
});

for (const [what, bytes, status] of REFUSED) {
  test(`refused: ${what}`, async () => {
    seen.length = 0;
    const client = new RawClient(h.port);
    client.send(bytes + SMUGGLED);
    const response = await client.response();
    assert.equal(response.status, status);
    const body = JSON.parse(response.body) as Record<string, string>;
    assert.equal(body.component, 'client');
    assert.equal(body.requestId, response.headers['x-request-id']);
    assert.equal(response.headers.connection, 'close');
    await client.end();
    assert.equal(client.text, '');
    client.destroy();
    assert.ok(!seen.some((head) => head.includes('smuggled')), seen.join('\n'));
  });
}

for (const [what, bytes, body] of ACCEPTED) {
  test(`accepted: ${what}`, async () => {
    const client = new RawClient(h.port);
    client.send(bytes + SMUGGLED);
    const first = await client.response();
    assert.equal(first.status, 200, first.body);
    assert.equal(first.body, body);
    assert.equal((await client.response()).status, 200);
    client.destroy();
  });
}
