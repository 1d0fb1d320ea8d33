/**
 * The rules that keep an archive inside the directory it is unpacked to, as a pure bookkeeping of names: nothing
 * here touches a disk, so nothing on the disk can be tricked. Links are made after everything else; until then no
 * name may pass through one.
 */
import { PetrelError } from '../../base/errors.ts';

/** Bounds on what one package may unpack to. */
export interface ArchiveLimits {
  /** Files, directories and links together. */
  maxEntries: number;
  /** Sum of all files, bytes. */
  maxTotalBytes: number;
  /** One file, bytes. */
  maxFileBytes: number;
  /** A name in the archive, bytes of UTF-8. */
  maxPathBytes: number;
}

/** Generous for a bundle with `node_modules`, small enough that a bomb ends early. */
export const DEFAULT_LIMITS: ArchiveLimits = {
  maxEntries: 200_000,
  maxTotalBytes: 2 * 1024 ** 3,
  maxFileBytes: 1024 ** 3,
  maxPathBytes: 1024,
};

/** Symbolic links followed before a chain counts as a loop; Linux's own limit. */
const MAX_HOPS = 40;

/** Refuses an archive because of one entry. */
export function unsafe(entry: string, problem: string, fix?: string): PetrelError {
  return new PetrelError('UnsafeArchive', `The archive entry ${quote(entry)} ${problem}.`, {
    why: 'A package must unpack into its own directory and nowhere else.',
    fix: fix ?? 'Leave that entry out and package again.',
  });
}

const quote = (entry: string): string =>
  JSON.stringify(entry.length > 200 ? `${entry.slice(0, 200)}…` : entry);

type Node = { kind: 'directory' } | { kind: 'file' } | { kind: 'link'; target: string };

export interface Layout {
  /** Accepts a directory; returns its path, empty for the root itself. */
  directory(name: string): string;
  /** Accepts a file; returns its path. */
  file(name: string, size: number): string;
  /** Counts bytes really unpacked, for formats whose declared sizes cannot be believed. */
  unpacked(name: string, bytes: number): void;
  symlink(name: string, target: string): void;
  /** Accepts a second name for a file that came before; returns both paths. */
  hardlink(name: string, target: string): { path: string; existing: string };
  /** Directories that must exist for a path. */
  parents(path: string): string[];
  /** Checks every link against the finished tree and returns those to make, or throws. */
  links(): { path: string; target: string }[];
}

/** Starts the bookkeeping of one archive. Every method throws `UnsafeArchive` or `PackageTooLarge`, naming the entry it refuses. */
export function createLayout(limits: ArchiveLimits): Layout {
  const nodes = new Map<string, Node>([['', { kind: 'directory' }]]);
  let entries = 0;
  let declared = 0;
  let real = 0;

  const tooBig = (name: string, what: string, limit: string) =>
    new PetrelError('PackageTooLarge', `${quote(name)} ${what}, over the limit of ${limit}.`, {
      why: 'Large packages make every cold start slow.',
      fix: 'Leave out what the function does not need; .petrelignore names it.',
    });

  const clean = (name: string): string => {
    if (++entries > limits.maxEntries) throw tooBig(name, 'is one too many', `${limits.maxEntries} entries`);
    if (Buffer.byteLength(name) > limits.maxPathBytes) {
      throw tooBig(name, 'has a name that is too long', `${limits.maxPathBytes} bytes`);
    }
    if (name.includes('\0')) throw unsafe(name, 'has a NUL byte in its name');
    if (name.startsWith('/')) throw unsafe(name, 'has an absolute path');
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    for (const part of parts) {
      if (part === '..') throw unsafe(name, 'leaves the package with ".."');
      if (Buffer.byteLength(part) > 255) throw tooBig(name, 'has a part that is too long', '255 bytes');
    }
    return parts.join('/');
  };

  const parentsOf = (path: string): string[] => {
    const result: string[] = [];
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) result.push(path.slice(0, at));
    return result;
  };

  const place = (name: string, path: string, node: Node): void => {
    if (path === '') throw unsafe(name, 'has no name');
    for (const parent of parentsOf(path)) {
      const found = nodes.get(parent);
      if (found === undefined) nodes.set(parent, { kind: 'directory' });
      else if (found.kind === 'link') throw unsafe(name, `would be written through the link "${parent}"`);
      else if (found.kind === 'file') throw unsafe(name, `lies below "${parent}", which is a file`);
    }
    if (nodes.has(path)) throw unsafe(name, 'occurs twice', 'Keep one of the two and package again.');
    nodes.set(path, node);
  };

  /** Walks `target` from the directory of `from` as a kernel would; undefined when it leaves the root or loops. */
  const follow = (from: string, target: string): string | undefined => {
    let here = from.split('/').slice(0, -1);
    const todo = target.split('/').reverse();
    for (let hops = 0; todo.length > 0; ) {
      const part = todo.pop() as string;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (here.length === 0) return undefined;
        here = here.slice(0, -1);
        continue;
      }
      const path = [...here, part].join('/');
      const node = nodes.get(path);
      if (node?.kind === 'link') {
        if (++hops > MAX_HOPS) return undefined;
        todo.push(...node.target.split('/').reverse());
      } else {
        here = [...here, part];
      }
    }
    return here.join('/');
  };

  return {
    directory(name) {
      const path = clean(name);
      if (path !== '' && nodes.get(path)?.kind !== 'directory') place(name, path, { kind: 'directory' });
      return path;
    },
    file(name, size) {
      const path = clean(name);
      if (size > limits.maxFileBytes)
        throw tooBig(name, `unpacks to ${size} bytes`, `${limits.maxFileBytes} for one file`);
      declared += size;
      if (declared > limits.maxTotalBytes)
        throw tooBig(name, 'makes the package too large', `${limits.maxTotalBytes} bytes unpacked`);
      place(name, path, { kind: 'file' });
      return path;
    },
    unpacked(name, bytes) {
      real += bytes;
      if (real > limits.maxTotalBytes)
        throw tooBig(name, 'makes the package too large', `${limits.maxTotalBytes} bytes unpacked`);
    },
    symlink(name, target) {
      const path = clean(name);
      if (target === '' || target.includes('\0')) throw unsafe(name, 'is a link to nothing');
      if (Buffer.byteLength(target) > limits.maxPathBytes)
        throw tooBig(name, 'has a link target that is too long', `${limits.maxPathBytes} bytes`);
      if (target.startsWith('/'))
        throw unsafe(
          name,
          `is a link to the absolute path "${target}"`,
          'Make the link relative, inside the package.',
        );
      place(name, path, { kind: 'link', target });
    },
    hardlink(name, target) {
      const path = clean(name);
      const existing = clean(target);
      entries--;
      if (nodes.get(existing)?.kind !== 'file')
        throw unsafe(name, `is a hard link to "${target}", which is no file of the package`);
      for (const parent of parentsOf(existing)) {
        if (nodes.get(parent)?.kind !== 'directory') throw unsafe(name, `is a hard link through "${parent}"`);
      }
      place(name, path, { kind: 'file' });
      return { path, existing };
    },
    parents: parentsOf,
    links() {
      const result: { path: string; target: string }[] = [];
      for (const [path, node] of nodes) {
        if (node.kind !== 'link') continue;
        if (follow(path, node.target) === undefined) {
          throw unsafe(
            path,
            `is a link to "${node.target}", which leaves the package or never ends`,
            'Replace the link by the file, or leave it out with .petrelignore.',
          );
        }
        result.push({ path, target: node.target });
      }
      return result;
    },
  };
}
