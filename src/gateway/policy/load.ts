/**
 * Policies are loaded with the first route or revision that has one, so that a platform without them does not start
 * later for their sake. Loaded synchronously: what was set holds for the very next request.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** What a route asks for. */
export function loadRouteTerms(): typeof import('./route-terms.ts') {
  return require('./route-terms.ts') as typeof import('./route-terms.ts');
}

/** The choice of an endpoint by ring or zone. */
export function loadBalance(): typeof import('./balance.ts') {
  return require('./balance.ts') as typeof import('./balance.ts');
}

/** Outcomes and outliers of a revision. */
export function loadWatch(): typeof import('./watch.ts') {
  return require('./watch.ts') as typeof import('./watch.ts');
}
