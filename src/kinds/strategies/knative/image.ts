/** Image references. Source: google/go-containerregistry `pkg/name`, weak validation. */

const TAG = /^[\w.-]{1,128}$/;
const REPOSITORY = /^[a-z0-9_./-]{1,255}$/;
const REGISTRY = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:]+\])(?::\d*)?$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** `[registry/]repository`; what has no dot, no port and is not `localhost` is no registry. */
function isRepository(name: string): boolean {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash < 0 || !(/[.:]/.test(first) || first === 'localhost')) return REPOSITORY.test(name);
  return REGISTRY.test(first) && REPOSITORY.test(name.slice(slash + 1));
}

/** `repository[:tag]`; an empty tag is none. */
function isTagged(name: string): boolean {
  const colon = name.lastIndexOf(':');
  const tag = name.slice(colon + 1);
  if (colon < 0 || tag.includes('/')) return isRepository(name);
  return (tag === '' || TAG.test(tag)) && isRepository(name.slice(0, colon));
}

/** Whether a text is `[registry/]repository[:tag]`, or that with `@sha256:…`. */
export function isImageReference(text: string): boolean {
  const parts = text.split('@');
  if (parts.length === 1) return isTagged(text);
  const [base = '', digest = ''] = parts;
  return parts.length === 2 && DIGEST.test(digest) && isTagged(base);
}
