/**
 * Names to addresses, each asked once at a time and remembered for a moment: the resolver has few threads, and a name that is slow to
 * resolve must not take them from the others by being asked for with every delivery.
 */
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** How long an answer holds, ms; also one that there is no such name. */
const HOLDS_MS = 2000;
const MOST_NAMES = 1000;

type Found = { error: NodeJS.ErrnoException | null; addresses: LookupAddress[]; at: number };

/** A `lookup` for `net.connect`. `resolve` is `dns.lookup` with `all`; `now` monotonic, ms. */
export function createLookup(
  resolve: (
    name: string,
    done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
  ) => void,
  now: () => number,
): LookupFunction {
  const known = new Map<string, Found>();
  const asked = new Map<string, ((found: Found) => void)[]>();

  const find = (name: string, done: (found: Found) => void) => {
    const last = known.get(name);
    if (last !== undefined && now() - last.at < HOLDS_MS) return void queueMicrotask(() => done(last));
    const waiting = asked.get(name);
    if (waiting !== undefined) return void waiting.push(done);
    const all = [done];
    asked.set(name, all);
    resolve(name, (error, addresses) => {
      const found = { error, addresses, at: now() };
      asked.delete(name);
      known.delete(name);
      known.set(name, found);
      if (known.size > MOST_NAMES) known.delete(known.keys().next().value!);
      for (const one of all) one(found);
    });
  };

  return (name, options, callback) => {
    find(name, ({ error, addresses }) => {
      // With an error there are none, whatever the type says.
      const known: LookupAddress[] = addresses ?? [];
      const { family } = options;
      const wanted = family === 4 || family === 6 ? known.filter((a) => a.family === family) : known;
      const [first] = wanted;
      if (error !== null || first === undefined)
        callback(
          error ?? Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }),
          '',
          0,
        );
      else if (options.all === true) callback(null, wanted);
      else callback(null, first.address, first.family);
    });
  };
}
