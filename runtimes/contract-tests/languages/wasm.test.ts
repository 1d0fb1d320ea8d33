/** The contract suite for the wasm runtime: a program in Go, compiled for WASI, an instance of it per request. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import type { Source } from '../language.ts';

function withoutWasi(): string | undefined {
  const gone = withoutProgram('go');
  if (gone !== undefined) return gone;
  const { stdout } = spawnSync('go', ['tool', 'dist', 'list'], { encoding: 'utf8' });
  return stdout.includes('wasip1/wasm') ? undefined : 'this Go compiles nothing for WASI (1.21 and later do)';
}

const go = (text: string): Source => ({
  files: { 'go.mod': 'module function\n\ngo 1.21\n', 'main.go': text },
  entry: 'main.wasm',
});
const everything = go(fs.readFileSync(new URL('wasm.go', import.meta.url), 'utf8'));
const wasm = (text: string): Source => ({ files: { 'fn.wasm': text }, entry: 'fn.wasm' });
const perRequest = 'nothing of the module runs before a request, or outlives one';
const ended = 'what is cancelled is ended where it stands; runtimes/wasm/wasm.test.ts shows it';

contract({
  runtime: 'wasm',
  missing: withoutWasi(),
  transport: 'mux',
  trace: /main\.wasm/,
  args: /main\.wasm$/,
  everything: { ...everything, handler: 'cgi' },
  crash: everything,
  failures: {
    'a syntax error': {
      source: go('package main\n\nfunc main() { = }\n'),
      says: /syntax error: unexpected =/,
      file: 'main.go',
      line: 3,
      building: true,
    },
    'a module that is not there': {
      source: go('package main\n\nimport _ "example.invalid/gone"\n\nfunc main() {}\n'),
      says: /(no required|cannot find) module provid.*example\.invalid\/gone/,
      file: 'main.go',
      line: 3,
      building: true,
    },
    'a throw while loading': {
      source: wasm('(module)'),
      says: /CompileError: .*expected magic word 00 61 73 6d/,
      file: 'fn.wasm',
    },
    'a named handler that is not exported': {
      source: { ...everything, handler: 'handel' },
      says: /handel.*stdio.*cgi.*memory \(memory\).*_start \(function\)|handel.*stdio.*cgi.*_start \(function\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.wasm': '' }, entry: 'other.wasm' },
      says: /no file other\.wasm.*fn\.wasm/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.wasm': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
  },
  lacks: {
    programs: 'WASI preview 1 has no sockets to listen on',
    'requests that wait do so side by side': 'a request that waits holds a thread, and there are 16',
    'a time-out of the gateway reaches the handler': ended,
    'a handler that hangs is not hidden by an answer to PING': ended,
    'a syntax error in a file that is imported': 'a module is one file',
    'a module that is not there, two files deep': 'a module is one file',
    'code that exits while it is loaded': perRequest,
    'loading that fails later': perRequest,
    'loading that never ends': perRequest,
    'no handler among the exports': 'runtimes/wasm/wasm.test.ts shows it',
    'user code that breaks the process (/crash) resets what is in flight and says why': perRequest,
    'user code that breaks the process (/reject) resets what is in flight and says why': perRequest,
    'a process that exits in a handler takes its connections along': perRequest,
  },
});
