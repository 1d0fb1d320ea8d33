/**
 * The paths of one host: exact ones and prefixes in maps, templates in a tree of segments, so that a thousand of them cost
 * what a few do. Only templates with patterns are tried one after the other, and only those whose fixed beginning fits.
 */
import type { TemplateMatcher } from './template.ts';

/** What is looked up: a path, and who comes first where several match. */
export interface PathItem {
  /** Lower goes first; ties are broken by `id`. */
  readonly order: number;
  readonly id: string;
  readonly path: ItemPath;
}

export type ItemPath =
  | { type: 'exact' | 'prefix'; value: string }
  | { type: 'tree'; segments: (string | { name: string })[] }
  | { type: 'pattern'; head: string; match: TemplateMatcher };

/** A match: `length` is how much of the path a prefix has taken, the whole of it for others. */
export interface PathMatch<T> {
  item: T;
  length: number;
  /** Values of the template's parts. */
  parts: Record<string, string> | null;
}

const byOrder = (a: PathItem, b: PathItem) => a.order - b.order || (a.id < b.id ? -1 : 1);

/** Lists by key, each in order. */
class Lists<T extends PathItem> {
  readonly map = new Map<string, T[]>();
  /** Lengths of the keys, longest first, each with how many keys have it. */
  lengths: number[] = [];
  readonly #counts = new Map<number, number>();

  add(key: string, item: T): void {
    const list = this.map.get(key);
    if (list !== undefined) {
      list.push(item);
      list.sort(byOrder);
      return;
    }
    this.map.set(key, [item]);
    this.#count(key.length, 1);
  }

  delete(key: string, item: T): void {
    const left = (this.map.get(key) ?? []).filter((other) => other !== item);
    if (left.length > 0) this.map.set(key, left);
    else if (this.map.delete(key)) this.#count(key.length, -1);
  }

  #count(length: number, change: number): void {
    const count = (this.#counts.get(length) ?? 0) + change;
    if (count > 0) this.#counts.set(length, count);
    else this.#counts.delete(length);
    if (count === 0 || (change > 0 && count === 1)) {
      this.lengths = [...this.#counts.keys()].sort((a, b) => b - a);
    }
  }
}

interface Node<T> {
  readonly fixed: Map<string, Node<T>>;
  any: Node<T> | null;
  items: T[];
}

const newNode = <T>(): Node<T> => ({ fixed: new Map(), any: null, items: [] });

export class HostPaths<T extends PathItem> {
  readonly #exact = new Lists<T>();
  readonly #prefixes = new Lists<T>();
  readonly #patterns = new Lists<T>();
  #tree: Node<T> = newNode();
  #size = 0;

  get empty(): boolean {
    return this.#size === 0;
  }

  add(item: T): void {
    this.#size++;
    const { path } = item;
    if (path.type === 'tree') this.#grow(item, path.segments);
    else this.#lists(path.type).add(keyOf(path), item);
  }

  delete(item: T): void {
    this.#size--;
    const { path } = item;
    if (path.type === 'tree') prune(this.#tree, path.segments, 0, item);
    else this.#lists(path.type).delete(keyOf(path), item);
  }

  #lists(type: 'exact' | 'prefix' | 'pattern'): Lists<T> {
    return type === 'exact' ? this.#exact : type === 'prefix' ? this.#prefixes : this.#patterns;
  }

  #grow(item: T, segments: readonly (string | { name: string })[]): void {
    let node = this.#tree;
    for (const segment of segments) {
      let next: Node<T> | null | undefined = typeof segment === 'string' ? node.fixed.get(segment) : node.any;
      if (next === undefined || next === null) {
        next = newNode<T>();
        if (typeof segment === 'string') node.fixed.set(segment, next);
        else node.any = next;
      }
      node = next;
    }
    node.items.push(item);
  }

  /** Asks what matches, the best first, until one is accepted. */
  find(path: string, accept: (item: T) => boolean): PathMatch<T> | null {
    for (const item of this.#exact.map.get(path) ?? []) {
      if (accept(item)) return { item, length: path.length, parts: null };
    }
    for (const candidate of this.#templates(path)) {
      const { item } = candidate;
      const parts = item.path.type === 'pattern' ? item.path.match(path) : candidate.parts;
      if (parts !== null && accept(item)) return { item, length: path.length, parts };
    }
    const prefixes = this.#prefixes;
    for (const length of prefixes.lengths) {
      if (length > path.length) continue;
      // whole segments: `/api` is about `/api` and `/api/x`, `/api/` only about what is below
      if (length < path.length && path[length] !== '/' && path[length - 1] !== '/') continue;
      for (const item of prefixes.map.get(path.slice(0, length)) ?? []) {
        if (accept(item)) return { item, length, parts: null };
      }
    }
    return null;
  }

  #templates(path: string): { item: T; parts: Record<string, string> | null }[] {
    const found: { item: T; parts: Record<string, string> | null }[] = [];
    const { any, fixed } = this.#tree;
    if (any !== null || fixed.size > 0) walk(this.#tree, path.split('/'), 1, [], found);
    for (const length of this.#patterns.lengths) {
      for (const item of this.#patterns.map.get(path.slice(0, length)) ?? [])
        found.push({ item, parts: null });
    }
    return found.sort((a, b) => byOrder(a.item, b.item));
  }
}

function keyOf(path: Exclude<ItemPath, { type: 'tree' }>): string {
  return path.type === 'pattern' ? path.head : path.value;
}

/** Every node stands for one way through the segments, so none is visited twice. */
function walk<T extends PathItem>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  values: readonly string[],
  found: { item: T; parts: Record<string, string> | null }[],
): void {
  const segment = segments[at];
  if (segment === undefined) {
    for (const item of node.items) found.push({ item, parts: partsOf(item, values) });
    return;
  }
  const next = node.fixed.get(segment);
  if (next !== undefined) walk(next, segments, at + 1, values, found);
  if (node.any !== null && segment !== '') walk(node.any, segments, at + 1, [...values, segment], found);
}

function partsOf({ path }: PathItem, values: readonly string[]): Record<string, string> {
  const parts: Record<string, string> = {};
  let i = 0;
  if (path.type === 'tree') {
    for (const segment of path.segments) if (typeof segment !== 'string') parts[segment.name] = values[i++]!;
  }
  return parts;
}

/** Takes the item out, and with it the nodes that nothing else needs. True when the node is of no use any more. */
function prune<T>(
  node: Node<T>,
  segments: readonly (string | { name: string })[],
  at: number,
  item: T,
): boolean {
  const segment = segments[at];
  if (segment === undefined) node.items = node.items.filter((other) => other !== item);
  else {
    const next = typeof segment === 'string' ? node.fixed.get(segment) : node.any;
    if (next && prune(next, segments, at + 1, item)) {
      if (typeof segment === 'string') node.fixed.delete(segment);
      else node.any = null;
    }
  }
  return node.items.length === 0 && node.fixed.size === 0 && node.any === null;
}
