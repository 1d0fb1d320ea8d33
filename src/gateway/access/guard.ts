/**
 * One request of a guarded route on its way: what a browser is to be told is added to its answer, whoever gives it; and a body
 * whose signature counts is held back until it has been checked, so that nothing unsigned reaches, or wakes, an instance.
 */
import { BODY, type Exchange, type Front, STATE, type Treatment, type Upstream } from '../exchange.ts';
import { type Failure, failure } from '../failures.ts';
import type { Terms } from '../plane-types.ts';
import { needle, withoutLines, withResponseLines } from '../policy/lines.ts';
import type { ResponseBlock } from '../response-block.ts';
import type { EndpointState } from '../revision.ts';
import type { SignatureCheck } from './auth.ts';
import { CORS_FIELDS } from './cors.ts';

/** Longest body that is held back, and most of all bodies of one worker, bytes. */
export const HELD_LIMIT = 1024 * 1024;
const HELD_IN_ALL = 64 * 1024 * 1024;

const OWN = CORS_FIELDS.map(needle);

/** A signature to check, and what to say when it is wrong. */
export interface Held {
  check: SignatureCheck;
  wrong: Failure;
}

/** Bytes that a worker holds back. */
export interface HeldLoad {
  bytes: number;
}

export class Guard implements Terms, Front, Treatment, Upstream {
  readonly #terms: Terms | null;
  /** Of every answer; `''` for none. */
  readonly #lines: string;
  readonly #load: HeldLoad;
  #held: Held | null;
  #inner: Treatment | null = null;
  #client!: Front;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Checked, and to be sent. */
  #body: Buffer | null = null;
  #trailers: Buffer | null = null;

  constructor(terms: Terms | null, lines: string, held: Held | null, load: HeldLoad) {
    this.#terms = terms;
    this.#lines = lines;
    this.#held = held;
    this.#load = load;
  }

  apply(x: Exchange): void {
    this.#client = x.front;
    x.front = this;
    this.#terms?.apply(x);
    this.#inner = x.treatment;
    x.treatment = this;
  }

  get address(): string {
    return this.#client.address;
  }

  admit(x: Exchange): Failure | null {
    const held = this.#held;
    if (held === null) return this.#pass(x);
    if (x.body === BODY.none || x.body === BODY.upgrade) {
      return held.check(Buffer.alloc(0)) ? this.#pass(x) : this.#with(held.wrong);
    }
    if (x.block.contentLength > HELD_LIMIT) return this.#with(tooLong());
    if (this.#load.bytes > HELD_IN_ALL) {
      return this.#with(failure('overloaded', 'too many bodies wait for their signatures to be checked'));
    }
    x.upstream = this;
    this.#client.dispatched(x);
    return null;
  }

  /** Gives the request to its revision. */
  #pass(x: Exchange): Failure | null {
    const inner = this.#inner;
    x.treatment = inner;
    const refused = inner === null ? x.revision.admit(x) : inner.admit(x);
    return refused === null ? null : this.#with(refused);
  }

  #with(f: Failure): Failure {
    return this.#lines === '' ? f : { ...f, lines: (f.lines ?? '') + this.#lines };
  }

  /** It ends here: no revision knows of it yet. */
  #refuse(x: Exchange, f: Failure): void {
    this.#forget(x);
    this.#client.fail(x, this.#with(f));
  }

  #forget(x: Exchange): void {
    this.#load.bytes -= this.#bytes;
    this.#bytes = 0;
    this.#chunks = [];
    x.upstream = null;
    x.state = STATE.done;
  }

  sendBody(x: Exchange, chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    this.#load.bytes += chunk.length;
    if (this.#bytes > HELD_LIMIT) this.#refuse(x, tooLong());
    else this.#chunks.push(Buffer.from(chunk));
    return true;
  }

  endBody(x: Exchange, trailers: Buffer | null): void {
    const held = this.#held!;
    const body = Buffer.concat(this.#chunks);
    if (!held.check(body)) {
      this.#refuse(x, held.wrong);
      return;
    }
    this.#forget(x);
    x.state = STATE.queued;
    this.#held = null;
    this.#body = body;
    this.#trailers = trailers;
    const refused = this.#pass(x);
    if (refused === null) return;
    x.state = STATE.done;
    this.#client.fail(x, refused);
  }

  cancel(x: Exchange): void {
    this.#forget(x);
  }

  resume(): void {}

  dispatched(x: Exchange): void {
    const body = this.#body;
    if (body === null) {
      this.#client.dispatched(x);
      return;
    }
    const { treatment, upstream } = x;
    treatment?.body(body);
    treatment?.bodyEnd();
    upstream?.sendBody(x, body);
    if (x.upstream === upstream) upstream?.endBody(x, this.#trailers);
  }

  resumeBody(x: Exchange): void {
    if (this.#body === null) this.#client.resumeBody(x);
  }

  /** The instance's fields with what the route says of origins in their place. */
  #complete(block: ResponseBlock): ResponseBlock {
    if (this.#lines === '') return block;
    const out = withoutLines(block.out, OWN);
    return withResponseLines(out === block.out ? block : { ...block, out }, this.#lines);
  }

  interim(x: Exchange, status: number, block: ResponseBlock): void {
    this.#client.interim(x, status, block);
  }

  respond(x: Exchange, status: number, block: ResponseBlock, buf: Buffer, start: number, end: number): void {
    this.#client.respond(x, status, this.#complete(block), buf, start, end);
  }

  begin(x: Exchange, status: number, block: ResponseBlock, length: number): void {
    this.#client.begin(x, status, this.#complete(block), length);
  }

  data(x: Exchange, buf: Buffer, start: number, end: number): void {
    this.#client.data(x, buf, start, end);
  }

  end(x: Exchange, trailers: Buffer | null): void {
    this.#client.end(x, trailers);
  }

  fail(x: Exchange, f: Failure): void {
    this.#client.fail(x, this.#with(f));
  }

  congested(): boolean {
    return this.#client.congested();
  }

  // until the request has passed, no revision asks; what the client sends goes to `sendBody`
  preferred(usable: readonly EndpointState[]): readonly (readonly EndpointState[])[] {
    return [usable];
  }
  sent(): void {}
  body(): void {}
  bodyEnd(): void {}
  ended(): void {}
}

function tooLong(): Failure {
  return failure(
    'body_too_large',
    `a body whose signature is checked may have ${HELD_LIMIT} bytes`,
    'client',
  );
}
