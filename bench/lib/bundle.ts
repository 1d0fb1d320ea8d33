/** A bundle of about 585 KB with several real libraries, made by esbuild at benchmark time; nothing of it is committed. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUT = path.resolve(import.meta.dirname, '../out/bundle');
const LIBRARIES = ['lodash@4.17.21', 'rxjs@7.8.2', 'esbuild@0.25.12'];
const ENTRY = `const _ = require('lodash'); const rx = require('rxjs');
exports.fetch = async (request) => new Response(_.capitalize('hello') + ' ' + (await rx.firstValueFrom(rx.of(request.method))));
`;

/** Source text of the bundle, CommonJS. */
export async function largeBundle(): Promise<string> {
  const file = path.join(OUT, 'bundle.cjs');
  const existing = await readFile(file, 'utf8').catch(() => undefined);
  if (existing) return existing;
  await mkdir(OUT, { recursive: true });
  await writeFile(path.join(OUT, 'package.json'), '{"private":true}\n');
  await writeFile(path.join(OUT, 'entry.cjs'), ENTRY);
  await run('npm', ['install', '--no-audit', '--no-fund', ...LIBRARIES], { cwd: OUT });
  await run(
    path.join(OUT, 'node_modules/.bin/esbuild'),
    ['entry.cjs', '--bundle', '--platform=node', '--format=cjs', `--outfile=${file}`],
    {
      cwd: OUT,
    },
  );
  return readFile(file, 'utf8');
}
