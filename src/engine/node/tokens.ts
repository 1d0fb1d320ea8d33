/**
 * Tokens for the service accounts of Pods, as `serviceAccountToken` volumes hold them: JSON Web Tokens (RFC 7519) with the claims of
 * Kubernetes, signed (HS256) with the node's own secret, which the API server can read too.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { signToken } from '../../base/jwt.ts';
import type { Pod } from '../../kinds/pod.ts';

export interface TokenIssuer {
  /** The token in use, or a new one when that has little time left. */
  token(pod: Pod, audience: string | undefined, seconds: number): string;
  /** Milliseconds until one of the Pod's tokens should be renewed; undefined when it has none. */
  renewIn(uid: string): number | undefined;
  /** The Pod is gone. */
  forget(uid: string): void;
}

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
/** Renewed when a fifth of its time is left. Source: kubelet `token_manager.go`. */
const RENEW_AT = 0.8;

export function createTokenIssuer(secret: string, clock: Clock): TokenIssuer {
  /** Pod uid → audience and lifetime → token. */
  const issued = new Map<string, Map<string, { token: string; renewAt: number }>>();

  const sign = ({ metadata, spec }: Pod, audience: string, seconds: number): string => {
    const iat = Math.floor(clock.now() / 1000);
    const { name, namespace = 'default', uid } = metadata;
    const account = spec.serviceAccountName || 'default';
    return signToken(secret, {
      iss: ISSUER,
      sub: `system:serviceaccount:${namespace}:${account}`,
      aud: [audience],
      iat,
      nbf: iat,
      exp: iat + seconds,
      jti: randomUUID(),
      'kubernetes.io': { namespace, pod: { name, uid }, serviceaccount: { name: account } },
    });
  };

  return {
    token(pod, audience = ISSUER, seconds) {
      const uid = pod.metadata.uid ?? '';
      const mine = issued.get(uid) ?? new Map<string, { token: string; renewAt: number }>();
      issued.set(uid, mine);
      const key = `${seconds} ${audience}`;
      let entry = mine.get(key);
      if (!entry || clock.monotonic() >= entry.renewAt) {
        entry = {
          token: sign(pod, audience, seconds),
          renewAt: clock.monotonic() + seconds * 1000 * RENEW_AT,
        };
        mine.set(key, entry);
      }
      return entry.token;
    },
    renewIn(uid) {
      const mine = issued.get(uid);
      if (!mine) return undefined;
      return Math.max(0, Math.min(...[...mine.values()].map(({ renewAt }) => renewAt)) - clock.monotonic());
    },
    forget: (uid) => void issued.delete(uid),
  };
}
