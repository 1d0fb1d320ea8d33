/** References to images and repositories. Pure. Source: OCI distribution specification; hosts are told from names as Docker does. */
import { PetrelError } from '../../base/errors.ts';

export interface Reference {
  /** Absent: an image of this machine. */
  host?: string;
  repository: string;
  /** Default `latest`. */
  tag: string;
}

const COMPONENTS = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
/** Its images are kept under another address, and names without a folder are in `library/`. */
const DOCKER_HUB = 'registry-1.docker.io';
/** Registries that nobody can push to. Source: `engine/node/local-images.ts`. */
const LOCAL = new Set(['dev.local', 'ko.local', 'kind.local', 'petrel.local']);

/** Reads `[host[:port]/]repository[:tag]`. Throws `InvalidArgument`. */
export function parseReference(text: string): Reference {
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  const hasHost = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  const path = hasHost ? text.slice(slash + 1) : text;
  const colon = path.lastIndexOf(':');
  const repository = colon === -1 ? path : path.slice(0, colon);
  const tag = colon === -1 ? 'latest' : path.slice(colon + 1);
  if (!COMPONENTS.test(repository) || !TAG.test(tag)) {
    throw new PetrelError('InvalidArgument', `"${text}" is no reference to an image`, {
      fix: 'write registry.example.com/team/shop:1.2, or shop:1.2 for an image on this machine',
    });
  }
  if (!hasHost || LOCAL.has(first)) return { repository, tag };
  if (first === 'docker.io' || first === 'index.docker.io')
    return {
      host: DOCKER_HUB,
      repository: repository.includes('/') ? repository : `library/${repository}`,
      tag,
    };
  return { host: first, repository, tag };
}

/** Registries on this machine speak HTTP, as for every other client. */
export function registryUrl(host: string): URL {
  const name = host.replace(/:\d+$/, '');
  const local = name === 'localhost' || name === '[::1]' || /^127\./.test(name);
  return new URL(`${local ? 'http' : 'https'}://${host}/`);
}
