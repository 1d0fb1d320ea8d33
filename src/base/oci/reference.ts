/** References to images and repositories. Pure. Source: OCI distribution specification; hosts are told from names as Docker does. */
import { PetrelError } from '../errors.ts';

export interface Reference {
  /** Absent: an image of this machine. */
  host?: string;
  repository: string;
  /** Default `latest`. */
  tag: string;
  /** Names one image for ever; the tag is only for people then. */
  digest?: string;
}

const COMPONENTS = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** Its images are kept under another address, and names without a folder are in `library/`. */
const DOCKER_HUB = 'registry-1.docker.io';
/** Registries that nobody can push to or pull from: their images lie on this machine. */
const LOCAL = new Set(['dev.local', 'ko.local', 'kind.local', 'petrel.local']);

/** Whether an image is of such a registry. */
export const isLocal = (reference: string): boolean => LOCAL.has(reference.slice(0, reference.indexOf('/')));

/** Reads `[host[:port]/]repository[:tag][@digest]`. Throws `InvalidArgument`. */
export function parseReference(reference: string): Reference {
  const [text = '', digest, ...more] = reference.split('@');
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  const hasHost = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  const path = hasHost ? text.slice(slash + 1) : text;
  const colon = path.lastIndexOf(':');
  const repository = colon === -1 ? path : path.slice(0, colon);
  const tag = colon === -1 ? 'latest' : path.slice(colon + 1);
  const exact = digest === undefined ? {} : { digest };
  if (
    !COMPONENTS.test(repository) ||
    !TAG.test(tag) ||
    more.length > 0 ||
    (digest !== undefined && !DIGEST.test(digest))
  ) {
    throw new PetrelError('InvalidArgument', `"${reference}" is no reference to an image`, {
      fix: 'write registry.example.com/team/shop:1.2, or shop:1.2 for an image on this machine',
    });
  }
  if (!hasHost || LOCAL.has(first)) return { repository, tag, ...exact };
  if (first === 'docker.io' || first === 'index.docker.io')
    return {
      host: DOCKER_HUB,
      repository: repository.includes('/') ? repository : `library/${repository}`,
      tag,
      ...exact,
    };
  return { host: first, repository, tag, ...exact };
}

/** Registries on this machine speak HTTP, as for every other client. */
export function registryUrl(host: string): URL {
  const name = host.replace(/:\d+$/, '');
  const local = name === 'localhost' || name === '[::1]' || /^127\./.test(name);
  return new URL(`${local ? 'http' : 'https'}://${host}/`);
}
