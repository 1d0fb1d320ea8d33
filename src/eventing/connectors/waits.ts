/** Waits that a stop or a lost connection ends. `Promise.race` remembers each of its calls for as long as one of its promises is pending: as long as a connection lives. */

/** Resolves as `work` does, or with undefined when it is to stop; rejects when the connection is lost, or as `work` does. */
export type Wait = <T>(work: Promise<T>) => Promise<T | undefined>;

/** Waits that end when `signal` aborts, or `lost` rejects. */
export function waits(signal: AbortSignal, lost: Promise<never>): Wait {
  const open = new Set<(end: Promise<undefined>) => void>();
  let over: Promise<undefined> | undefined;
  const end = (how: Promise<undefined>) => {
    over ??= how;
    how.catch(() => {});
    for (const resolve of open) resolve(over);
    open.clear();
  };
  lost.catch((error) => end(Promise.reject(error)));
  if (signal.aborted) end(Promise.resolve(undefined));
  else signal.addEventListener('abort', () => end(Promise.resolve(undefined)), { once: true });
  return <T>(work: Promise<T>) =>
    new Promise<T | undefined>((resolve, reject) => {
      const mine = (how: Promise<undefined>) => resolve(how);
      if (over === undefined) open.add(mine);
      else mine(over);
      work.then(resolve, reject).finally(() => open.delete(mine));
    });
}
