/** Where access takes its keys from, kept up to date: Secrets and key sets. Loaded with the first Service that says who may call. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { FunctionAccess } from '../../kinds/function.ts';
import type { Secret } from '../../kinds/pod.ts';
import { readAnnotated } from '../../kinds/strategies/function-access.ts';
import type { KubeClient } from '../../kube/client.ts';
import { splitKey } from '../../kube/indexed-store.ts';
import { createInformer } from '../../kube/informer.ts';
import { SECRETS } from '../../kube/refs.ts';
import { createJwks } from './jwks.ts';
import { jwksUrlOf, NOBODY, type ResolvedAccess, resolveAccess, secretsOf } from './resolve.ts';

export interface AccessKeysOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  fetch?: typeof fetch;
  /** What a Service's access resolves to has changed. */
  onChange(serviceKey: string): void;
  /** Somebody is kept out whom its owner wants in; told once for each problem. */
  onProblem(serviceKey: string, problem: string): void;
}

export interface AccessKeys {
  /** What the Service's annotation says, with its keys; `undefined` is a Service without one. */
  resolve(serviceKey: string, text: string | undefined): ResolvedAccess | undefined;
  /** A token for this Service names a key that it does not have. */
  missing(serviceKey: string): void;
  /** Resolves when everything that was asked for has been read, or could not be. */
  settled(): Promise<unknown>;
  stop(): void;
}

interface Known {
  text: string;
  /** Undefined when the annotation cannot be understood. */
  spec: FunctionAccess | undefined;
  /** What was told last; `''` when all is well. */
  problem: string;
}

export function createAccessKeys({
  client,
  clock,
  log,
  onChange,
  onProblem,
  ...options
}: AccessKeysOptions): AccessKeys {
  const secrets = createInformer<Secret>({ client, resource: SECRETS, clock, log });
  let following = false;
  /** Service key → what it asks for. */
  const known = new Map<string, Known>();
  const jwks = createJwks({
    ...options,
    clock,
    log,
    onChange(url) {
      for (const [key, { spec }] of known) if (spec && jwksUrlOf(spec) === url) onChange(key);
    },
  });

  const onSecret = ({ metadata: { namespace, name } }: Secret) => {
    for (const [key, { spec }] of known) {
      if (spec && splitKey(key).namespace === namespace && secretsOf(spec).includes(name)) onChange(key);
    }
  };

  /** Secrets are followed as a whole, and only once somebody needs one. */
  const follow = () => {
    if (following) return;
    following = true;
    secrets.addHandler({ add: onSecret, update: onSecret, delete: onSecret });
    secrets.start();
    void secrets.synced.then(() => {
      for (const [key, one] of known) if (one.spec) report(key, one, one.spec);
    });
  };

  const learn = (key: string, text: string): Known => {
    const now: Known = { text, spec: readAnnotated<FunctionAccess>('access', text).value, problem: '' };
    known.set(key, now);
    dropUrls();
    if (!now.spec) onProblem(key, 'Who may call it cannot be understood: nobody may.');
    else if (secretsOf(now.spec).length > 0) follow();
    return now;
  };

  /** Tells of Secrets that are not there; before they have been read nothing is known of them. */
  const report = (key: string, one: Known, spec: FunctionAccess) => {
    const { namespace } = splitKey(key);
    const absent = secrets.hasSynced ? secretsOf(spec).filter((name) => !secrets.get(namespace, name)) : [];
    const problem = absent
      .map((name) => `Secret "${name}" not found: nobody is let in by what it should hold.`)
      .join(' ');
    if (problem !== '' && problem !== one.problem) onProblem(key, problem);
    one.problem = problem;
  };

  const dropUrls = () =>
    jwks.keep(new Set([...known.values()].flatMap(({ spec }) => (spec ? (jwksUrlOf(spec) ?? []) : []))));

  return {
    resolve(key, text) {
      const before = known.get(key);
      if (text === undefined) {
        if (before && known.delete(key)) dropUrls();
        return undefined;
      }
      const one = before?.text === text ? before : learn(key, text);
      const { spec } = one;
      if (!spec) return NOBODY;
      report(key, one, spec);
      const { namespace } = splitKey(key);
      return resolveAccess(spec, {
        secret: (name) => secrets.get(namespace, name)?.data,
        jwks: (url) => jwks.keys(url),
      });
    },
    missing(key) {
      const spec = known.get(key)?.spec;
      const url = spec && jwksUrlOf(spec);
      if (url) jwks.missing(url);
    },
    settled: () => Promise.all([following ? secrets.synced : undefined, jwks.settled()]),
    stop() {
      secrets.stop();
      jwks.stop();
    },
  };
}
