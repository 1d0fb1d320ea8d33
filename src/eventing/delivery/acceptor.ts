/** The way into streams: what may come in, and the answers for whoever brings it. */
import type { Clock } from '../../base/clock.ts';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { encodeRecord } from '../../cloudevents/record.ts';
import type { Stream } from '../log/contract.ts';
import type { AddressKey, EngineReports, StreamSpec } from '../model.ts';
import type { Accepted, Acceptor } from './contract.ts';
import { ttlOf } from './task.ts';

/** (type, source) pairs of a stream that are remembered as reported. */
const MOST_TYPES = 1000;
/** When to come again where only room helps, ms. */
const FULL_RETRY_MS = 5000;
const SOON_MS = 1000;

/** Larger records get memory of their own, bytes. */
const SCRATCH_BYTES = 16 * 1024;

/** A stream as the acceptor knows it. */
export interface Intake {
  spec: StreamSpec;
  /** Undefined: it is being opened. */
  stream: Stream | undefined;
  /** Resolves when opening it was tried for the first time; if that failed, it is tried again. */
  tried: Promise<void>;
  /** Why it could not be opened. */
  problem: string | undefined;
  accepted: number;
  /** How many were refused, by reason. */
  readonly refusals: Record<string, number>;
  readonly types: Set<string>;
}

/** What the engine knows beyond streams: sinks, transforms, jobs. */
export type LocalAddress = (key: AddressKey) => ((event: CloudEvent) => Promise<Accepted>) | undefined;

type Refused = Extract<Accepted, { accepted: false }>;

export interface AcceptorOptions {
  intake(key: AddressKey): Intake | undefined;
  local: LocalAddress;
  reports: Pick<EngineReports, 'seenType'>;
  clock: Clock;
}

export function createAcceptor({ intake, local, reports, clock }: AcceptorOptions): Acceptor {
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  const refuse = (into: Intake, answer: Refused): Accepted => {
    countRefusal(into.refusals, snakeCase(answer.reason));
    return answer;
  };

  const append = (into: Intake, stream: Stream, event: CloudEvent, record: Buffer): Promise<Accepted> => {
    const key = into.spec.dedupMs > 0 ? `${event.source}\n${event.id}` : undefined;
    return stream.append(record, clock.now(), key).then(
      ({ offset, duplicate }) => {
        into.accepted++;
        return duplicate ? { accepted: true, offset, duplicate } : { accepted: true, offset };
      },
      (error: unknown) => refuse(into, refusalOf(error)),
    );
  };

  const seeType = (into: Intake, { type, source, dataschema }: CloudEvent) => {
    const pair = `${type}\n${source}`;
    if (into.types.has(pair) || into.types.size >= MOST_TYPES) return;
    into.types.add(pair);
    reports.seenType(into.spec.key, type, source, dataschema);
  };

  return {
    accept(key, event) {
      const into = intake(key);
      if (into === undefined) return elsewhere(local, key, event);
      const { spec } = into;
      if (spec.ttl) {
        const ttl = ttlOf(event);
        if (!(ttl > 0)) return Promise.resolve(refuse(into, ENDLESS));
      }
      const record = encodeRecord(event, into.stream?.copies ? scratch : undefined);
      if (record.length > spec.maxEventBytes)
        return Promise.resolve(refuse(into, tooLarge(record.length, spec.maxEventBytes)));
      if (spec.reportTypes) seeType(into, event);
      if (into.stream !== undefined) return append(into, into.stream, event, record);
      return into.tried.then(() =>
        into.stream === undefined
          ? refuse(into, notOpen(into.problem ?? 'it is being closed'))
          : append(into, into.stream, event, record),
      );
    },
  };
}

/** One more of that reason. */
export function countRefusal(refusals: Record<string, number>, reason: string): void {
  refusals[reason] = (refusals[reason] ?? 0) + 1;
}

/** As all reasons of the gateway are written. */
export const snakeCase = (reason: string): string =>
  reason.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();

function elsewhere(local: LocalAddress, key: AddressKey, event: CloudEvent): Promise<Accepted> {
  const address = local(key);
  if (address !== undefined) return address(event);
  return Promise.resolve({
    accepted: false,
    status: 404,
    reason: 'NotFound',
    message: `there is no ${key.replace('/', ' ')}`,
  });
}

/** Source: knative/eventing, `pkg/broker/ingress` (an event whose time to live is used up is dropped with 400). */
const ENDLESS: Refused = {
  accepted: false,
  status: 400,
  reason: 'Loop',
  message:
    'the event has gone through this broker too often (knativebrokerttl is used up): a loop of replies',
};

const tooLarge = (bytes: number, most: number): Refused => ({
  accepted: false,
  status: 413,
  reason: 'TooLarge',
  message: `the event has ${bytes} bytes, more than ${most}; store the data elsewhere and send its address (dataref)`,
});

const notOpen = (why: string): Refused => ({
  accepted: false,
  status: 503,
  reason: 'NotReady',
  message: `the stream cannot be opened: ${why}`,
  retryAfterMs: SOON_MS,
});

/** What a failed append means for whoever brought the event. */
function refusalOf(error: unknown): Refused {
  const code = error instanceof PetrelError ? error.code : 'Internal';
  const message =
    error instanceof PetrelError && error.why !== '' ? `${error.message}: ${error.why}` : messageOf(error);
  const answer = (status: number, retryAfterMs?: number): Refused => ({
    accepted: false,
    status,
    reason: code,
    message,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  switch (code) {
    case 'DiskFull':
      return answer(507, FULL_RETRY_MS);
    case 'NotReady':
      return answer(503, SOON_MS);
    case 'InvalidArgument':
      return answer(413);
    default:
      return answer(500);
  }
}
