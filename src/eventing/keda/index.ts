/**
 * KEDA's external push scaler: other people's Deployments scale by what waits for a trigger or a source here, and are told the moment
 * something begins to. Source: kedacore/keda `pkg/scalers/external_scaler.go`, keda.sh `concepts/external-scalers`.
 */
import type * as Http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ProtobufError } from '../../kinds/wire.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import type { LagReport } from '../model.ts';
import { type Asked, askedBy } from './asked.ts';
import { answer, ignoreRest, pushed, readMessage, refuse } from './call.ts';
import { decodeMetricsRequest, decodeScaledObjectRef, encodeActive, encodeMetric } from './messages.ts';
import { GRPC, GrpcError } from './status.ts';
import { Waiting } from './waiting.ts';

const SERVICE = '/externalscaler.ExternalScaler/';
/** KEDA has one connection for each address of a scaler. */
const MAX_CONNECTIONS = 64;
/** Streams that are told, in all connections. */
const MAX_WATCHES = 1000;
/** Messages that are being read, in all connections: each may take 16 KiB. */
const MAX_READING = 1200;
/** Of one connection; more than `MAX_WATCHES`, so that questions find room beside the streams. */
const MAX_CALLS = 1200;
/** After so long without a word the system asks whether the other side is still there, milliseconds. */
const KEEP_ALIVE_MS = 30_000;

export interface KedaOptions {
  host: string;
  /** 0: any free one. */
  port: number;
  /** Says which triggers and sources there are. */
  client: Pick<KubeClient, 'get'>;
  log: Logger;
}

export interface Keda {
  address: { host: string; port: number };
  /** What waits for a subscription or a source. */
  report(report: LagReport): void;
  /** Ends streams with UNAVAILABLE: KEDA comes again. */
  stop(): Promise<void>;
}

/** Resolves when it listens; rejects with what `listen` says. */
export async function startKeda({ host, port, client, log }: KedaOptions): Promise<Keda> {
  const http2: typeof Http2 = process.getBuiltinModule('node:http2');
  const waiting = new Waiting();
  const sessions = new Set<Http2.ServerHttp2Session>();
  let reading = 0;
  const ends = new Set<(error: GrpcError) => void>();

  const existing = async (asked: Asked): Promise<Asked> => {
    const { resource, namespace, name, key } = asked;
    const object = await orUndefined(client.get(resource, namespace, name)).catch((error) => {
      throw new GrpcError(GRPC.unavailable, `whether ${key} exists is not known: ${messageOf(error)}`);
    });
    if (object === undefined) throw new GrpcError(GRPC.notFound, `there is no ${key}`);
    return asked;
  };
  const isActive = ({ key, activationLagThreshold }: Asked) => waiting.of(key) > activationLagThreshold;

  const CALLS: Record<string, (stream: Http2.ServerHttp2Stream, message: Buffer) => Promise<void>> = {
    async IsActive(stream, message) {
      const asked = await existing(askedBy(decodeScaledObjectRef(message)));
      answer(stream, encodeActive(isActive(asked)));
    },
    async GetMetricSpec(stream, message) {
      const { metricName, lagThreshold } = await existing(askedBy(decodeScaledObjectRef(message)));
      answer(stream, encodeMetric(metricName, lagThreshold));
    },
    async GetMetrics(stream, message) {
      const request = decodeMetricsRequest(message);
      const { key, metricName } = await existing(askedBy(request.ref));
      // KEDA may put an index in front of the name: the answer goes by what was asked.
      answer(stream, encodeMetric(request.metricName || metricName, waiting.of(key)));
    },
    async StreamIsActive(stream, message) {
      const asked = await existing(askedBy(decodeScaledObjectRef(message)));
      if (stream.closed || stream.destroyed) return;
      if (ends.size >= MAX_WATCHES)
        throw new GrpcError(GRPC.resourceExhausted, `there are ${MAX_WATCHES} streams already`);
      const out = pushed(stream);
      ends.add(out.end);
      const unwatch = waiting.watch(asked.key, asked.activationLagThreshold, (active) =>
        out.push(encodeActive(active)),
      );
      stream.on('close', () => {
        unwatch();
        ends.delete(out.end);
      });
    },
  };

  const server = http2.createServer({ settings: { maxConcurrentStreams: MAX_CALLS } });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', (error) => log.debug('a connection of KEDA failed', { error: messageOf(error) }));
  });
  server.on('sessionError', (error) => log.debug('a connection of KEDA failed', { error: messageOf(error) }));
  server.on('stream', (stream: Http2.ServerHttp2Stream, head: Http2.IncomingHttpHeaders) => {
    stream.on('error', (error) => log.debug('a call of KEDA failed', { error: messageOf(error) }));
    if (!/^application\/grpc($|[+;])/.test(head['content-type'] ?? '') || head[':method'] !== 'POST') {
      stream.respond({ ':status': 415 }, { endStream: true });
      return ignoreRest(stream);
    }
    const path = head[':path'] ?? '';
    const name = path.startsWith(SERVICE) ? path.slice(SERVICE.length) : '';
    const call = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    if (call === undefined) return refuse(stream, new GrpcError(GRPC.unimplemented, `there is no ${path}`));
    if (reading >= MAX_READING)
      return refuse(stream, new GrpcError(GRPC.resourceExhausted, 'too many calls at once'));
    reading++;
    readMessage(stream)
      .finally(() => reading--)
      .then((message) => call(stream, message))
      .catch((error) => refuse(stream, asGrpcError(error)));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => log.error('the scaler for KEDA failed', { error: messageOf(error) }));
  const { port: bound } = server.address() as AddressInfo;
  return {
    address: { host, port: bound },
    report: (report) => waiting.report(report),
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const end of ends) end(new GrpcError(GRPC.unavailable, 'the platform ends'));
      // A connection ends with its last call; one whose calls do not end is cut off.
      for (const session of sessions) session.close();
      const cut = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, 1000);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** What cannot be read as a message is the client's fault, anything else is ours. */
function asGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  const code = error instanceof ProtobufError ? GRPC.invalidArgument : GRPC.internal;
  return new GrpcError(code, messageOf(error));
}
