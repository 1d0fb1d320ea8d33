/**
 * Where builds fetch their source and hand in their result: HTTP on loopback, a token for each build. Listens while builds run
 * and not a moment longer.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { createServer } from '../../base/http.ts';
import type { Logger } from '../../base/log.ts';
import type { Digest } from '../../kinds/function.ts';
import { sendError, sendJson } from '../packages/server.ts';
import type { PackageStore } from '../packages/store.ts';

/** How a build's Pod reaches the platform. */
export interface BuildAccess {
  url: string;
  token: string;
}

export interface BuildEndpoint {
  /** Lets a build in: it may read `source` and hand in what `inputs` are built to. The same build gets the same answer. */
  admit(inputs: string, source: Digest): Promise<BuildAccess>;
  /** The build is over. */
  dismiss(inputs: string): void;
  close(): Promise<void>;
}

interface Admitted {
  source: Digest;
  token: string;
}

export function createBuildEndpoint(options: {
  packages: PackageStore;
  log: Logger;
  /** Where Pods reach this machine. */
  host?: string;
}): BuildEndpoint {
  const { packages, log, host = '127.0.0.1' } = options;
  const admitted = new Map<string, Admitted>();
  let server: Promise<Server> | undefined;

  const authorised = (request: IncomingMessage, { token }: Admitted): boolean => {
    const given = Buffer.from(/^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '');
    const wanted = Buffer.from(token);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  };

  const work: Record<
    string,
    (build: Admitted, inputs: string, request: IncomingMessage, response: ServerResponse) => Promise<void>
  > = {
    async 'GET source'({ source }, _inputs, _request, response) {
      const { bytes, stream } = await packages.read(source);
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
      await pipeline(stream, response);
    },
    async 'PUT result'(_build, inputs, request, response) {
      const stored = await packages.putStream(request);
      await packages.keepBuilt(inputs, stored.digest);
      sendJson(response, 201, stored);
    },
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [, inputs = '', what = ''] = /^\/builds\/([0-9a-f-]+)\/(\w+)$/.exec(request.url ?? '') ?? [];
    const build = admitted.get(inputs);
    const handle = work[`${request.method} ${what}`];
    if (build === undefined || !authorised(request, build) || handle === undefined) {
      response.setHeader('connection', 'close');
      return sendJson(response, 404, { message: 'there is no such build, or it is not yours' });
    }
    await handle(build, inputs, request, response);
  };

  const listen = (): Promise<Server> => {
    server ??= new Promise<Server>((resolve, reject) => {
      const made = createServer({ requestTimeout: 0 }, (request, response) => {
        answer(request, response).catch((error) => sendError(request, response, error, log));
      });
      made.once('error', reject);
      made.listen(0, host, () => resolve(made));
    });
    return server;
  };

  const close = async (): Promise<void> => {
    const open = await server?.catch(() => undefined);
    server = undefined;
    open?.closeAllConnections();
    if (open) await new Promise<void>((resolve) => open.close(() => resolve()));
  };

  return {
    async admit(inputs, source) {
      const known = admitted.get(inputs) ?? { source, token: randomBytes(24).toString('base64url') };
      admitted.set(inputs, known);
      const { port } = (await listen()).address() as AddressInfo;
      return { url: `http://${host}:${port}/builds/${inputs}`, token: known.token };
    },
    dismiss(inputs) {
      admitted.delete(inputs);
      if (admitted.size === 0) void close();
    },
    close,
  };
}
