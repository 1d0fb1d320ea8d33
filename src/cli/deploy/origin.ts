/** What the place of a source on the command line means. Pure. */
import { PetrelError } from '../../base/errors.ts';

/** What a place on the command line means; `local` is a path as it is. */
export type Origin =
  | { kind: 'local' }
  | { kind: 'git'; url: string; ref: string; folder: string; name: string }
  | { kind: 'archive'; url?: string; path?: string; name: string }
  | { kind: 'image'; image: string; name: string };

const ARCHIVE = /\.(zip|tar|tar\.gz|tgz|tar\.zst)$/i;
/** As skopeo and podman write it. */
const IMAGE = /^(oci|docker):\/\/(.*)$/;
const SCHEME = /^(git\+)?(https?|ssh|git|file):\/\//;
/** `user@host:path`, as ssh and git write it. */
const SCP = /^[\w.-]+@[\w.-]+:[^/].*/;

/** Whether git knows by itself where this is; anything else is a path of this machine. */
export const isAddress = (url: string): boolean => SCHEME.test(url) || SCP.test(url);

const nameOf = (path: string): string =>
  (path.replace(/\/+$/, '').split(/[/:]/).at(-1) ?? '').replace(/\.git$/, '').replace(ARCHIVE, '');

/** Reads a place. Throws `InvalidArgument` for a reference or folder that cannot be meant. */
export function originOf(place: string): Origin {
  const image = IMAGE.exec(place)?.[2];
  if (image !== undefined) {
    const [path = ''] = image.split('@');
    return { kind: 'image', image, name: nameOf(path.replace(/:[^/:]*$/, '')) };
  }
  const hash = place.indexOf('#');
  const whole = hash === -1 ? place : place.slice(0, hash);
  const isUrl = SCHEME.test(whole);
  if (isUrl && ARCHIVE.test(new URL(whole.replace(/^git\+/, '')).pathname)) {
    if (whole.startsWith('file://'))
      return { kind: 'archive', path: new URL(whole).pathname, name: nameOf(whole) };
    return { kind: 'archive', url: whole, name: nameOf(new URL(whole).pathname) };
  }
  if (!isUrl && ARCHIVE.test(whole)) return { kind: 'archive', path: place, name: nameOf(place) };
  if (!isUrl && !SCP.test(whole) && !whole.endsWith('.git')) return { kind: 'local' };
  const fragment = hash === -1 ? '' : place.slice(hash + 1);
  const colon = fragment.indexOf(':');
  const ref = colon === -1 ? fragment : fragment.slice(0, colon);
  const folder = (colon === -1 ? '' : fragment.slice(colon + 1)).replace(/^\/+|\/+$/g, '');
  if (ref.startsWith('-') || /[\s~^?*[\\]|\.\./.test(ref)) {
    throw new PetrelError('InvalidArgument', `"${ref}" is no branch, tag or commit`, {
      fix: 'write <repository>#<branch, tag or commit>:<folder>',
    });
  }
  if (folder.split('/').includes('..')) {
    throw new PetrelError('InvalidArgument', `the folder ${folder} is not in the repository`, {
      fix: 'name a folder inside, for example #main:services/shop',
    });
  }
  const url = whole.replace(/^git\+/, '');
  return { kind: 'git', url, ref, folder, name: nameOf(folder === '' ? url : folder) };
}
