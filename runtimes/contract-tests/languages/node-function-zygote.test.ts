/** Instances of the node runtime that are forked from a process with their function's code in it (PROTOCOL.md, "Function zygote"), without a sandbox. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functionZygotes, until } from '../function-zygote.ts';

const { load, livesApart } = functionZygotes('node');

const ANSWER = `new Response(JSON.stringify({
  count: ++count, who: process.env.WHO, more: process.env.MORE, random: Math.random(), kept: kept(), loads: globalThis.loads,
  cwd: process.cwd(), ticks,
}))`;
const STATE = `let count = 0; let ticks = 0; setInterval(() => ticks++, 1).unref(); const kept = Math.random; globalThis.loads = (globalThis.loads ?? 0) + 1;`;

for (const [what, files] of Object.entries<Record<string, string>>({
  'a CommonJS module': { 'f.cjs': `${STATE} exports.fetch = async () => ${ANSWER};` },
  'an ES module with a top-level await': {
    'f.mjs': `await new Promise((done) => setTimeout(done, 5)); ${STATE} export default { fetch: () => ${ANSWER} };`,
  },
  TypeScript: { 'f.ts': `${STATE} export default { fetch: (_: Request): Response => ${ANSWER} };` },
})) {
  test(`${what} is loaded once, and what its instances do afterwards is their own`, () =>
    livesApart(files, async (first, other, instance) => {
      assert.deepEqual([first.loads, other.loads], [1, 1]);
      for (const key of ['random', 'kept']) assert.notEqual(first[key], other[key]);
      await until(
        async () => JSON.parse(await instance.ask()).ticks > Number(first.ticks),
        'timers of the load go on',
      );
    }));
}

const PROBLEMS: Record<string, [code: string, problem: RegExp]> = {
  'a thread': [
    `const { Worker } = require('worker_threads'); new Worker('setInterval(() => {}, 1000)', { eval: true }).unref();`,
    /thread|MessagePort|Worker/,
  ],
  'a connection': [
    `const net = require('net'); const server = net.createServer(() => {}).listen(0, () => net.connect(server.address().port)); server.unref();`,
    /opened socket|under way/,
  ],
  'an open file': [`require('fs').openSync(__filename);`, /opened .*f\.cjs/],
  'random bytes': [`require('crypto').randomBytes(8);`, /random numbers .*randomBytes/],
  'a random UUID by the global': [`crypto.randomUUID();`, /random numbers .*randomUUID/],
  'a process': [
    `require('child_process').spawn('sleep', ['60'], { stdio: 'ignore' }).unref();`,
    /started a process/,
  ],
};
for (const [what, [code, problem]] of Object.entries(PROBLEMS)) {
  test(`code that makes ${what} while it is loaded is not forked`, async () => {
    const { result, end } = await load({ 'f.cjs': `${code} exports.fetch = () => new Response('');` });
    assert.match(result.result.problem, problem);
    await end();
  });
}

test('random numbers are no hindrance where the function says so, and are not the same afterwards', async () => {
  const files = {
    'f.cjs': `const c = require('crypto'); const first = [c.randomUUID(), c.randomInt(1e12)];
      exports.fetch = () => new Response(JSON.stringify([first[0], c.randomUUID(), c.randomInt(1e12), c.randomBytes(8).toString('hex')]));`,
  };
  const { result, fork, end } = await load(files, { trusted: true });
  assert.equal(result.result.problem, undefined);
  const [one, other] = [await fork('one'), await fork('other')];
  const [a, b] = [JSON.parse(await one.ask()), JSON.parse(await other.ask())];
  assert.equal(a[0], b[0]);
  for (const each of [1, 2, 3]) assert.notEqual(a[each], b[each]);
  await one.end();
  await other.end();
  await end();
});

test('code that does not load is told of as ever; other code is refused by an instance', async () => {
  const broken = await load({ 'f.cjs': 'exports.fetch = (' });
  assert.equal(broken.result.error.code, 'LoadError');
  assert.match(broken.result.error.detail, /SyntaxError/);
  await broken.end();
  const good = await load({ 'f.cjs': `exports.fetch = () => new Response('');` });
  const instance = await good.fork('one');
  await assert.rejects(
    instance.instance.call('specialise', { code: '/', revision: 'r-2' }),
    ({ code }: { code?: string }) => code === 'AlreadySpecialised',
  );
  await instance.end();
  await good.end();
});
