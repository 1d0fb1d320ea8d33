import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { PetrelError } from '../../base/errors.ts';
import { request } from '../../base/http.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { type SavedRequest, savedRequest, saveRequest } from '../invoke/saved.ts';
import { findPlatform } from '../session.ts';

/** Exit code when the function answered, but with an error status. */
const ANSWERED_WITH_ERROR = 1;

/** Sends one request through the gateway by path, so that no name has to resolve. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const record = await findPlatform(home);
  if (!record?.gateway) {
    throw new PetrelError('PlatformNotRunning', `no gateway runs on ${home.dir}`, {
      fix: 'petrel up --detach starts it',
    });
  }
  const name = args.required(0);
  const base = `/fn/${encodeURIComponent(args.text('namespace') ?? 'default')}/${encodeURIComponent(name)}`;
  if (args.flag('check')) return check(args, out, `http://${record.gateway}${base}`);
  const keep = args.text('save');
  if (args.flag('expect') && keep === undefined)
    throw new PetrelError('InvalidArgument', '--expect is for requests that are saved', {
      fix: 'add --save <name>',
    });
  if (args.flag('wait') && !args.flag('async'))
    throw new PetrelError('InvalidArgument', '--wait is for requests that are carried out later', {
      fix: 'add --async; without it the answer is waited for anyway',
    });
  const saved = await requestOf(args);
  const { method, path, headers, body } = saved;
  if (keep !== undefined && !args.flag('expect')) saveRequest(keep, saved);
  const outgoing = request(`http://${record.gateway}`, {
    method,
    path: `${base}${path.startsWith('/') ? '' : '/'}${path}`,
    agent: false,
  });
  for (const [key, value] of headers) outgoing.appendHeader(key, value);
  if (args.flag('async')) outgoing.setHeader('x-petrel-invoke-mode', 'async');
  const answered = Promise.withResolvers<IncomingMessage>();
  outgoing.on('response', answered.resolve);
  outgoing.on('error', answered.reject);
  outgoing.end(body);
  const response = await out.progress(`calling ${name}`, answered.promise).catch((error: Error) => {
    throw new PetrelError('ApiError', `the gateway gave no answer: ${error.message}`, {
      fix: 'petrel status',
      cause: error,
    });
  });
  if (args.flag('async') && response.statusCode === 202 && response.headers['x-petrel-invocation-id']) {
    const { tellAccepted } = await import('../services/accepted.ts');
    return tellAccepted({ record, response, out, wait: args.flag('wait') });
  }
  if (args.flag('include')) {
    out.line(`HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}`);
    for (let i = 0; i < response.rawHeaders.length; i += 2)
      out.line(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`);
    out.line('');
  }
  const said: Buffer[] = [];
  await pipeline(response, async (chunks) => {
    for await (const chunk of chunks) {
      out.raw(chunk as Buffer);
      if (args.flag('expect')) said.push(chunk as Buffer);
    }
  });
  const status = response.statusCode ?? 0;
  if (keep !== undefined && args.flag('expect')) {
    const { expectationOf } = await import('../invoke/expect.ts');
    const answer = { status, headers: response.headers, body: Buffer.concat(said).toString('utf8') };
    const file = saveRequest(keep, { ...saved, expect: expectationOf(answer) });
    out.note(`\nkept in ${file}, with this answer as what is expected; petrel invoke ${name} --check`);
  }
  if (status >= 400 && !args.flag('include'))
    out.note(`\n${name} answered ${status} ${response.statusMessage}`);
  return status >= 400 ? ANSWERED_WITH_ERROR : 0;
}

/** What the options say, over what was saved; kept under a name where that is asked for. */
async function requestOf(args: Args): Promise<SavedRequest> {
  const saved = args.text('saved') === undefined ? undefined : savedRequest(args.text('saved') as string);
  const body = (await bodyOf(args.text('data'))) ?? saved?.body;
  const request: SavedRequest = {
    method: (args.text('request') ?? saved?.method ?? (body === undefined ? 'GET' : 'POST')).toUpperCase(),
    path: args.text('path') ?? saved?.path ?? '/',
    headers: [...(saved?.headers ?? []), ...args.list('header').map(splitHeader)],
    ...(body === undefined ? {} : { body }),
  };
  return saved?.expect === undefined ? request : { ...request, expect: saved.expect };
}

/** Sends the saved requests that expect something, or one of them, and tells how the answers differ. */
async function check(args: Args, out: CommandContext['out'], url: string): Promise<number> {
  const { checkRequests, expecting } = await import('../invoke/check.ts');
  const one = args.text('saved');
  if (one !== undefined && savedRequest(one).expect === undefined)
    throw new PetrelError('InvalidArgument', `the saved request "${one}" expects nothing`, {
      fix: `add "expect" to .petrel/requests/${one}.json, or save it again with --expect`,
    });
  const requests = expecting('.').filter(({ name }) => one === undefined || name === one);
  if (requests.length === 0)
    throw new PetrelError('NotFound', 'no saved request expects anything', {
      why: 'they are looked for in .petrel/requests of this folder',
      fix: `keep one with its answer: petrel invoke ${args.required(0)} --save home --expect`,
    });
  const checked = await checkRequests(url, requests);
  await out.data(checked, () => {
    for (const { name, passed, ms, problems } of checked) {
      out.line(`${passed ? '✔' : '✖'} ${name} (${Math.round(ms)} ms)`);
      for (const problem of problems) out.line(`  ${problem}`);
    }
  });
  return checked.every(({ passed }) => passed) ? 0 : ANSWERED_WITH_ERROR;
}

async function bodyOf(data: string | undefined): Promise<string | Buffer | undefined> {
  if (data === undefined || !data.startsWith('@')) return data;
  const file = data.slice(1);
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }
  try {
    return await readFile(file);
  } catch (error) {
    throw new PetrelError('FileNotFound', `the body ${file} cannot be read`, {
      why: (error as Error).message,
      fix: 'give the path of a readable file after @, or @- for stdin',
      cause: error,
    });
  }
}

function splitHeader(text: string): [string, string] {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon).trim();
  if (colon < 1 || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    throw new PetrelError('InvalidArgument', `-H ${text} is no header`, {
      fix: `write it as -H 'name: value'`,
    });
  }
  return [name, text.slice(colon + 1).trim()];
}
