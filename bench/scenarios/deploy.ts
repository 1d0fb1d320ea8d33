/** One command, one file, until it answers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hostOf } from '../lib/functions.ts';
import { request, startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const ROUNDS = 11;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const directory = await mkdtemp(path.join(tmpdir(), 'petrel-bench-deploy-'));
  try {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const file = path.join(directory, `deploy-${round}.ts`);
      await writeFile(file, `export default { fetch: () => new Response('round ${round}') };\n`);
      const from = performance.now();
      await platform.petrel('deploy', file);
      const answer = await request(platform.gateway, hostOf(`deploy-${round}`));
      if (answer.body !== `round ${round}`)
        throw new Error(`unexpected answer: ${answer.status} ${answer.body}`);
      times.push(performance.now() - from);
    }
    return [
      {
        what: '`deploy` of one file until it answers',
        value: median(times) / 1000,
        unit: 's',
        reach: { at: 0.5, better: 'lower' },
      },
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
    await platform.stop();
  }
}
