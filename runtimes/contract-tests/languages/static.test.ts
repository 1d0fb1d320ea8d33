/** The contract suite for the static runtime: what it has in common with the others. What it serves is in runtimes/static/static.test.ts. */
import { contract } from '../contract.ts';
import type { Source } from '../language.ts';

/** A file per path that the suite asks for with GET. */
const site: Source = { files: { 'index.html': 'start', log: 'logged' } };

/** Tests that ask a handler to do something. */
const HANDLER = [
  'a body of text comes back as it went',
  'a body of JSON comes back as it went',
  'a body of bytes that are no text comes back as it went',
  'a body of one byte comes back as it went',
  'a body of exactly a frame comes back as it went',
  'a body of a little more than a window comes back as it went',
  '10 MB go both ways at once, within the windows',
  '10 MB are read whole',
  'a body of unknown length arrives piece by piece',
  'an empty body and no body are both empty',
  'a small answer is one frame, a large one is not',
  'method, path, query and headers reach the handler as they were sent',
  'headers of the answer: several of a name stay apart, latin1 stays',
  'a header that would forge another line is refused',
  'status 200',
  'status 201',
  'status 202',
  'status 301',
  'status 400',
  'status 404',
  'status 418',
  'status 500',
  'status 503',
  'status 599',
  'status 204 has no body',
  'status 304 has no body',
  'HEAD: the head of GET, and its length, without the body',
  'server-sent events leave one by one',
  'a client that does not read stops the handler that writes',
  'a handler that does not read stops the client that writes',
  '100 requests at once on one connection',
  'requests that wait do so side by side',
  "/throw ends in one 500 with the request's id",
  "/reject ends in one 500 with the request's id",
  'an answer that breaks off is reset, not completed',
  'a time-out of the gateway reaches the handler',
  'a client that goes away stops a stream',
  'a connection that closes takes only its own requests along',
  'what user code sees of its process',
  'standard input is at its end',
  'output reaches the log',
  'an upgrade is refused where the shape has none',
  'frames that arrive byte by byte are frames',
  'protocol error: DATA after END closes the connection, and only that',
  'protocol error: a DATA frame beyond its size closes the connection, and only that',
  'protocol error: more DATA than the window closes the connection, and only that',
  'outside of development an error keeps its words to itself',
  'user code that breaks the process (/crash) resets what is in flight and says why',
  'user code that breaks the process (/reject) resets what is in flight and says why',
  'a process that exits in a handler takes its connections along',
  'drain: no new streams, the open ones are answered',
  'drain says how many are left when its time is over',
  'SIGTERM drains and exits 0',
  'SIGTERM ends a hanging request after its grace',
  'a handler that hangs is not hidden by an answer to PING',
];
/** Faults of code. */
const CODE = [
  'a syntax error',
  'a syntax error in a file that is imported',
  'a module that is not there',
  'a module that is not there, two files deep',
  'a throw while loading',
  'loading that fails later',
  'loading that never ends',
  'code that exits while it is loaded',
];
const all = (names: string[], reason: string) => Object.fromEntries(names.map((name) => [name, reason]));

contract({
  runtime: 'static',
  missing: undefined,
  transport: 'mux',
  trace: /./,
  everything: site,
  crash: site,
  failures: {
    'no handler among the exports': {
      source: { files: { 'index.html': '' }, handler: 'handler' },
      says: /no mode "handler".*files.*spa/,
    },
    'a named handler that is not exported': {
      source: { files: { 'index.html': '' }, handler: 'handel' },
      says: /no mode "handel".*files.*spa/,
    },
    'an entry that is not in the package': {
      source: { files: { 'a.html': '' }, entry: 'other.html' },
      says: /no file other\.html.*a\.html/,
    },
    'an entry outside the package': {
      source: { files: { 'a.html': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
  },
  lacks: {
    ...all(HANDLER, 'files do nothing; runtimes/static/static.test.ts shows what is done with them'),
    ...all(CODE, 'nothing is executed'),
    programs: 'nothing is executed',
  },
});
