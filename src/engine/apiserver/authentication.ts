/** Who is at the other end of a connection: a client certificate of our authority, a bearer token, or nobody. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { KubeRequest } from '../../kube/transport.ts';
import { MASTERS, type User } from './context.ts';
import { type ApiError, forbidden, unauthorized } from './errors.ts';
import type { Target } from './target.ts';

/** A bearer token and who it stands for. */
export interface TokenUser {
  token: string;
  user: User;
}

const AUTHENTICATED = 'system:authenticated';
const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** What anybody may ask: it tells nothing but that a server is here. */
const PUBLIC_PATHS = new Set(['/healthz', '/livez', '/readyz', '/version']);

export type Authenticator = (request: IncomingMessage) => User;

/** Throws 401. Tokens are compared in constant time, and never kept in the clear. */
export function createAuthenticator(tokens: TokenUser[] = []): Authenticator {
  const known = tokens.map(({ token, user }) => ({ digest: sha256(token), user }));
  const bySocket = new WeakMap<object, User | null>();

  const byToken = (token: string): User => {
    const digest = sha256(token);
    let found: User | undefined;
    for (const candidate of known) if (timingSafeEqual(candidate.digest, digest)) found = candidate.user;
    if (found === undefined) throw unauthorized();
    return authenticated(found);
  };

  return (request) => {
    const socket = request.socket as TLSSocket;
    let user = bySocket.get(socket);
    if (user === undefined) {
      user = byCertificate(socket) ?? null;
      bySocket.set(socket, user);
    }
    if (user !== null) return user;
    const authorization = request.headers.authorization;
    if (authorization !== undefined) {
      const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
      if (token === undefined) throw unauthorized();
      return byToken(token);
    }
    if (PUBLIC_PATHS.has((request.url ?? '').split('?')[0] ?? '')) return ANONYMOUS;
    throw unauthorized();
  };
}

/** The subject of a certificate that our authority has signed: CN is the user, each O a group. */
function byCertificate(socket: TLSSocket): User | undefined {
  if (socket.authorized !== true) return undefined;
  const { subject } = socket.getPeerCertificate();
  const commonName = [subject?.CN ?? []].flat()[0];
  if (commonName === undefined || commonName === '') return undefined;
  return authenticated({ name: commonName, groups: [subject?.O ?? []].flat() });
}

const authenticated = (user: User): User => ({
  ...user,
  groups: [...new Set([...user.groups, AUTHENTICATED])],
});
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Until there are roles, members of this group may do everything, and others ask only what is served and who they are. */
export function mayEverything(user: User): boolean {
  return user.groups.includes(MASTERS);
}

const VERBS: Record<KubeRequest['method'], string> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** The 403 for a user who may not do this. */
export function refusal(user: User, request: KubeRequest, target: Target): ApiError {
  const { definition, namespace, name, subresource } = target;
  const verb = name === '' && request.method === 'GET' ? 'list' : VERBS[request.method];
  const resource = subresource === '' ? definition.plural : `${definition.plural}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  return forbidden(
    definition,
    name,
    `User ${JSON.stringify(user.name)} cannot ${verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(definition.group)} ${scope}`,
  );
}
