/** The contract suite for components: a handler in Rust for wasi:http, translated by the build of the wasm runtime, an instance of it per request. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { contract } from '../contract.ts';
import { BuildError, build, Instance, withoutProgram } from '../instance.ts';
import type { Source } from '../language.ts';

const template = (name: string) =>
  fs.readFileSync(new URL(`../../wasm/templates/component/${name}`, import.meta.url), 'utf8');
const rust = (text: string): Source => ({
  files: {
    'Cargo.toml': template('Cargo.toml'),
    'Cargo.lock': template('Cargo.lock'),
    'src/lib.rs': text,
  },
  entry: 'function.wasm',
});
const everything = rust(fs.readFileSync(new URL('component.rs', import.meta.url), 'utf8'));

/** The target is there when the standard library for it is; the registries when a build succeeds. */
function withoutComponents(): string | undefined {
  const gone = withoutProgram('cargo');
  if (gone !== undefined) return gone;
  const { stdout } = spawnSync('rustc', ['--print', 'target-libdir', '--target', 'wasm32-wasip2'], {
    encoding: 'utf8',
  });
  if (!fs.existsSync(stdout.trim())) return 'rustup target add wasm32-wasip2 was not run';
  const source = fs.mkdtempSync('/tmp/petrel-component-');
  try {
    for (const [name, text] of Object.entries(everything.files)) {
      fs.mkdirSync(`${source}/src`, { recursive: true });
      fs.writeFileSync(`${source}/${name}`, text);
    }
    build('wasm', source, everything.files, everything.entry, undefined);
    return undefined;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const unreachable =
      /failed to (download|get|fetch)|could not resolve host|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|npm error code E[0-9]+/i;
    const words = unreachable.exec(error.log);
    if (words === null) throw error;
    return `what builds components cannot be brought: ${words[0]}`;
  } finally {
    fs.rmSync(source, { recursive: true, force: true });
  }
}

const missing = withoutComponents();
const perRequest = 'nothing of the component runs before a request, or outlives one';
const ended = 'what is cancelled is ended where it stands; runtimes/wasm/wasm.test.ts shows it';
const modules = 'runtimes/contract-tests/languages/wasm.test.ts shows it';

contract({
  runtime: 'wasm',
  title: 'component',
  missing,
  transport: 'mux',
  trace: /function\.wasm|wasm:\/\//,
  args: /function\.wasm$/,
  everything,
  crash: everything,
  failures: {
    'a syntax error': {
      source: rust('fn main( { }\n'),
      says: /mismatched closing delimiter|this file contains an unclosed delimiter/,
      file: 'src/lib.rs',
      line: 1,
      building: true,
    },
    'no handler among the exports': {
      source: rust('#[no_mangle]\npub extern "C" fn answer() -> u32 { 42 }\n'),
      says: /does not export wasi:http\/incoming-handler/,
      building: true,
    },
  },
  lacks: {
    programs: 'a component listens on nothing',
    'requests that wait do so side by side': 'a request that waits holds a thread, and there are 16',
    'a time-out of the gateway reaches the handler': ended,
    'a handler that hangs is not hidden by an answer to PING': ended,
    'a syntax error in a file that is imported': 'a component is one file',
    'a module that is not there': 'cargo says so as for any crate',
    'a module that is not there, two files deep': 'a component is one file',
    'a throw while loading': modules,
    'a named handler that is not exported': 'the world says which export it is',
    'an entry that is not in the package': modules,
    'an entry outside the package': modules,
    'code that exits while it is loaded': perRequest,
    'loading that fails later': perRequest,
    'loading that never ends': perRequest,
    'user code that breaks the process (/crash) resets what is in flight and says why': perRequest,
    'user code that breaks the process (/reject) resets what is in flight and says why': perRequest,
    'a process that exits in a handler takes its connections along': perRequest,
  },
});

const skip = missing ?? false;
const NO_ANSWER: [path: string, says: RegExp][] = [
  ['/refuse', /answered with the error HTTP-request-denied/],
  ['/silent', /returned without a response/],
];
for (const [path, says] of NO_ANSWER) {
  test(`component: no response to ${path} is a 500 that says why`, { skip }, async (t) => {
    const instance = await Instance.start({ runtime: 'wasm' });
    t.after(() => instance.stop());
    await instance.specialise(everything.files, { entry: everything.entry as string });
    const data = await instance.connect();
    const answer = await data.request({ target: path });
    assert.equal(answer.status, 500);
    assert.match(JSON.parse(answer.body.toString()).message, says);
    assert.equal((await data.request({ target: '/log' })).status, 200);
  });
}

test('component: asks others by wasi:http/outgoing-handler', { skip }, async (t) => {
  const server = http.createServer((request, response) => response.end(`answer to ${request.url}`));
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const instance = await Instance.start({ runtime: 'wasm' });
  t.after(() => instance.stop());
  await instance.specialise(everything.files, { entry: everything.entry as string });
  const data = await instance.connect();
  const answer = await data.request({ target: `/fetch?from=127.0.0.1:${port}` });
  assert.equal(answer.body.toString(), '200 answer to /asked');
});
