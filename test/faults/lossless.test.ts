/** Whatever changes under load, no request fails: rollout, rollback, split, scale, eviction, configuration, gateway restart. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CHANGES, ready, type Subject } from '../../bench/lib/changes.ts';
import { failures, startLoad, summary } from '../../bench/lib/open-loop.ts';
import { program, serviceObject } from '../../bench/lib/services.ts';
import { KSERVICES } from '../../src/kube/refs.ts';
import { Petrel, Scratch, type Status } from '../lib/platform.ts';

/** Enough to catch a request in each moment of a change, little enough for a machine that does other things too. */
const REQUESTS_PER_SECOND = 150;

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;

before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
  const annotations = { 'autoscaling.knative.dev/min-scale': '1' };
  await api.create(KSERVICES, serviceObject('program', program(5), annotations));
  scratch.write({
    'handler.mjs':
      'export default { fetch: async () => { await new Promise((done) => setTimeout(done, 5)); return new Response("hello"); } };',
  });
  await petrel.deploy(scratch.path('handler.mjs'), '--name', 'source');
  const { template } = (await api.get<ReturnType<typeof serviceObject>>(KSERVICES, 'default', 'source')).spec;
  const handler = serviceObject('handler', [], annotations);
  handler.spec.template.spec = template.spec;
  Object.assign(handler.spec.template.metadata?.annotations ?? {}, {
    ...template.metadata?.annotations,
    ...annotations,
  });
  await api.create(KSERVICES, handler);
});
after(async () => {
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

for (const name of ['program', 'handler']) {
  for (const change of CHANGES) {
    test(`${name}: ${change.what}`, async () => {
      const subject: Subject = { client: api, pid: platform.pid, name };
      await ready(subject);
      const [host = '', port] = platform.gateway.split(':');
      const load = startLoad({
        host,
        port: Number(port),
        name: `${name}.default.localhost`,
        requestsPerSecond: REQUESTS_PER_SECOND,
        seconds: 90,
      });
      try {
        await change.run(subject);
      } finally {
        load.stop();
      }
      const result = await load.done;
      assert.ok(result.sent > 0);
      assert.equal(failures(result), 0, `${summary(result)}${petrel.log()}`);
    });
  }
}
