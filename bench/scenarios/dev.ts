/** `petrel dev`: from the write of a file to the first answer of what it says. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostOf } from '../lib/functions.ts';
import { REPOSITORY, request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const EDITS = 30;
const LIMIT_MS = 10_000;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const folder = await mkdtemp(path.join(tmpdir(), 'petrel-bench-dev-'));
  const file = path.join(folder, 'edited.ts');
  const write = (text: string) =>
    writeFile(file, `export default { fetch: () => new Response('${text}') };\n`);
  await write('0');
  const dev = spawn(path.join(REPOSITORY, 'petrel'), ['dev', file], {
    env: { ...process.env, PETREL_HOME: platform.home },
    stdio: 'ignore',
  });
  /** Asks until the function answers with the text; resolves with the milliseconds it took. */
  const until = async (text: string): Promise<number> => {
    const from = performance.now();
    for (;;) {
      const answer = await request(platform.gateway, hostOf('edited')).catch(() => undefined);
      if (answer?.body === text) return performance.now() - from;
      if (performance.now() - from > LIMIT_MS)
        throw new Error(`"${text}" was not answered in ${LIMIT_MS} ms`);
      await sleep(1);
    }
  };
  try {
    await until('0');
    const times: number[] = [];
    for (let edit = 1; edit <= EDITS; edit++) {
      await sleep(300);
      await write(String(edit));
      times.push(await until(String(edit)));
    }
    return [
      {
        what: 'edit → answer in `petrel dev`, p50',
        value: quantile(times, 0.5),
        unit: 'ms',
        reach: { at: 100, better: 'lower' },
        note: `p95 ${quantile(times, 0.95).toFixed(0)} ms`,
      },
    ];
  } finally {
    dev.kill('SIGINT');
    await new Promise((resolve) => dev.once('exit', resolve));
    await platform.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
