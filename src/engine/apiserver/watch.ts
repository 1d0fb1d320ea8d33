/**
 * WATCH: changes as JSON lines, from a revision on, filtered, for as long as the client listens.
 *
 * A slow client costs a bounded buffer and then its connection; a quiet server costs nothing: bookmarks are sent only
 * after something has changed.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import type { Status } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import { RevisionExpired, type Stored, type StoreEvent } from '../store/contract.ts';
import type { ApiContext } from './context.ts';
import { expired, futureRevision, tooManyRequests } from './errors.ts';
import { revisionOf, type WatchParameters } from './options.ts';
import { type Selection, selects } from './selection.ts';
import { apiVersionOf } from './write.ts';

/** Source: apiserver `MinRequestTimeout`; watches without `timeoutSeconds` end after this to twice this. */
const MIN_TIMEOUT_SECONDS = 1800;
/** Source: apiserver `cacher` bookmark frequency. */
const BOOKMARK_INTERVAL = 60_000;
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const MAX_WATCHES = 2000;
/** Marks the end of the initial state. Source: `meta/v1.InitialEventsAnnotationKey`. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** How an event's object is written; the default is the object itself. */
export type EventEncoder = (type: WatchEventType, object: Stored) => Uint8Array;

/** Opens watches, and ends them all when the server stops. */
export class WatchHub {
  readonly #context: ApiContext;
  readonly #open = new Set<WatchStream>();
  #bookmarkTimer: Timer | undefined;
  readonly #stopListening: () => void;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#stopListening = context.store.onCommit(() => this.#armBookmarks());
  }

  get size(): number {
    return this.#open.size;
  }

  /** Starts a watch. Throws 429 when there are too many, 504 for a revision that is not there yet. */
  open(
    definition: ResourceDefinition,
    resource: string,
    selection: Selection,
    parameters: WatchParameters,
    encode: EventEncoder = encodeObject,
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const { store, clock, random } = this.#context;
    if (this.#open.size >= MAX_WATCHES) {
      throw tooManyRequests(`too many watches are open (${MAX_WATCHES}); try again later`, 5);
    }
    const revision = revisionOf(parameters.resourceVersion);
    if (revision > store.revision) throw futureRevision(revision, store.revision);
    const seconds = parameters.timeoutSeconds || MIN_TIMEOUT_SECONDS * (1 + random());
    const stream = new WatchStream(definition, selection, encode, parameters.allowWatchBookmarks, () =>
      this.#open.delete(stream),
    );
    // From here to `subscribe` nothing waits: no change can fall between the past and the future.
    const initial = parameters.sendInitialEvents ?? revision === 0;
    if (initial) {
      for (const object of store.list(resource, { namespace: selection.namespace, filter: selection.matches })
        .items) {
        stream.push('ADDED', object);
      }
      if (parameters.sendInitialEvents) stream.bookmark(store.revision, true);
    } else if (revision > 0) {
      try {
        for (const event of store.since(resource, revision)) stream.change(event);
      } catch (error) {
        if (!(error instanceof RevisionExpired)) throw error;
        stream.fail(expired(error.message).status);
        return stream;
      }
    }
    this.#open.add(stream);
    stream.start(
      store.subscribe(resource, (event) => stream.change(event)),
      clock,
      seconds * 1000,
      signal,
    );
    return stream;
  }

  /** Ends every watch; clients come back to whoever serves then. */
  close(): void {
    this.#stopListening();
    this.#bookmarkTimer?.cancel();
    for (const stream of [...this.#open]) stream.end();
  }

  #armBookmarks(): void {
    if (this.#bookmarkTimer !== undefined || this.#open.size === 0) return;
    this.#bookmarkTimer = this.#context.clock.after(BOOKMARK_INTERVAL, () => {
      this.#bookmarkTimer = undefined;
      for (const stream of this.#open) stream.bookmark(this.#context.store.revision, false);
    });
  }
}

class WatchStream implements AsyncIterable<Uint8Array> {
  readonly #definition: ResourceDefinition;
  readonly #selection: Selection;
  readonly #encode: EventEncoder;
  readonly #bookmarks: boolean;
  readonly #onEnd: () => void;
  #buffer: Uint8Array[] = [];
  #buffered = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #sent = 0;
  #cleanup: (() => void)[] = [];

  constructor(
    definition: ResourceDefinition,
    selection: Selection,
    encode: EventEncoder,
    bookmarks: boolean,
    onEnd: () => void,
  ) {
    this.#definition = definition;
    this.#selection = selection;
    this.#encode = encode;
    this.#bookmarks = bookmarks;
    this.#onEnd = onEnd;
  }

  start(unsubscribe: () => void, clock: Clock, timeout: number, signal: AbortSignal | undefined): void {
    const timer = clock.after(timeout, () => this.end());
    const abort = () => this.end(true);
    signal?.addEventListener('abort', abort, { once: true });
    this.#cleanup.push(
      unsubscribe,
      () => timer.cancel(),
      () => signal?.removeEventListener('abort', abort),
    );
    if (signal?.aborted) this.end(true);
  }

  /** A change of the store, as this watch sees it: an object that comes to match is added, one that ceases is deleted. */
  change({ type, revision, current, previous }: StoreEvent): void {
    const is = type !== 'DELETED' && selects(this.#selection, current);
    const was = previous !== undefined && selects(this.#selection, previous);
    if (is) this.push(was ? 'MODIFIED' : 'ADDED', current);
    else if (was) this.push('DELETED', type === 'DELETED' ? current : departed(previous, revision));
  }

  push(type: WatchEventType, object: Stored): void {
    this.#write(this.#encode(type, object), object.revision);
  }

  bookmark(revision: number, endOfInitial: boolean): void {
    if (!endOfInitial && (!this.#bookmarks || revision <= this.#sent)) return;
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(endOfInitial ? { annotations: { [INITIAL_EVENTS_END]: 'true' } } : {}),
    };
    const object = { kind: this.#definition.kind, apiVersion: apiVersionOf(this.#definition), metadata };
    this.#write(line('BOOKMARK', JSON.stringify(object)), revision);
  }

  /** Says why and ends. */
  fail(status: Status): void {
    this.#write(line('ERROR', JSON.stringify(status)), 0);
    this.end();
  }

  /** Ends the stream, after what is buffered unless `now`. */
  end(now = false): void {
    if (now) this.#drop();
    if (this.#ended) return;
    this.#ended = true;
    for (const action of this.#cleanup) action();
    this.#cleanup = [];
    this.#onEnd();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#buffer.length > 0) {
          const chunks = this.#buffer;
          this.#drop();
          yield chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
        } else if (this.#ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      this.end(true);
    }
  }

  #write(chunk: Uint8Array, revision: number): void {
    if (this.#ended) return;
    this.#sent = Math.max(this.#sent, revision);
    this.#buffer.push(chunk);
    this.#buffered += chunk.length;
    this.#wake?.();
    // The initial state of a large collection may be more; what comes after it has to be taken in time.
    if (this.#buffered > MAX_BUFFERED_BYTES && this.#cleanup.length > 0) this.end(true);
  }

  #drop(): void {
    this.#buffer = [];
    this.#buffered = 0;
  }
}

/** The last state a selector matched, with the revision of the change that ended it. */
function departed(previous: Stored, revision: number): Stored {
  const object = previous.clone();
  object.metadata.resourceVersion = String(revision);
  const text = JSON.stringify(object);
  return { ...previous, revision, text, object, clone: () => structuredClone(object) };
}

const line = (type: WatchEventType, text: string): Uint8Array =>
  Buffer.from(`{"type":"${type}","object":${text}}\n`);

/** The change being sent: all who watch it are served one after the other, from one encoding per event type. */
let latest: { object: Stored; types: Map<WatchEventType, Uint8Array> } | undefined;

function encodeObject(type: WatchEventType, object: Stored): Uint8Array {
  if (latest?.object !== object) latest = { object, types: new Map() };
  let bytes = latest.types.get(type);
  if (bytes === undefined) {
    bytes = line(type, object.text);
    latest.types.set(type, bytes);
  }
  return bytes;
}
