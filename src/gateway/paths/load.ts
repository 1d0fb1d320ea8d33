/** Path routes are loaded with the first of them; synchronously, so that it holds for the very next request. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The table of path routes. */
export function loadPaths(): typeof import('./paths.ts') {
  return require('./paths.ts') as typeof import('./paths.ts');
}

let calls: typeof import('./calls.ts') | undefined;

/** Counting requests by path; asked for with every request that is counted. */
export function loadCalls(): typeof import('./calls.ts') {
  calls ??= require('./calls.ts') as typeof import('./calls.ts');
  return calls;
}

/** What a platform without path routes never needs of them. */
export function loadPathCheck(): typeof import('./check.ts') {
  return require('./check.ts') as typeof import('./check.ts');
}
