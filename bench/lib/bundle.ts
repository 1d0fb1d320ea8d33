/** Bundles of several real libraries, made by esbuild at benchmark time; nothing of them is committed. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUT = path.resolve(import.meta.dirname, '../out');
const ESBUILD = 'esbuild@0.25.12';

interface Bundle {
  folder: string;
  libraries: string[];
  entry: string;
}

const LARGE: Bundle = {
  folder: 'bundle',
  libraries: ['lodash@4.17.21', 'rxjs@7.8.2'],
  entry: `const _ = require('lodash'); const rx = require('rxjs');
exports.fetch = async (request) => new Response(_.capitalize('hello') + ' ' + (await rx.firstValueFrom(rx.of(request.method))));
`,
};

const HUGE: Bundle = {
  folder: 'huge-bundle',
  libraries: [
    '@aws-sdk/client-dynamodb@3.1162.0',
    '@aws-sdk/client-s3@3.1169.0',
    'express@4.21.2',
    'zod@3.24.1',
    'ajv@8.17.1',
    'pg@8.13.1',
    'jsonwebtoken@9.0.2',
    'rxjs@7.8.2',
    'lodash@4.17.21',
    'date-fns@4.1.0',
    'handlebars@4.7.8',
  ],
  entry: `const all = [require('@aws-sdk/client-dynamodb'), require('@aws-sdk/client-s3'), require('express'), require('zod'), require('ajv'), require('pg'), require('jsonwebtoken'), require('rxjs'), require('lodash'), require('date-fns'), require('handlebars')];
exports.fetch = async (request) => new Response('hello ' + all.length + ' ' + request.method);
`,
};

/** Source text of a bundle of about 585 KB, CommonJS. */
export const largeBundle = (): Promise<string> => bundle(LARGE);
/** The same of about 5 MB, with libraries that do much when they are loaded. */
export const hugeBundle = (): Promise<string> => bundle(HUGE);

async function bundle({ folder, libraries, entry }: Bundle): Promise<string> {
  const directory = path.join(OUT, folder);
  const file = path.join(directory, 'bundle.cjs');
  const existing = await readFile(file, 'utf8').catch(() => undefined);
  if (existing) return existing;
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'package.json'), '{"private":true}\n');
  await writeFile(path.join(directory, 'entry.cjs'), entry);
  await run('npm', ['install', '--no-audit', '--no-fund', ESBUILD, ...libraries], { cwd: directory });
  const esbuild = path.join(directory, 'node_modules/.bin/esbuild');
  const options = ['--bundle', '--platform=node', '--format=cjs', '--external:pg-native'];
  await run(esbuild, ['entry.cjs', ...options, `--outfile=${file}`], { cwd: directory });
  return readFile(file, 'utf8');
}
