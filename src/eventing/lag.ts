/** What waits, by the route that it waits for: what a function or Service scales by. */
import type { LagReport } from './model.ts';

/** Adds up what waits for each route; `publish` is called with every change. Reports of what goes nowhere of ours are passed over. */
export function lagByRoute(publish: (route: string, waiting: number) => void): (report: LagReport) => void {
  /** Route → who delivers to it → how much waits. */
  const routes = new Map<string, Map<string, number>>();
  /** Who delivers → where to, at the last report. */
  const last = new Map<string, string>();

  const change = (route: string, key: string, waiting: number) => {
    const all = routes.get(route) ?? new Map<string, number>();
    if (waiting > 0) routes.set(route, all.set(key, waiting));
    else {
      all.delete(key);
      if (all.size === 0) routes.delete(route);
    }
    let sum = 0;
    for (const one of all.values()) sum += one;
    publish(route, sum);
  };

  return ({ key, route, waiting }) => {
    const before = last.get(key);
    if (before !== undefined && before !== route) change(before, key, 0);
    if (route === undefined || waiting === 0) last.delete(key);
    else last.set(key, route);
    if (route !== undefined) change(route, key, waiting);
  };
}
