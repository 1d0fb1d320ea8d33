/** Whether a path route can be used, said to who sets it instead of to a log of a worker. */
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { PathRoute } from '../contract.ts';
import { accessTerms } from '../routes.ts';
import { unsettable } from './headers.ts';
import { itemPath } from './paths.ts';

/** Throws `InvalidArgument` for what no worker could use. */
export function checkPathRoute(id: string, route: PathRoute): void {
  const { path, to, rewrite, headers = {}, access } = route;
  const complain = (why: string) => {
    throw new PetrelError('InvalidArgument', `path route ${id}: ${why}`);
  };
  if (!path.value.startsWith('/')) complain(`"${path.value}" does not begin with /`);
  itemPath(path);
  try {
    accessTerms(access, () => {});
  } catch (error) {
    complain(`its access cannot be used: ${messageOf(error)}`);
  }
  if (typeof rewrite === 'object' && !/^\/[\x21\x22\x24-\x7e]*$/.test(rewrite.to)) {
    complain(`"${rewrite.to}" is no path to rewrite to`);
  }
  const all = [headers, ...(Array.isArray(to) ? to.map(({ headers: own = {} }) => own) : [])];
  const [never] = unsettable(all.flatMap((some) => Object.keys(some)));
  if (never !== undefined) complain(`the header "${never}" cannot be set`);
  if (Array.isArray(to)) {
    for (const { route } of to) if (!route.includes('/')) complain(`"${route}" is no <namespace>/<name>`);
  }
}
