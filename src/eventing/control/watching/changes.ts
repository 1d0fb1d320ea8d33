/**
 * Changes of Kubernetes objects as events. Pure. Source: knative.dev/eventing `pkg/adapter/apiserver/events`, `pkg/apis/sources/register.go`.
 */
import { createHash } from 'node:crypto';
import { type CloudEvent, type EventLimits, newEvent } from '../../../cloudevents/event.ts';
import type { UntypedObject } from '../../../kinds/object.ts';
import { anyResourceOf } from '../resources.ts';

export type What = 'add' | 'update' | 'delete';
export type Mode = 'Reference' | 'Resource';

/** The API as a source: its name in every cluster, the same wherever it listens now. */
export const API_SOURCE = 'https://kubernetes.default.svc';

const WHATS: readonly What[] = ['add', 'delete', 'update'];
const PREFIX: Record<Mode, string> = {
  Reference: 'dev.knative.apiserver.ref.',
  Resource: 'dev.knative.apiserver.resource.',
};
/** Objects may be larger than what is sent around otherwise. */
const LIMITS: EventLimits = { attributes: 65_536, data: 16 * 2 ** 20 };

/** Types and source of what a source in that mode tells. */
export const attributesOf = (mode: Mode): { type: string; source: string }[] =>
  WHATS.map((what) => ({ type: PREFIX[mode] + what, source: API_SOURCE }));

/** As upstream writes it: everything has a group or a version in front, and a namespace. */
function subjectOf({ apiVersion, kind, metadata }: UntypedObject): string {
  const version =
    apiVersion.includes('.') && !apiVersion.includes('/') ? `${apiVersion}/versionUnknown` : apiVersion;
  const { plural } = anyResourceOf(apiVersion, kind);
  return `/apis/${version}/namespaces/${metadata.namespace ?? ''}/${plural}/${metadata.name}`;
}

/**
 * The event of one change. Its id is the same whenever the same change is told (`by`: uid of the source). `now`: milliseconds since the epoch.
 */
export function eventOf(what: What, object: UntypedObject, mode: Mode, by: string, now: number): CloudEvent {
  const { apiVersion, kind, metadata } = object;
  const { name, namespace, uid = '', resourceVersion = '' } = metadata;
  const reference = { kind, ...(namespace && { namespace }), name, apiVersion };
  const id = createHash('sha256').update([by, mode, uid, what, resourceVersion].join(' ')).digest('hex');
  return newEvent(
    {
      id: id.slice(0, 32),
      type: PREFIX[mode] + what,
      source: API_SOURCE,
      subject: subjectOf(object),
      datacontenttype: 'application/json',
      extensions: { kind, name, namespace: namespace || undefined, apiversion: apiVersion },
      data: mode === 'Reference' ? reference : object,
    },
    now,
    () => '',
    LIMITS,
  );
}

/** Whether the object's controller is of that kind. */
export function ownedBy(
  { metadata }: UntypedObject,
  owner: { apiVersion: string; kind: string } | undefined,
): boolean {
  if (owner === undefined) return true;
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  return controller?.apiVersion === owner.apiVersion && controller.kind === owner.kind;
}
