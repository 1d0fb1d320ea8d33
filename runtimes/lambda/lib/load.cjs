// @ts-check
'use strict';
/** From a package to a program that takes invocations: started, and ready when it asks for the first. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const fs = require('node:fs');
const { spawn } = require('node:child_process');
const { fail, refuse, respondValue, stream } = require('../../node/lib/answer.cjs');
const { SpecialiseError } = require('../../node/lib/entry.cjs');
const { blockOf, line } = require('../../node/lib/head.cjs');
const { answer, clientContextOf, eventOf, RAW_EVENT, respondError } = require('../../node/shapes/lambda.cjs');
const { startRuntimeApi } = require('./api.cjs');
const { commandOf } = require('./command.cjs');

/** Starts a command with a signal of its own for the death of its parent. */
const SETPRIV = '/usr/bin/setpriv';
/** Requests that may wait for the program to ask for work. */
const MAX_WAITING = 1024;
/** Bytes of stderr that are kept for the message of a program that did not start. */
const TAIL = 8192;

/** What Lambda sets for every function. @param {any} params @param {string} root */
function environment(params, root) {
  const name = params.function ?? 'function';
  const version = params.revision ?? '$LATEST';
  return {
    _HANDLER: params.handler ?? '',
    AWS_DEFAULT_REGION: process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    AWS_REGION: process.env.AWS_REGION ?? 'us-east-1',
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_VERSION: version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? '1024',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: version,
    LAMBDA_TASK_ROOT: root,
    LAMBDA_RUNTIME_DIR: root,
    TZ: process.env.TZ ?? ':UTC',
  };
}

/** @param {import('./api.cjs').LambdaError} error */
function failure({ type, message, stack }) {
  const error = new Error(message);
  error.name = type;
  error.stack = [`${type}: ${message}`, ...stack].join('\n');
  return error;
}

/** @param {ExchangeType} exchange @param {Buffer} payload @param {string} type */
function respondRaw(exchange, payload, type) {
  exchange.respond(200, line('content-type', type), payload);
}

/** JSON as API Gateway reads what a handler returned. @param {ExchangeType} exchange @param {Buffer} payload */
function respondHttp(exchange, payload) {
  let value;
  try {
    value = payload.length === 0 ? null : JSON.parse(payload.toString());
  } catch {
    return respondValue(exchange, 200, null, payload);
  }
  return answer(exchange, value);
}

/**
 * @param {any} params of `specialise` @param {{loadTimeoutMs: number, onProgramExit: (message: string, detail: string) => void}} context
 * @returns {Promise<import('../../node/lib/loader.cjs').Loaded>} @throws {SpecialiseError}
 */
async function load(params, { loadTimeoutMs, onProgramExit }) {
  const root = fs.realpathSync(params.code);
  const { argv, label } = commandOf(root, params);
  /** @type {PromiseWithResolvers<void>} */
  const ready = Promise.withResolvers();
  const api = await startRuntimeApi({
    functionArn: `arn:aws:lambda:local:000000000000:function:${params.function ?? 'function'}`,
    onReady: () => ready.resolve(),
    onInitError: (error) =>
      ready.reject(
        new SpecialiseError('LoadError', `${error.type}: ${error.message}`, {
          detail: [`${error.type}: ${error.message}`, ...error.stack].join('\n').replaceAll(`${root}/`, ''),
        }),
      ),
  });
  // Where util-linux is there, the kernel ends the program with its supervisor, however that ends.
  const keeper = fs.existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
  const [file, ...rest] = [...keeper, ...argv];
  const child = spawn(/** @type {string} */ (file), rest, {
    cwd: root,
    env: { ...process.env, ...environment(params, root), AWS_LAMBDA_RUNTIME_API: api.address },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  let tail = Buffer.alloc(0);
  child.stderr?.on('data', (chunk) => {
    process.stderr.write(chunk);
    tail = Buffer.concat([tail, chunk]).subarray(-TAIL);
  });
  let up = false;
  const ended = (/** @type {string} */ how) => {
    const said = tail.toString().replaceAll(`${root}/`, '').trim();
    if (up) return onProgramExit(`${label} ${how}`, said);
    const message = `${label} ${how} before it asked for an invocation`;
    ready.reject(
      new SpecialiseError('LoadError', message, { detail: said === '' ? message : `${message}\n${said}` }),
    );
  };
  child.once('error', (error) => ended(`could not be started: ${error.message}`));
  child.once('close', (code, signal) =>
    ended(`ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`),
  );
  const late = setTimeout(() => {
    const message = `${label} did not finish loading within ${Math.round(loadTimeoutMs / 1000)} s: it has not asked for an invocation`;
    ready.reject(new SpecialiseError('LoadError', message));
  }, loadTimeoutMs);
  try {
    await ready.promise;
    up = true;
  } catch (error) {
    child.removeAllListeners('close');
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(late);
  }
  return {
    shape: 'lambda',
    transport: { kind: 'mux' },
    dispatch: dispatcher(api, params.timeoutMs ?? 300_000),
    stop: (signal) =>
      new Promise((resolve) => {
        api.close();
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.removeAllListeners('close');
        child.once('close', () => resolve());
        child.kill(signal);
      }),
  };
}

/** @param {import('./api.cjs').RuntimeApi} api @param {number} timeoutMs @returns {(exchange: ExchangeType) => void} */
function dispatcher(api, timeoutMs) {
  let pending = 0;
  return (exchange) => {
    if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade')
      return refuse(exchange, 501, 'upgrade_not_supported', 'A Lambda function has no notion of an upgrade.');
    if (pending >= MAX_WAITING)
      return exchange.reset('overloaded', `${pending} invocations wait or are under way`);
    pending++;
    const raw = exchange.header(RAW_EVENT) !== undefined;
    // What the Invoke API has told its caller; anybody else's might come twice at a time.
    const id = (raw && exchange.requestId) || crypto.randomUUID();
    let counted = true;
    const over = () => {
      if (counted) pending--;
      counted = false;
      api.withdraw(id);
    };
    exchange.onabort(over);
    const deadline = Date.now() + timeoutMs;
    const client = raw ? clientContextOf(exchange) : undefined;
    const begin = (/** @type {Buffer} */ body) =>
      api.offer({
        id,
        event: raw
          ? body.length === 0
            ? Buffer.from('{}')
            : body
          : Buffer.from(JSON.stringify(eventOf(exchange, body))),
        deadline,
        trace: exchange.header('x-amzn-trace-id') ?? '',
        ...(client === undefined ? {} : { clientContext: JSON.stringify(client) }),
        respond(payload, type) {
          if (exchange.aborted !== null) return;
          over();
          try {
            if (raw) respondRaw(exchange, payload, type);
            else respondHttp(exchange, payload);
          } catch (error) {
            fail(exchange, error);
          }
        },
        async stream(prelude, body) {
          if (exchange.aborted !== null) return;
          over();
          let block = blockOf(prelude.headers);
          for (const cookie of prelude.cookies ?? []) block += line('set-cookie', String(cookie));
          await stream(exchange, prelude.statusCode ?? 200, block, body).catch((error) =>
            fail(exchange, error),
          );
        },
        fail(error) {
          if (exchange.aborted !== null) return;
          over();
          if (!raw) return fail(exchange, failure(error));
          respondError(exchange, error.type, error.message, error.stack);
        },
      });
    if (exchange.hasBody) exchange.readAll().then(begin, () => {});
    else begin(Buffer.alloc(0));
    return undefined;
  };
}

module.exports = { load };
