// @ts-check
'use strict';
/**
 * AWS Lambda's Runtime API, version 2018-06-01, on loopback: a client asks for the next invocation, and posts its response or its error.
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
 */

const http = require('node:http');
const { isOwn } = require('./owner.cjs');

const PREFIX = '/2018-06-01/runtime';
/** Longest response that is not streamed, bytes; Lambda's own limit is 6 MB. */
const MAX_RESPONSE = 64 * 1024 * 1024;
/** Where the head of a streamed HTTP answer ends. */
const PRELUDE_END = Buffer.alloc(8);
const MAX_PRELUDE = 256 * 1024;

/**
 * Work for the client, and where its outcome goes.
 * @typedef {object} Invocation
 * @property {string} id @property {Buffer} event JSON @property {number} deadline milliseconds since the epoch @property {string} trace
 * @property {string} [clientContext] JSON
 * @property {(payload: Buffer, contentType: string) => void} respond
 * @property {(prelude: any, body: AsyncIterable<Buffer>) => Promise<void>} stream
 * @property {(error: LambdaError) => void} fail
 */

/** @typedef {{type: string, message: string, stack: string[]}} LambdaError */

/**
 * @typedef {object} RuntimeApi
 * @property {string} address `host:port`
 * @property {(invocation: Invocation) => void} offer
 * @property {(id: string) => void} withdraw whoever asked is gone
 * @property {() => void} close
 */

/** JSON that fits into a header. @param {string} json */
const fitting = (json) =>
  json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** @param {http.IncomingMessage} request @param {number} limit @returns {Promise<Buffer>} @throws {RangeError} */
async function readAll(request, limit) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > limit) throw new RangeError(`more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @param {http.IncomingMessage} request @returns {Promise<LambdaError>} */
async function readError(request) {
  const type = String(request.headers['lambda-runtime-function-error-type'] ?? 'Runtime.Unknown');
  const text = (await readAll(request, MAX_PRELUDE)).toString();
  try {
    const { errorType, errorMessage, stackTrace } = JSON.parse(text);
    return {
      type: String(errorType ?? type),
      message: String(errorMessage ?? ''),
      stack: Array.isArray(stackTrace) ? stackTrace.map(String) : [],
    };
  } catch {
    return { type, message: text, stack: [] };
  }
}

/** Takes the JSON head off a streamed HTTP answer. @param {AsyncIterator<Buffer>} chunks @returns {Promise<{prelude: any, rest: Buffer}>} */
async function readPrelude(chunks) {
  let held = Buffer.alloc(0);
  for (;;) {
    const end = held.indexOf(PRELUDE_END);
    if (end >= 0)
      return {
        prelude: JSON.parse(held.toString('utf8', 0, end)),
        rest: held.subarray(end + PRELUDE_END.length),
      };
    const { done, value } = await chunks.next();
    if (done || held.length > MAX_PRELUDE)
      throw new SyntaxError('a streamed HTTP response has no end of its head');
    held = Buffer.concat([held, value]);
  }
}

/** @param {AsyncIterator<Buffer>} chunks @param {Buffer} first */
async function* after(chunks, first) {
  if (first.length > 0) yield first;
  for (;;) {
    const { done, value } = await chunks.next();
    if (done) return;
    yield value;
  }
}

/**
 * The stream's bytes; a function that failed in the middle of it says so in trailers.
 * @param {http.IncomingMessage} request @param {AsyncIterable<Buffer>} body
 */
async function* whole(request, body) {
  yield* body;
  const type = request.trailers['lambda-runtime-function-error-type'];
  if (type === undefined) return;
  const text = Buffer.from(request.trailers['lambda-runtime-function-error-body'] ?? '', 'base64').toString();
  throw new Error(`${type}: ${text}`);
}

/**
 * @param {{functionArn: string, onReady: () => void, onInitError: (error: LambdaError) => void}} options
 * @returns {Promise<RuntimeApi>}
 */
async function startRuntimeApi({ functionArn, onReady, onInitError }) {
  /** @type {Invocation[]} */
  const waiting = [];
  /** @type {http.ServerResponse[]} */
  const idle = [];
  /** @type {Map<string, Invocation>} */
  const running = new Map();

  /** @param {http.ServerResponse} response @param {number} status @param {object} body */
  const reply = (response, status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  const hand = () => {
    while (waiting.length > 0 && idle.length > 0) {
      const response = /** @type {http.ServerResponse} */ (idle.shift());
      if (response.destroyed) continue;
      const invocation = /** @type {Invocation} */ (waiting.shift());
      running.set(invocation.id, invocation);
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': invocation.event.length,
        'lambda-runtime-aws-request-id': invocation.id,
        'lambda-runtime-deadline-ms': String(invocation.deadline),
        'lambda-runtime-invoked-function-arn': functionArn,
        'lambda-runtime-trace-id': invocation.trace,
        ...(invocation.clientContext && {
          'lambda-runtime-client-context': fitting(invocation.clientContext),
        }),
      });
      response.end(invocation.event);
    }
  };

  /** @param {string} id @param {string} what @param {http.IncomingMessage} request @param {http.ServerResponse} response */
  const outcome = async (id, what, request, response) => {
    const invocation = running.get(id);
    if (invocation === undefined) {
      request.resume();
      return reply(response, 403, {
        errorType: 'InvalidRequestID',
        errorMessage: `no invocation ${id} is under way`,
      });
    }
    running.delete(id);
    try {
      await take(invocation, what, request, response);
    } catch (error) {
      // Whatever is wrong with what was posted: whoever asked must not wait for it.
      const { name, message } = /** @type {Error} */ (error);
      invocation.fail({ type: `Runtime.${name}`, message, stack: [] });
      throw error;
    }
  };

  /** @param {Invocation} invocation @param {string} what @param {http.IncomingMessage} request @param {http.ServerResponse} response */
  const take = async (invocation, what, request, response) => {
    if (what === 'error') {
      invocation.fail(await readError(request));
      return reply(response, 202, { status: 'OK' });
    }
    const type = String(request.headers['content-type'] ?? 'application/json');
    if (request.headers['lambda-runtime-function-response-mode'] === 'streaming') {
      const chunks = request[Symbol.asyncIterator]();
      const http = type === 'application/vnd.awslambda.http-integration-response';
      const { prelude, rest } = http
        ? await readPrelude(chunks)
        : { prelude: { headers: { 'content-type': type } }, rest: Buffer.alloc(0) };
      await invocation.stream(prelude, whole(request, after(chunks, rest)));
      return reply(response, 202, { status: 'OK' });
    }
    try {
      invocation.respond(await readAll(request, MAX_RESPONSE), type);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      invocation.fail({ type: 'Function.ResponseSizeTooLarge', message: error.message, stack: [] });
      return reply(response, 413, { errorType: 'RequestEntityTooLarge', errorMessage: error.message });
    }
    return reply(response, 202, { status: 'OK' });
  };

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://runtime');
    const [, id, what] =
      /^\/2018-06-01\/runtime\/invocation\/([^/]+)\/(response|error)$/.exec(pathname) ?? [];
    try {
      if (request.method === 'GET' && pathname === `${PREFIX}/invocation/next`) {
        onReady();
        idle.push(response);
        hand();
      } else if (request.method === 'POST' && id !== undefined && what !== undefined) {
        await outcome(decodeURIComponent(id), what, request, response);
      } else if (request.method === 'POST' && pathname === `${PREFIX}/init/error`) {
        onInitError(await readError(request));
        reply(response, 202, { status: 'OK' });
      } else {
        request.resume();
        reply(response, 404, { errorType: 'NotFound', errorMessage: `${request.method} ${pathname}` });
      }
    } catch (error) {
      process.stderr.write(`petrel: the Runtime API met ${/** @type {Error} */ (error).message}\n`);
      if (!response.headersSent)
        reply(response, 400, { errorType: 'BadRequest', errorMessage: String(error) });
      else response.destroy();
    }
  });
  // An answer to `next` may take as long as nobody asks for anything.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    if (!isOwn(socket)) socket.destroy();
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    address: `127.0.0.1:${port}`,
    offer(invocation) {
      waiting.push(invocation);
      hand();
    },
    withdraw(id) {
      const at = waiting.findIndex((invocation) => invocation.id === id);
      if (at >= 0) waiting.splice(at, 1);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

module.exports = { startRuntimeApi };
