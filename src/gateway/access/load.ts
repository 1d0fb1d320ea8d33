/** Access is loaded with the first route that has it; synchronously, so that it holds for the very next request. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export function loadAccess(): typeof import('./access.ts') {
  return require('./access.ts') as typeof import('./access.ts');
}
