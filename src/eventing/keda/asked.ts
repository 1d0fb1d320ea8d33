/** What a ScaledObject's metadata asks for. Pure. */
import {
  API_SERVER_SOURCES,
  EVENT_SOURCES,
  KAFKA_SOURCES,
  PING_SOURCES,
  SUBSCRIPTIONS,
  TRIGGERS,
} from '../../kube/refs.ts';
import type { ScaledObjectRef } from './messages.ts';
import { GRPC, GrpcError } from './status.ts';

/** Kinds that something can wait for, by the first word of their keys (see `LagReport.key`). */
const WAITED_FOR = new Map(
  [TRIGGERS, SUBSCRIPTIONS, EVENT_SOURCES, KAFKA_SOURCES, PING_SOURCES, API_SERVER_SOURCES].map(
    (resource) => [resource.kind.toLowerCase(), resource] as const,
  ),
);
/** As KEDA's scaler for Kafka has it. */
const LAG_THRESHOLD = 10;
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** What waits for this is what counts. */
export interface Asked {
  /** Of `LagReport`. */
  key: string;
  resource: typeof TRIGGERS;
  namespace: string;
  name: string;
  metricName: string;
  /** An instance for every so many that wait; 1 or more. */
  lagThreshold: number;
  /** Active when more than this wait. */
  activationLagThreshold: number;
}

/** @throws GrpcError `INVALID_ARGUMENT`, saying which of the metadata is wrong. */
export function askedBy({ namespace, metadata }: ScaledObjectRef): Asked {
  const given = ['subscription', 'trigger', 'source'].filter((one) => metadata.get(one));
  const [by] = given;
  if (by === undefined || given.length > 1)
    throw invalid(
      'needs one of subscription (trigger/<namespace>/<name>), trigger (<name>) and source (<kind>/<name>)',
    );
  const text = metadata.get(by) ?? '';
  const parts = text.split('/');
  const own = namespace || 'default';
  // A trigger and a source are in the namespace of the ScaledObject; a bare name of a source is an EventSource's.
  const whole =
    by === 'subscription'
      ? parts
      : by === 'trigger'
        ? ['trigger', own, ...parts]
        : [parts.length > 1 ? parts[0] : 'eventsource', own, ...parts.slice(parts.length > 1 ? 1 : 0)];
  const [kind = '', ns = '', name = ''] = whole;
  const resource = WAITED_FOR.get(kind.toLowerCase());
  if (resource === undefined)
    throw invalid(`${by}: "${text}" must be of a kind of ${[...WAITED_FOR.keys()].join(', ')}`);
  if (whole.length !== 3 || !NAME.test(ns) || !NAME.test(name)) throw invalid(`${by}: "${text}" is no name`);
  return {
    key: `${kind.toLowerCase()}/${ns}/${name}`,
    resource,
    namespace: ns,
    name,
    metricName: `petrel-${kind.toLowerCase()}-${ns}-${name}`,
    lagThreshold: integer(metadata, 'lagThreshold', LAG_THRESHOLD, 1),
    activationLagThreshold: integer(metadata, 'activationLagThreshold', 0, 0),
  };
}

function integer(metadata: ReadonlyMap<string, string>, name: string, absent: number, least: number): number {
  const text = metadata.get(name) ?? '';
  if (text === '') return absent;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw invalid(`${name}: "${text}" must be an integer of ${least} or more`);
}

const invalid = (message: string) => new GrpcError(GRPC.invalidArgument, `the metadata: ${message}`);
