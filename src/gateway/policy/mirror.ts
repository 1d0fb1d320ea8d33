/**
 * Mirrored traffic: a copy of a request goes to another revision, is counted there as any request is (and so scales
 * it), and what comes back is thrown away. The client's request never waits for it and never sees it. The copy keeps
 * Host and request id and carries `X-Petrel-Mirror: true`. What cannot be copied is skipped, with the reason counted.
 */
import type { Timed } from '../../base/deadlines.ts';
import { BODY, Exchange, type Front, STATE } from '../exchange.ts';
import { newRequestId } from '../ids.ts';
import type { RevisionState } from '../revision.ts';
import type { PolicySurroundings } from './around.ts';
import { needle, withRequestLines } from './lines.ts';
import { smoothOrder } from './sequence.ts';

/** Larger bodies are not copied. */
export const MIRROR_BODY_LIMIT = 256 * 1024;
/** Copies of one worker under way at once, and the bytes of their bodies. */
const MAX_OPEN = 512;
const MAX_BYTES = 16 * 1024 * 1024;

export const MIRROR_HEADER = needle('x-petrel-mirror');
const MARK = 'x-petrel-mirror: true\r\n';

/** Why a request was not copied. */
export type MirrorSkip =
  | 'body_too_large'
  | 'incomplete'
  | 'overloaded'
  | 'queue_full'
  | 'same_revision'
  | 'upgrade';

/** Which requests of a route are copied: exactly their part, over all workers. */
export class MirrorShare {
  readonly revision: string;
  readonly #order: Uint16Array;
  readonly #turn: Int32Array;
  readonly #cell: number;

  constructor(settings: { revision: string; percent: number }, turn: Int32Array, cell: number) {
    this.revision = settings.revision;
    this.#order = smoothOrder([settings.percent, Math.max(0, 100 - settings.percent)]);
    this.#turn = turn;
    this.#cell = cell;
  }

  /** Whether the next request is copied. */
  next(): boolean {
    const turn = Atomics.add(this.#turn, this.#cell, 1) >>> 0;
    return this.#order[turn % this.#order.length] === 0;
  }
}

/** Takes the copy's answer and forgets it. */
class Sink implements Front, Timed {
  readonly address: string;
  deadline: number;
  readonly #around: PolicySurroundings;
  readonly #body: Buffer[];
  readonly #bytes: number;
  #x: Exchange | null = null;

  constructor(address: string, body: Buffer[], bytes: number, deadline: number, around: PolicySurroundings) {
    this.address = address;
    this.#body = body;
    this.#bytes = bytes;
    this.deadline = deadline;
    this.#around = around;
  }

  /** The reason when the revision does not take it. */
  send(x: Exchange): MirrorSkip | null {
    this.#x = x;
    this.#around.mirrors.open++;
    this.#around.deadlines.add(this);
    if (x.revision.admit(x) === null) return null;
    x.state = STATE.done;
    this.#forget();
    return 'queue_full';
  }

  #forget(): void {
    if (this.#x === null) return;
    this.#x = null;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#around.deadlines.delete(this);
    this.#around.mirrors.open--;
    this.#around.mirrors.bytes -= this.#bytes;
  }

  #finish(x: Exchange): void {
    if (this.#x !== x) return;
    x.upstream = null;
    this.#forget();
    x.revision.leave(x, performance.now());
  }

  expire(): void {
    const x = this.#x;
    if (x === null) return;
    x.status = 504;
    x.upstream?.cancel(x, 'timeout');
    this.#finish(x);
  }

  dispatched(x: Exchange): void {
    for (const chunk of this.#body) x.upstream?.sendBody(x, chunk);
    x.upstream?.endBody(x, null);
  }

  respond(x: Exchange, status: number): void {
    x.status = status;
    this.#finish(x);
  }

  begin(x: Exchange, status: number): void {
    x.status = status;
    x.begun = true;
  }

  end(x: Exchange): void {
    this.#finish(x);
  }

  fail(x: Exchange, failure: { status: number }): void {
    x.status = failure.status;
    this.#finish(x);
  }

  resumeBody(): void {}
  interim(): void {}
  data(): void {}
  congested(): boolean {
    return false;
  }
}

/** The copy of one request, while its body is gathered. */
export class MirrorCopy {
  readonly #original: Exchange;
  readonly #revision: RevisionState;
  readonly #around: PolicySurroundings;
  readonly #line: Buffer;
  #chunks: Buffer[] | null = [];
  #bytes = 0;

  constructor(original: Exchange, revision: RevisionState, around: PolicySurroundings) {
    this.#original = original;
    this.#revision = revision;
    this.#around = around;
    this.#line = Buffer.from(original.line.subarray(original.lineStart, original.lineEnd));
  }

  /** The copy of a request to be, or null when it is skipped. */
  static of(x: Exchange, revision: RevisionState, around: PolicySurroundings): MirrorCopy | null {
    let skip: MirrorSkip | null = null;
    if (revision === x.revision) skip = 'same_revision';
    else if (x.body === BODY.upgrade) skip = 'upgrade';
    else if (x.block.contentLength > MIRROR_BODY_LIMIT) skip = 'body_too_large';
    else if (around.mirrors.open >= MAX_OPEN) skip = 'overloaded';
    if (skip === null) return new MirrorCopy(x, revision, around);
    revision.mirrored(skip);
    return null;
  }

  add(chunk: Buffer): void {
    if (this.#chunks === null) return;
    const { mirrors } = this.#around;
    this.#bytes += chunk.length;
    mirrors.bytes += chunk.length;
    if (this.#bytes > MIRROR_BODY_LIMIT) this.drop('body_too_large');
    else if (mirrors.bytes > MAX_BYTES) this.drop('overloaded');
    else this.#chunks.push(Buffer.from(chunk));
  }

  /** It is not sent; without a reason because its original never was either. */
  drop(skip: MirrorSkip | null): void {
    if (this.#chunks === null) return;
    this.#chunks = null;
    this.#around.mirrors.bytes -= this.#bytes;
    if (skip !== null) this.#revision.mirrored(skip);
  }

  /** The body is complete: off it goes. */
  launch(): void {
    if (this.#chunks === null) return;
    const original = this.#original;
    const chunks = this.#chunks;
    this.#chunks = null;
    const now = performance.now();
    const deadline = now + this.#revision.entry.timeoutMs;
    const sink = new Sink(original.front.address, chunks, this.#bytes, deadline, this.#around);
    const copy = new Exchange(
      sink,
      this.#revision,
      withRequestLines(original.block, [MIRROR_HEADER], MARK),
      this.#line,
      0,
      this.#line.length,
      original.prefix,
      original.requestId || newRequestId(),
      original.body,
      original.head,
      now,
    );
    copy.http2 = original.http2;
    this.#revision.mirrored(sink.send(copy));
  }
}
