/**
 * What a component of the world wasi:http/proxy imports: the request and its answer, standard streams and polling are our own, so that
 * they wait, stream and end as those of modules do; everything else is preview2-shim's. Where a class of the host's has two kinds
 * of instances, ours and the shim's, what is exported here stands for both.
 */

import { Fields as OwnFields } from './fields.mjs';

/** @typedef {import('../lib/wasi.cjs').Streams} Streams */
/**
 * The request that is worked on.
 * @typedef {object} Current
 * @property {Streams} streams @property {{method: string, target: string, scheme: string, authority: string, headers: string[]}} request
 * @property {Record<string, string>} env
 * @property {unknown} failure what the component answered with instead of a response
 * @property {boolean} answered
 */

/** Bytes that may be written at a time; writing waits until there is room. */
const WRITE_LIMIT = 65536n;
const METHODS = new Set(['get', 'head', 'post', 'put', 'delete', 'connect', 'options', 'trace', 'patch']);

/** The component has ended itself. */
export class Exit extends Error {}

/** A class whose instances are ours, and also the shim's of that name. */
const both = (Ours, theirs) =>
  Object.defineProperty(Ours, Symbol.hasInstance, {
    value: (one) => Function.prototype[Symbol.hasInstance].call(Ours, one) || one instanceof theirs,
  });

const widened = new WeakSet();
/** Libraries ask for the right to change directories with every file that they write, which the shim refuses: of a file it means nothing. */
function widen({ Descriptor }) {
  if (widened.has(Descriptor)) return;
  widened.add(Descriptor);
  const { openAt } = Descriptor.prototype;
  Descriptor.prototype.openAt = function (how, path, open, flags) {
    return openAt.call(this, how, path, open, { ...flags, mutateDirectory: false });
  };
}

/** @param {any} shim the module `@bytecodealliance/preview2-shim` @param {{name: string, preopens: Record<string, string>}} own */
export function worldOf(shim, { name, preopens }) {
  /** @type {Current} */
  let current;

  const Pollable = both(
    class {
      ready() {
        return true;
      }
      block() {}
      [Symbol.dispose]() {}
    },
    shim.io.poll.Pollable,
  );
  const poll = {
    Pollable,
    poll(list) {
      const ready = (one) => one.constructor === Pollable;
      // Ours are always ready: what is done with them is what waits.
      if (list.some(ready))
        return Uint32Array.from(list.flatMap((one, index) => (ready(one) || one.ready() ? [index] : [])));
      return shim.io.poll.poll(list);
    },
  };

  const InputStream = both(
    class {
      #read;
      constructor(read) {
        this.#read = read;
      }
      blockingRead(length) {
        const bytes = this.#read(Number(length < WRITE_LIMIT ? length : WRITE_LIMIT));
        if (bytes.length === 0 && length > 0n) throw { tag: 'closed' };
        return bytes;
      }
      read(length) {
        return this.blockingRead(length);
      }
      blockingSkip(length) {
        return BigInt(this.blockingRead(length).length);
      }
      skip(length) {
        return this.blockingSkip(length);
      }
      subscribe() {
        return new Pollable();
      }
      [Symbol.dispose]() {}
    },
    shim.io.streams.InputStream,
  );

  const OutputStream = both(
    class {
      #write;
      constructor(write) {
        this.#write = write;
      }
      checkWrite() {
        return WRITE_LIMIT;
      }
      write(bytes) {
        // A copy: what is given is a view of the component's memory.
        if (bytes.length > 0) this.#write(new Uint8Array(bytes));
      }
      blockingWriteAndFlush(bytes) {
        this.write(bytes);
      }
      flush() {}
      blockingFlush() {}
      writeZeroes(length) {
        this.write(new Uint8Array(Number(length)));
      }
      blockingWriteZeroesAndFlush(length) {
        this.writeZeroes(length);
      }
      splice(from, length) {
        const bytes = from.read(length);
        this.write(bytes);
        return BigInt(bytes.length);
      }
      blockingSplice(from, length) {
        const bytes = from.blockingRead(length);
        this.write(bytes);
        return BigInt(bytes.length);
      }
      subscribe() {
        return new Pollable();
      }
      [Symbol.dispose]() {}
    },
    shim.io.streams.OutputStream,
  );

  const types = shim.http.types;
  const Fields = both(OwnFields, types.Fields);

  /** Made of the shim's fields, since it is the shim that sends it. */
  class OutgoingRequest extends types.OutgoingRequest {
    constructor(headers) {
      super(types.Fields.fromList(headers.entries()));
    }
  }

  const FutureTrailers = both(
    class {
      #taken = false;
      subscribe() {
        return new Pollable();
      }
      get() {
        if (this.#taken) return { tag: 'err' };
        this.#taken = true;
        return { tag: 'ok', val: { tag: 'ok', val: undefined } };
      }
      [Symbol.dispose]() {}
    },
    types.FutureTrailers,
  );

  const IncomingBody = both(
    class {
      #taken = false;
      stream() {
        if (this.#taken) throw undefined;
        this.#taken = true;
        return new InputStream((room) => current.streams.read(room));
      }
      static finish(body) {
        return body.constructor === IncomingBody ? new FutureTrailers() : types.IncomingBody.finish(body);
      }
      [Symbol.dispose]() {}
    },
    types.IncomingBody,
  );

  class IncomingRequest {
    #taken = false;
    method() {
      const method = current.request.method.toLowerCase();
      return METHODS.has(method) ? { tag: method } : { tag: 'other', val: current.request.method };
    }
    pathWithQuery() {
      return current.request.target;
    }
    scheme() {
      return { tag: current.request.scheme === 'https' ? 'HTTPS' : 'HTTP' };
    }
    authority() {
      return current.request.authority;
    }
    headers() {
      return OwnFields.received(current.request.headers);
    }
    consume() {
      if (this.#taken) throw undefined;
      this.#taken = true;
      return new IncomingBody();
    }
    [Symbol.dispose]() {}
  }

  const OutgoingBody = both(
    class {
      #taken = false;
      written = 0;
      constructor(declared) {
        this.declared = declared;
      }
      write() {
        if (this.#taken) throw undefined;
        this.#taken = true;
        return new OutputStream((bytes) => {
          this.written += bytes.length;
          current.streams.write(1, bytes);
        });
      }
      static finish(body, trailers) {
        if (body.constructor !== OutgoingBody) return types.OutgoingBody.finish(body, trailers);
        if (trailers !== undefined) throw { tag: 'internal-error', val: 'trailers are not supported' };
        if (body.declared !== undefined && body.written !== body.declared)
          throw { tag: 'HTTP-response-body-size', val: BigInt(body.written) };
        return undefined;
      }
      [Symbol.dispose]() {}
    },
    types.OutgoingBody,
  );

  class OutgoingResponse {
    #headers;
    #status = 200;
    #taken = false;
    constructor(headers) {
      this.#headers = headers;
    }
    statusCode() {
      return this.#status;
    }
    setStatusCode(status) {
      if (status < 200 || status > 599) throw undefined;
      this.#status = status;
    }
    headers() {
      return this.#headers;
    }
    body() {
      if (this.#taken) throw undefined;
      this.#taken = true;
      const [length] = this.#headers.get('content-length');
      return new OutgoingBody(length === undefined ? undefined : Number(Buffer.from(length).toString()));
    }
    [Symbol.dispose]() {}
  }

  class ResponseOutparam {
    static set(_, { tag, val }) {
      if (current.answered) return;
      current.answered = true;
      if (tag === 'err') {
        current.failure = val;
        return;
      }
      // The head goes before the body as CGI has it.
      const lines = [`Status: ${val.statusCode()}`];
      for (const [key, value] of val.headers().entries())
        lines.push(`${key}: ${Buffer.from(value).toString('latin1')}`);
      current.streams.write(1, new Uint8Array(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')));
    }
    [Symbol.dispose]() {}
  }

  const log = { getStdout: () => logged(), getStderr: () => logged() };
  const logged = () => new OutputStream((bytes) => current.streams.write(2, bytes));
  const exitWithCode = (code) => {
    throw new Exit(`it ended itself with exit code ${code}`);
  };
  const host = new shim.WASIShim({ sandbox: { preopens, args: [name], env: {} } }).getImportObject();
  widen(host['wasi:filesystem/types']);
  const imports = {
    ...host,
    'wasi:cli/environment': {
      getEnvironment: () => Object.entries(current.env),
      getArguments: () => [name],
      initialCwd: () => undefined,
    },
    'wasi:cli/exit': { exit: ({ tag }) => exitWithCode(tag === 'err' ? 1 : 0), exitWithCode },
    'wasi:cli/stdin': { getStdin: () => new InputStream(() => new Uint8Array(0)) },
    'wasi:cli/stdout': log,
    'wasi:cli/stderr': log,
    'wasi:cli/terminal-stdin': { getTerminalStdin: () => undefined },
    'wasi:cli/terminal-stdout': { getTerminalStdout: () => undefined },
    'wasi:cli/terminal-stderr': { getTerminalStderr: () => undefined },
    'wasi:io/poll': poll,
    'wasi:io/streams': { InputStream, OutputStream },
    'wasi:http/types': {
      ...types,
      Fields,
      OutgoingRequest,
      FutureTrailers,
      IncomingBody,
      IncomingRequest,
      OutgoingBody,
      OutgoingResponse,
      ResponseOutparam,
    },
  };
  return {
    imports,
    /** Answers one request with an instance that has answered none. @param {any} instance @param {Omit<Current, 'failure' | 'answered'>} job */
    answer({ incomingHandler }, job) {
      current = { ...job, failure: undefined, answered: false };
      incomingHandler.handle(new IncomingRequest(), new ResponseOutparam());
      const { failure, answered } = current;
      if (!answered) throw new Error('it returned without a response');
      if (failure !== undefined) throw new Error(`it answered with the error ${words(failure)}`);
    },
  };
}

/** An error code of wasi:http. */
function words(failure) {
  const { tag, val } = typeof failure === 'object' && failure !== null ? failure : { tag: String(failure) };
  const detail = JSON.stringify(val, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
  return detail === undefined ? tag : `${tag}: ${detail}`;
}
