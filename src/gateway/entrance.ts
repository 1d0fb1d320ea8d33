/** Where a request goes that asks for more than a revision of a route: by a path, to be carried out later, or past a guard. */
import type { AccessTerms } from './access/access.ts';
import type { HeldLoad } from './access/guard.ts';
import type { RevisionKey } from './contract.ts';
import { failure } from './failures.ts';
import { loadCalls } from './paths/load.ts';
import type { Destination } from './plane-types.ts';
import { needle, withRequestLines } from './policy/lines.ts';
import type { RequestBlock } from './request-block.ts';
import type { RevisionState } from './revision.ts';
import type { RouteState } from './routes.ts';

/** A request as it stands before a route. */
export interface Asked {
  block: RequestBlock;
  /** The client's. */
  address: string;
  method: string;
  /** What was taken off the target, for `x-forwarded-prefix`. */
  prefix: string;
  /** What the instance sees, query included. */
  target: string;
  /** Fixed by who asks; null: as the route says. */
  revision: RevisionKey | null;
  /** To be carried out later, whether the client asks for it or not. */
  later: boolean;
  /** What a path route says of who may call; undefined: nothing. */
  access: AccessTerms | undefined;
  /** Made by the platform, which was let through before: neither access nor limits on clients are for it. */
  trusted: boolean;
  /** It is counted under this label; undefined: not at all. */
  count: string | undefined;
}

/** What entering needs of the worker. */
export interface EntranceSurroundings {
  revision(key: RevisionKey): RevisionState | undefined;
  readonly held: HeldLoad;
}

const ROUTE = needle('x-petrel-route');
const REVISION = needle('x-petrel-revision');

/** A destination that is none. */
export function refused(why: Destination['failure']): Destination {
  return { revision: null, prefix: '', failure: why, terms: null, target: null, block: null, lines: '' };
}

/** To a server of the platform, as it came. */
export function handedTo(server: RevisionState): Destination {
  return {
    revision: server,
    prefix: '',
    failure: null,
    terms: null,
    target: null,
    block: null,
    lines: '',
  };
}

/** The route leads nowhere yet. */
export function notReady({ entry: { namespace, name } }: RouteState): Destination {
  return refused(failure('not_ready', `${namespace}/${name} has no revision that can answer yet`));
}

/** Sends a request into a route, if it may go there. */
export function enter(state: RouteState, asked: Asked, around: EntranceSurroundings): Destination {
  const own = asked.access;
  const access = asked.trusted ? undefined : own === undefined ? state.access : own.over(state.access);
  if (access === undefined) return lead(state, asked, around);
  return past(access, asked, around, (passed) => lead(state, passed, around));
}

/** Sends a request past who may call, to where `on` leads it. */
export function past(
  access: AccessTerms,
  asked: Asked,
  around: EntranceSurroundings,
  on: (asked: Asked) => Destination,
): Destination {
  const passed = access.judge(asked.block, asked.method, Date.now());
  if (passed.failure !== null) return refused(passed.failure);
  return passed.guard(on({ ...asked, block: passed.block }), around.held);
}

function lead(state: RouteState, asked: Asked, around: EntranceSurroundings): Destination {
  const { block, address, prefix, target } = asked;
  const { server } = state;
  if (asked.later && server === undefined) {
    return refused(failure('async_unavailable', 'nobody here carries out requests later'));
  }
  if ((asked.later || block.later) && server !== undefined) {
    const limited = asked.trusted ? null : (state.terms?.limit(block, address, () => target) ?? null);
    return limited === null ? handOver(server, state, asked) : refused(limited);
  }
  let key = asked.revision;
  let terms: Destination['terms'] = null;
  if (state.terms !== undefined) {
    const direction = state.terms.direct(block, address, () => target, asked);
    if (direction.failure !== null) return refused(direction.failure);
    ({ key, terms } = direction);
  } else key ??= state.targets.next();
  const found = key === null ? undefined : around.revision(key);
  if (found === undefined) return notReady(state);
  if (asked.count !== undefined) terms = new (loadCalls().CountedRequest)(terms, asked.count, asked.method);
  return { revision: found, prefix, failure: null, terms, target, block, lines: '' };
}

/** The fields of a request to a server of the platform: what only the gateway may say of a route is taken away. */
export function toServer(block: RequestBlock): RequestBlock {
  return withRequestLines(block, [ROUTE, REVISION], '');
}

/** To the platform's own server, which answers for the route. */
function handOver(server: RevisionState, { entry }: RouteState, asked: Asked): Destination {
  const fixed = asked.revision === null ? '' : `x-petrel-revision: ${asked.revision}\r\n`;
  const lines = `x-petrel-route: ${entry.namespace}/${entry.name}\r\n${fixed}`;
  const block = withRequestLines(asked.block, [ROUTE, REVISION], lines);
  const { prefix, target } = asked;
  return { revision: server, prefix, failure: null, terms: null, target, block, lines: '' };
}
