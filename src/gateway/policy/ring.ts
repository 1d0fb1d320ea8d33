/** Consistent hashing: a key keeps its endpoint while the set around it changes. */

const POINTS = 64;
/** Keys beyond this part above the mean load move on to the next endpoint (consistent hashing with bounded loads). */
const BOUND = 1.25;
/** So many requests at once are no load that a key would have to move for. */
const ALWAYS = 8;

/** A hash of text, well mixed, not secret (FNV-1a, then MurmurHash3's finaliser). */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Most requests one of `count` endpoints may have when `total` are in flight and one more comes. */
export function loadBound(total: number, count: number): number {
  return Math.max(ALWAYS, Math.ceil((BOUND * (total + 1)) / count));
}

export class Ring {
  readonly #hashes: Uint32Array;
  readonly #owners: Uint32Array;
  readonly #count: number;

  constructor(ids: readonly string[]) {
    const points = ids.flatMap((id, owner) =>
      Array.from({ length: POINTS }, (_, i) => ({ hash: hashText(`${id}#${i}`), owner, id })),
    );
    points.sort((a, b) => a.hash - b.hash || (a.id < b.id ? -1 : 1));
    this.#hashes = Uint32Array.from(points, (p) => p.hash);
    this.#owners = Uint32Array.from(points, (p) => p.owner);
    this.#count = ids.length;
  }

  /** Asks the endpoints in the order of the ring, from the key on, until one accepts; -1 when none does. */
  find(hash: number, accept: (index: number) => boolean): number {
    const hashes = this.#hashes;
    const n = hashes.length;
    let low = 0;
    let high = n;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (hashes[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    const asked = new Set<number>();
    for (let k = 0; k < n && asked.size < this.#count; k++) {
      const owner = this.#owners[(low + k) % n]!;
      if (asked.has(owner)) continue;
      if (accept(owner)) return owner;
      asked.add(owner);
    }
    return -1;
  }
}
