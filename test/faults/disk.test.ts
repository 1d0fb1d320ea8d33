/** A disk that runs full under a running platform: refused in words, nothing acknowledged is lost, and work goes on when there is room. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ConfigMap } from '../../src/kinds/pod.ts';
import { KubeError } from '../../src/kube/client.ts';
import { CONFIGMAPS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch } from '../lib/platform.ts';

const scratch = new Scratch();
const disk = scratch.path('disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]).status === 0;
const petrel = new Petrel(join(disk, 'h'));
after(async () => {
  if (mounted) {
    await petrel.stop();
    spawnSync('umount', ['-l', disk]);
  }
  scratch.dispose();
});
const options = mounted ? {} : { skip: 'needs the right to mount a small file system' };
const ballast = join(disk, 'ballast');

/** Takes all but `left` bytes of what is free. */
function fill(left: number): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - left)));
}

test('a platform does not start on a disk that is nearly full: exit code 17', options, async () => {
  fill(8 * 1024 * 1024);
  const refused = await petrel.refused(['up', '--detach', '--gateway', ':0', '--api', ':0']);
  assert.equal(refused.exit, 17, JSON.stringify(refused));
  rmSync(ballast);
});

test(
  'a disk that runs full refuses writes and deploys in words, serves on, and recovers',
  options,
  async () => {
    scratch.write({ 'live.mjs': 'export default { fetch: () => new Response("alive") };' });
    const { gateway, pid } = await petrel.up();
    await petrel.deploy(scratch.path('live.mjs'));
    const api = await petrel.api();
    const create = (name: string) =>
      api.create<ConfigMap>(CONFIGMAPS, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
        data: { text: 'x'.repeat(200_000) },
      });

    fill(2 * 1024 * 1024);
    const acknowledged: string[] = [];
    let refusal: unknown;
    for (let i = 0; i < 200 && refusal === undefined; i++) {
      await create(`m${i}`).then(
        () => acknowledged.push(`m${i}`),
        (error) => (refusal = error),
      );
    }
    assert.ok(refusal instanceof KubeError && refusal.code >= 500, String(refusal));
    assert.match(refusal.message, /full|space/i);
    assert.equal((await call(gateway, '/fn/default/live/')).body, 'alive');

    writeFileSync(
      scratch.path('big.js'),
      `module.exports = () => 1; // ${Array.from({ length: 300_000 }, () => Math.random()).join()}`,
    );
    const deploy = await petrel.refused(['deploy', scratch.path('big.js')]);
    assert.equal(deploy.exit, 17, JSON.stringify(deploy));

    rmSync(ballast);
    await eventually('writes work again', async () => Boolean(await create(`again${Date.now()}`)));
    await petrel.deploy(scratch.path('big.js'), '--name', 'big');
    const { items } = await api.list<ConfigMap>(CONFIGMAPS, { namespace: 'default' });
    const names = new Set(items.map(({ metadata }) => metadata.name));
    for (const name of acknowledged) assert.ok(names.has(name), `${name} was acknowledged and is lost`);
    assert.equal((await petrel.status()).pid, pid);
    api.close();
  },
);
