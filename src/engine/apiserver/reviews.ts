/** Questions about oneself, answered and not stored: who am I, what may I. Source: authentication.k8s.io, authorization.k8s.io. */
import type { UntypedObject } from '../../kinds/object.ts';
import { mayEverything } from './authentication.ts';
import type { User } from './context.ts';

/** A resource that can only be created, and whose answer is the created object itself. */
export interface Review {
  group: string;
  version: string;
  plural: string;
  kind: string;
  answer(request: UntypedObject, user: User): object;
}

const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] };

export const REVIEWS: Review[] = [
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    answer: (_, { name, groups, uid }) => ({ userInfo: { username: name, ...(uid ? { uid } : {}), groups } }),
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    answer: (_, user) => ({ allowed: mayEverything(user) }),
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    answer: (_, user) => ({
      resourceRules: mayEverything(user) ? [everything] : [],
      nonResourceRules: mayEverything(user) ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : [],
      incomplete: false,
    }),
  },
];

export const findReview = (group: string, version: string, plural: string): Review | undefined =>
  REVIEWS.find((r) => r.group === group && r.version === version && r.plural === plural);
