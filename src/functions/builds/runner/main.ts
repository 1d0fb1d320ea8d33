/**
 * Runs inside a build's Pod: fetches the source, runs the command in it, hands in what came of it. Its output is the command's own.
 * Uses nothing but HTTP to the platform, so a Pod on any node can run it.
 */
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { request as httpRequest } from '../../../base/http.ts';
import { unpackArchive } from '../../archive/unpack.ts';
import { packStream } from '../../pack.ts';
import { runCommand } from './command.ts';
import { BUILD_EXIT, type BuildRequest, REQUEST_VARIABLE } from './request.ts';

/** Where a container may say why it ended. */
const LAST_WORDS = '/dev/termination-log';
const LAST_WORDS_BYTES = 4096;

function lastWords(text: string): void {
  try {
    writeFileSync(LAST_WORDS, Buffer.from(text).subarray(0, LAST_WORDS_BYTES));
  } catch {} // a machine without such a file: the log says it, too
}

function ask(build: BuildRequest, method: string, path: string, options: RequestOptions, body?: Readable) {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = httpRequest(
    `${build.url}${path}`,
    { ...options, method, headers: { ...options.headers, authorization: `Bearer ${build.token}` } },
    resolve,
  );
  outgoing.on('error', reject);
  if (body === undefined) outgoing.end();
  else pipeline(body, outgoing).catch(reject);
  return promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return text;
}

async function fetchSource(build: BuildRequest, target: string): Promise<void> {
  const response = await ask(build, 'GET', '/source', {});
  if (response.statusCode !== 200)
    throw new Error(`the source was not handed out: ${response.statusCode} ${await textOf(response)}`);
  const archive = `${target}.archive`;
  await pipeline(response, createWriteStream(archive));
  await unpackArchive(archive, target);
  await rm(archive);
}

/** What stands in the output directory or, when nothing does, the source's own directory. */
async function handIn(build: BuildRequest, output: string, source: string): Promise<void> {
  const directory = (await readdir(output)).length > 0 ? output : source;
  const { stream } = await packStream(directory);
  // Unpacked over there while it is packed here.
  const response = await ask(build, 'PUT', '/result', {}, Readable.from(stream, { objectMode: false }));
  const text = await textOf(response);
  if ((response.statusCode ?? 500) >= 300) {
    const { message = text, fix = '' } = JSON.parse(text) as { message?: string; fix?: string };
    throw new Unusable(`${message} ${fix}`.trim());
  }
}

/** The result was looked at and refused. */
class Unusable extends Error {}

/** What is said of a build that went beyond what it may. */
const limits = ({ maxDiskBytes, timeoutSeconds }: BuildRequest) => ({
  disk: {
    code: BUILD_EXIT.disk,
    said: `the build wrote more than ${Math.round(maxDiskBytes / 2 ** 20)} MiB and was ended`,
  },
  timeout: {
    code: BUILD_EXIT.timeout,
    said: `the build did not end within ${timeoutSeconds} s and was ended`,
  },
});

async function main(): Promise<number> {
  const build = JSON.parse(process.env[REQUEST_VARIABLE] ?? '') as BuildRequest;
  const at = (name: string) => join(build.workspace, name);
  for (const name of ['output', 'home', 'tmp']) mkdirSync(at(name), { recursive: true });
  mkdirSync(build.cache, { recursive: true });
  await mkdir(at('source'), { recursive: true });
  await fetchSource(build, at('source'));

  const given = build.names.flatMap((name): [string, string][] => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  const end = await runCommand({
    command: build.command,
    cwd: at('source'),
    env: {
      ...build.env,
      ...Object.fromEntries(given),
      PATH: [process.env.PATH, build.path].filter(Boolean).join(':'),
      HOME: at('home'),
      TMPDIR: at('tmp'),
      PETREL_OUTPUT: at('output'),
      PETREL_CACHE: build.cache,
    },
    disk: { path: build.workspace, maxBytes: build.maxDiskBytes },
    timeoutMs: build.timeoutSeconds * 1000,
  });
  if (end.ended === 'stopped') return 143;
  const limit = end.ended === undefined ? undefined : limits(build)[end.ended];
  if (limit !== undefined) {
    process.stderr.write(`${limit.said}\n`);
    lastWords(`${end.words.trimEnd()}\n${limit.said}`.trimStart());
    return limit.code;
  }
  if (end.exitCode !== 0) {
    lastWords(end.words || `${build.command[0]} ended with exit code ${end.exitCode} and said nothing`);
    return BUILD_EXIT.failed;
  }
  try {
    await handIn(build, at('output'), at('source'));
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    // What cannot be packaged would not be the second time, either; a connection that broke may hold.
    if (!(error instanceof Unusable) && (error as Error).name !== 'PetrelError') throw error;
    const said = `what was built is no package${code ? ` (${code})` : ''}: ${message}`;
    process.stderr.write(`${said}\n`);
    lastWords(said);
    return BUILD_EXIT.unusable;
  }
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    const said = `the build could not be run: ${error.message}`;
    process.stderr.write(`${said}\n`);
    lastWords(said);
    process.exit(125);
  },
);
