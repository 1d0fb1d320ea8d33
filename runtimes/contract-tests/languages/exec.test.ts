/** The contract suite for the exec runtime: a CGI script in bash, a process per request. */
import { readFileSync } from 'node:fs';
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const exec = oneFile('fn.sh');
/** Nothing in a shell listens; the script makes way for what does. */
const program = (javascript: string) => exec(`#!/bin/sh\nexec ${process.execPath} -e "${javascript}"\n`);
const listen =
  "require('http').createServer((q, r) => r.end('program ' + q.url + ' ' + process.env.GREETING)).listen(process.env.PORT)";
const perRequest = 'nothing of the function runs before a request, or outlives one';

contract({
  runtime: 'exec',
  missing: withoutProgram('bash', 'mkfifo'),
  transport: 'mux',
  trace: /fn\.sh/,
  cwd: /\/code$/,
  args: /\/code\/fn\.sh$/,
  everything: exec(readFileSync(new URL('exec.sh', import.meta.url), 'utf8')),
  crash: exec(''),
  failures: {
    'a syntax error': {
      source: exec('#!/bin/bash\nif then\n'),
      says: /fn\.sh: line 2: syntax error near unexpected token/,
      file: 'fn.sh',
      line: 2,
      shows: 'if then',
    },
    'a module that is not there': {
      source: exec('#!/usr/bin/env not-installed\n'),
      says: /not-installed, which is not on this machine/,
      file: 'fn.sh',
      line: 1,
      shows: '#!/usr/bin/env not-installed',
    },
    'no handler among the exports': {
      source: exec('#!/bin/sh\n# petrel: lambda\n'),
      says: /no mode "lambda".*stdio.*cgi.*http/,
    },
    'a named handler that is not exported': {
      source: { ...exec('#!/bin/sh\n'), handler: 'handel' },
      says: /handel.*stdio.*cgi.*http/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.sh': '' }, entry: 'other.sh' },
      says: /no file other\.sh.*fn\.sh/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.sh': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
  },
  programs: {
    declared: program(listen),
    failing: exec('#!/bin/sh\necho "cannot start: no licence" >&2\nexit 7\n'),
    silent: exec('#!/bin/sh\nwhile :; do sleep 1; done\n'),
  },
  lacks: {
    'a time-out of the gateway reaches the handler':
      'the signal may come before the program has begun; runtimes/exec/exec.test.ts shows it',
    'protocol error: more DATA than the window closes the connection, and only that':
      'the pipe to the program takes some of the body before anybody reads it, and the window moves on',
    'a syntax error in a file that is imported': 'a shell reads another file when it comes to it',
    'a module that is not there, two files deep': 'a shell reads another file when it comes to it',
    'a throw while loading': perRequest,
    'loading that fails later': perRequest,
    'loading that never ends': perRequest,
    'code that exits while it is loaded': perRequest,
    'user code that breaks the process (/crash) resets what is in flight and says why': perRequest,
    'user code that breaks the process (/reject) resets what is in flight and says why': perRequest,
    'a process that exits in a handler takes its connections along': perRequest,
    'a handler that hangs is not hidden by an answer to PING': 'what hangs is ended with its request',
  },
});
