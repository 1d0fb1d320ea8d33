/** Path routes of one worker: which of them a request is for, and what it becomes on its way. */
import type { AccessTerms } from '../access/access.ts';
import type { EndpointAddress, PathRoute } from '../contract.ts';
import { type Asked, type EntranceSurroundings, enter, past, refused, toServer } from '../entrance.ts';
import { failure, methodRefusal } from '../failures.ts';
import type { Destination } from '../plane-types.ts';
import { fieldValue, needle } from '../policy/lines.ts';
import { WeightedTargets } from '../policy/sequence.ts';
import type { RequestBlock } from '../request-block.ts';
import type { RevisionState } from '../revision.ts';
import { accessTerms, type RouteTable } from '../routes.ts';
import type { Servers } from '../servers.ts';
import { HeaderSetter, TARGET_PART } from './headers.ts';
import { HostPaths, type ItemPath, type PathItem, type PathMatch } from './host-paths.ts';
import { comparable, rawLength, written } from './normal.ts';
import { parseTemplate, plainSegments, templateMatcher } from './template.ts';

const PERCENT = 37;
const QUESTION = 63;
const REQUEST_METHOD = needle('access-control-request-method');

export interface PathSurroundings extends EntranceSurroundings {
  readonly routes: RouteTable;
  readonly servers: Servers;
}

/** A request that may be for a path route. */
export interface PathRequest {
  block: RequestBlock;
  address: string;
  method: string;
  /** Path and query as they came. */
  target: string;
}

interface Item extends PathItem {
  readonly route: PathRoute;
  /** Of several routes, the one whose turn it is; its keys are their places in `route.to`. */
  readonly targets: WeightedTargets | null;
  readonly server: RevisionState | null;
  readonly headers: HeaderSetter | null;
  /** Of each target in the order of `route.to`; null: none has its own. */
  readonly own: readonly (HeaderSetter | null)[] | null;
  readonly access: AccessTerms | undefined;
}

/** Path of a route in the form that is looked up. Throws `InvalidArgument` for a template that is none. */
export function itemPath({ type, value }: PathRoute['path']): ItemPath {
  if (type !== 'template') return { type, value: written(value) };
  const segments = plainSegments(parseTemplate(value));
  if (segments !== null) {
    return {
      type: 'tree',
      segments: segments.map((s) => (typeof s === 'string' ? written(`/${s}`).slice(1) : s)),
    };
  }
  const text = Buffer.from(value, 'utf8').toString('latin1');
  const pieces = parseTemplate(text);
  const head = pieces[0] !== undefined && 'text' in pieces[0] ? pieces[0].text : '';
  return { type: 'pattern', head, match: templateMatcher(text, pieces) };
}

function isServer(to: PathRoute['to']): to is EndpointAddress {
  return !Array.isArray(to);
}

export class Paths {
  readonly #around: PathSurroundings;
  readonly #items = new Map<string, Item>();
  /** By host; `''` for those that any host leads to. */
  readonly #hosts = new Map<string, HostPaths<Item>>();
  /** What all paths of no host begin with, in bytes; null: to be worked out. */
  #beginning: Buffer | null = null;

  constructor(around: PathSurroundings) {
    this.#around = around;
  }

  get empty(): boolean {
    return this.#items.size === 0;
  }

  /** `turn` counts requests of a route with several targets, for all workers together. */
  set(id: string, route: PathRoute | null, turn: SharedArrayBuffer | null): void {
    const old = this.#items.get(id);
    const item = route === null ? undefined : this.#item(id, route, turn);
    if (old !== undefined) this.#remove(old);
    this.#beginning = null;
    if (item === undefined) return;
    this.#items.set(id, item);
    for (const host of hostsOf(item.route)) {
      const paths = this.#hosts.get(host) ?? new HostPaths<Item>();
      paths.add(item);
      this.#hosts.set(host, paths);
    }
  }

  #item(id: string, route: PathRoute, turn: SharedArrayBuffer | null): Item {
    const path = itemPath(route.path);
    const headers = route.headers === undefined ? null : HeaderSetter.of(route.headers);
    const { to, order } = route;
    // keys of path routes are not kept up to date by their being asked for
    const access = accessTerms(route.access, () => {});
    const common = { id, order, path, route, headers, access };
    if (isServer(to)) {
      return { ...common, own: null, targets: null, server: this.#around.servers.take(to) };
    }
    const weights = to.map(({ percent }, i) => ({ revision: String(i), percent }));
    const targets = new WeightedTargets(weights, turn === null ? undefined : new Int32Array(turn));
    const own = to.some(({ headers: some }) => some !== undefined)
      ? to.map(({ headers: some }) =>
          some === undefined ? null : HeaderSetter.of({ ...route.headers, ...some }),
        )
      : null;
    return { ...common, own, targets, server: null };
  }

  #remove(item: Item): void {
    this.#items.delete(item.id);
    if (isServer(item.route.to)) this.#around.servers.drop(item.route.to);
    for (const host of hostsOf(item.route)) {
      const paths = this.#hosts.get(host);
      paths?.delete(item);
      if (paths?.empty) this.#hosts.delete(host);
    }
  }

  /**
   * Whether a path route may be about a request; most are told apart here by a host and a few bytes, so that the platform's own
   * paths cost the others next to nothing. `buf` holds its target from `start` to `end`.
   */
  concerns(host: string, buf: Buffer, start: number, end: number): boolean {
    if (this.#hosts.has(host)) return true;
    if (!this.#hosts.has('')) return false;
    this.#beginning ??= this.#common();
    const beginning = this.#beginning;
    // a path that is left out is `/`
    if (start === end || buf[start] === QUESTION) return beginning.length <= 1;
    for (let i = 0; i < beginning.length; i++) {
      const byte = start + i < end ? buf[start + i]! : 0;
      if (byte === PERCENT) return true;
      if (byte !== beginning[i]!) return false;
    }
    return true;
  }

  #common(): Buffer {
    let common: string | null = null;
    for (const { route, path } of this.#items.values()) {
      if (route.hosts.length > 0) continue;
      const text = beginningOf(path);
      let n = 0;
      while (common !== null && n < common.length && common[n] === text[n]) n++;
      common = common === null ? text : text.slice(0, n);
    }
    return Buffer.from(common ?? '', 'latin1');
  }

  /** Where a path route sends the request; null when none is about it. */
  route(request: PathRequest): Destination | null {
    const { target, method } = request;
    const query = target.indexOf('?');
    const raw = query < 0 ? target : target.slice(0, query);
    const path = comparable(raw || '/');
    if (path === null) return null;
    let others: Set<string> | null = null;
    // a preflight is about the request that follows it
    const wanted = method === 'OPTIONS' ? (fieldValue(request.block.out, REQUEST_METHOD) ?? method) : method;
    const accept = ({ route: { methods } }: Item) => {
      if (methods.length === 0 || methods.includes(method) || methods.includes(wanted)) return true;
      others ??= new Set();
      for (const one of methods) others.add(one);
      return false;
    };
    const found =
      this.#hosts.get(request.block.hostKey)?.find(path, accept) ?? this.#hosts.get('')?.find(path, accept);
    if (found) return this.#send(found, request, raw, query < 0 ? '' : target.slice(query));
    return others === null ? null : wrongMethod(method, [...(others as Set<string>)]);
  }

  #send(
    { item, length, parts }: PathMatch<Item>,
    request: PathRequest,
    raw: string,
    query: string,
  ): Destination {
    const { route, server, headers, targets } = item;
    const { rewrite, to } = route;
    let prefix = '';
    let path = raw || '/';
    if (typeof rewrite === 'object') path = rewrite.to;
    else if (rewrite === 'strip') {
      // the slash that ends a prefix begins what is left
      const taken = rawLength(raw, length);
      prefix = raw.slice(0, taken).replace(/\/$/, '');
      path = raw.slice(prefix.length) || '/';
    }
    const target = path + query;
    const turn = targets?.next() ?? null;
    const setter = (turn === null ? null : item.own?.[Number(turn)]) ?? headers;
    const block =
      setter === null ? request.block : setter.apply(request.block, partsOf(setter, parts, request));
    const asked: Asked = {
      block,
      address: request.address,
      method: request.method,
      prefix,
      target,
      revision: null,
      later: route.async === true,
      access: item.access,
      trusted: isEmpty(route.access),
      count: route.count,
    };
    const { methods } = route;
    const named = methods.length === 0 || methods.includes(request.method);
    if (server !== null) {
      const serve = ({ block }: Asked): Destination => ({
        ...DIRECT,
        revision: server,
        prefix,
        target,
        block: toServer(block),
      });
      if (!named && item.access?.cors == null) return wrongMethod(request.method, methods);
      return item.access === undefined ? serve(asked) : past(item.access, asked, this.#around, serve);
    }
    const chosen = turn === null || isServer(to) ? undefined : to[Number(turn)];
    if (chosen === undefined) return refused(failure('not_ready', 'this path leads nowhere yet'));
    const slash = chosen.route.indexOf('/');
    const state = this.#around.routes.byName(chosen.route.slice(0, slash), chosen.route.slice(slash + 1));
    if (state === undefined) {
      return refused(failure('no_route', `this path leads to ${chosen.route}, which is not there`));
    }
    if (!named && (item.access?.cors ?? (asked.trusted ? null : state.access?.cors)) == null) {
      return wrongMethod(request.method, methods);
    }
    return enter(state, { ...asked, revision: chosen.revision ?? null }, this.#around);
  }
}

/** What the fields of a route may refer to. */
function partsOf(
  { wantsTarget }: HeaderSetter,
  parts: Record<string, string> | null,
  { target }: PathRequest,
): Record<string, string> {
  return wantsTarget ? { ...parts, [TARGET_PART]: target } : (parts ?? {});
}

const DIRECT = { failure: null, terms: null, lines: '' };

function wrongMethod(method: string, methods: readonly string[]): Destination {
  const allow = methods.join(', ');
  const refusal = { ...methodRefusal(method), close: false, message: `this path is for ${allow}` };
  return refused({ ...refusal, lines: `allow: ${allow}\r\n` });
}

/** The fixed text that a path begins with. */
function beginningOf(path: ItemPath): string {
  if (path.type === 'pattern') return path.head;
  if (path.type !== 'tree') return path.value;
  const first = path.segments.findIndex((segment) => typeof segment !== 'string');
  return `/${path.segments.slice(0, first).join('/')}`;
}

function hostsOf({ hosts }: PathRoute): readonly string[] {
  return hosts.length === 0 ? [''] : hosts;
}

function isEmpty(access: PathRoute['access']): boolean {
  return access !== undefined && Object.keys(access).length === 0;
}
