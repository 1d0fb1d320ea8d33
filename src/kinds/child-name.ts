/** Names made of other names. Source: knative.dev/pkg `kmeta`. */
import { createHash } from 'node:crypto';

const MAX_NAME = 63;
const DIGEST = 32;

/** A name for a child of `parent` that never exceeds a DNS label. Upstream's `kmeta.ChildName`. */
export function childName(parent: string, suffix: string): string {
  if (parent.length <= MAX_NAME - suffix.length) return parent + suffix;
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');
  const head = MAX_NAME - DIGEST;
  if (suffix.length < head) return shorten(parent, head - suffix.length, md5(parent)) + suffix;
  const name = shorten(parent, head, md5(parent + suffix));
  return (name + suffix.slice(0, MAX_NAME - name.length)).replace(/[^a-z0-9]+$/i, '');
}

function shorten(parent: string, length: number, digest: string): string {
  return parent.slice(0, Math.max(0, length)) + digest;
}
