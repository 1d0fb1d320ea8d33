/** A gateway for the scaler that adds to every revision what policies say of it: the scaler need not know of policies. */
import { isDeepStrictEqual } from 'node:util';
import type { Gateway, RevisionEntry, RevisionKey } from '../gateway/contract.ts';
import type { RevisionTerms } from './policy.ts';

export interface TermedGateway {
  gateway: Gateway;
  /** What `by` (a Route) says of the revision from now on; undefined takes it back. Of several Routes the first in the alphabet counts. */
  say(key: RevisionKey, by: string, terms: RevisionTerms | undefined): void;
}

export function withTerms(gateway: Gateway): TermedGateway {
  const entries = new Map<RevisionKey, RevisionEntry>();
  const said = new Map<RevisionKey, Map<string, RevisionTerms>>();

  const termsOf = (key: RevisionKey): RevisionTerms => {
    const all = said.get(key);
    return all ? all.get([...all.keys()].sort()[0]!)! : {};
  };

  return {
    gateway: {
      address: gateway.address,
      setRoute: (namespace, name, entry) => gateway.setRoute(namespace, name, entry),
      setRevision(key, entry) {
        if (entry) entries.set(key, entry);
        else entries.delete(key);
        gateway.setRevision(key, entry && said.has(key) ? { ...entry, ...termsOf(key) } : entry);
      },
      setEndpoints: (key, endpoints) => gateway.setEndpoints(key, endpoints),
      failRevision: (key, failure) => gateway.failRevision(key, failure),
      drained: (key, id, timeoutMs) => gateway.drained(key, id, timeoutMs),
      close: (graceMs) => gateway.close(graceMs),
    },
    say(key, by, terms) {
      const before = termsOf(key);
      const all = said.get(key) ?? new Map<string, RevisionTerms>();
      if (terms && Object.keys(terms).length > 0) all.set(by, terms);
      else all.delete(by);
      if (all.size > 0) said.set(key, all);
      else said.delete(key);
      const entry = entries.get(key);
      if (entry && !isDeepStrictEqual(before, termsOf(key)))
        gateway.setRevision(key, { ...entry, ...termsOf(key) });
    },
  };
}
