/** Key sets behind URLs: fetched when first asked for, kept, and fetched again when they may have changed. */
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { keySet } from './resolve.ts';

export interface JwksOptions {
  clock: Clock;
  log: Logger;
  fetch?: typeof fetch;
  /** The keys behind the URL are others than before. */
  onChange(url: string): void;
}

export interface Jwks {
  /** The keys as they were last seen; undefined while there are none. Begins to follow the URL. */
  keys(url: string): Record<string, unknown>[] | undefined;
  /** Resolves when the first attempt to fetch what is followed has ended. */
  settled(): Promise<unknown>;
  /** A token names a key that is not among them. */
  missing(url: string): void;
  /** Forgets what nobody asks for. */
  keep(urls: ReadonlySet<string>): void;
  stop(): void;
}

/** A key that was withdrawn is refused within this time, unless the server names another, milliseconds. */
const REFRESH_MS = 3_600_000;
const REFRESH_BOUNDS = { min: 60_000, max: 86_400_000 } as const;
/** Anybody can name a key that does not exist: for them the server is asked no more often than this, milliseconds. */
const SOONEST_MS = 10_000;
const BACKOFF = { baseMs: 1000, maxMs: 300_000 } as const;
const TIMEOUT_MS = 5000;
const MOST_BYTES = 256 * 1024;
const MOST_KEYS = 100;

interface Followed {
  keys: Record<string, unknown>[] | undefined;
  text: string;
  failures: number;
  /** When it was last asked on account of a missing key, on the monotonic clock. */
  missedAt: number;
  running: Promise<void> | undefined;
  timer: Timer | undefined;
}

export function createJwks({ clock, log, onChange, ...options }: JwksOptions): Jwks {
  // Looked up when it is needed: it is large.
  const get = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request));
  const followed = new Map<string, Followed>();

  const ask = (url: string, one: Followed): void => {
    if (one.running) return;
    one.timer?.cancel();
    one.running = refresh(url, one).finally(() => {
      one.running = undefined;
    });
  };

  const again = (url: string, one: Followed, ms: number) => {
    if (followed.get(url) === one) one.timer = clock.after(ms, () => ask(url, one));
  };

  const refresh = async (url: string, one: Followed): Promise<void> => {
    try {
      const { text, maxAgeMs } = await read(get, url);
      const keys = keySet(text);
      if (keys === undefined || keys.length > MOST_KEYS) throw new Error('the answer is no key set');
      one.failures = 0;
      again(url, one, maxAgeMs);
      if (text === one.text) return;
      one.text = text;
      one.keys = keys;
      if (followed.get(url) === one) onChange(url);
    } catch (error) {
      // the keys of before stay in force
      if (one.failures++ === 0) log.warn('a key set cannot be fetched', { url, error: messageOf(error) });
      again(url, one, Math.min(BACKOFF.maxMs, BACKOFF.baseMs * 2 ** (one.failures - 1)));
    }
  };

  return {
    keys(url) {
      const known = followed.get(url);
      if (known) return known.keys;
      const one: Followed = {
        keys: undefined,
        text: '',
        failures: 0,
        missedAt: Number.NEGATIVE_INFINITY,
        running: undefined,
        timer: undefined,
      };
      followed.set(url, one);
      ask(url, one);
      return undefined;
    },
    settled: () => Promise.all([...followed.values()].map(({ running }) => running)),
    missing(url) {
      const one = followed.get(url);
      if (!one || one.running || one.failures > 0) return;
      const now = clock.monotonic();
      if (now - one.missedAt < SOONEST_MS) return;
      one.missedAt = now;
      ask(url, one);
    },
    keep(urls) {
      for (const [url, one] of followed) {
        if (urls.has(url)) continue;
        one.timer?.cancel();
        followed.delete(url);
      }
    },
    stop() {
      this.keep(new Set());
    },
  };
}

/** The text behind a URL and how long it may be kept. Throws for anything but a small answer in time. */
async function read(get: typeof fetch, url: string): Promise<{ text: string; maxAgeMs: number }> {
  const response = await get(url, {
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`the answer is longer than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  const told = /(?:^|[ ,])max-age=(\d{1,9})/i.exec(response.headers.get('cache-control') ?? '')?.[1];
  const wanted = told === undefined ? REFRESH_MS : Number(told) * 1000;
  const maxAgeMs = Math.min(REFRESH_BOUNDS.max, Math.max(REFRESH_BOUNDS.min, wanted));
  return { text: Buffer.concat(chunks).toString('utf8'), maxAgeMs };
}
