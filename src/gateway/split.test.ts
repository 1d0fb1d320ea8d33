/** However a byte stream is cut into reads, the same requests come out of it and the same answers go back. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../base/log.ts';
import { ClientConnection } from './client.ts';
import { RowAllocator } from './counters.ts';
import { BODY, type Exchange, STATE, type Upstream } from './exchange.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { Plane } from './plane.ts';
import { ownBlock } from './response-block.ts';
import type { Link } from './revision.ts';
import { ACCEPTED, REFUSED, SMUGGLED } from './testing/corpus.ts';
import { HOST, KEY } from './testing/harness.ts';

/** As much of a socket as a client connection uses; everything happens at once. */
class FakeSocket extends EventEmitter {
  remoteAddress = '192.0.2.1';
  writableLength = 0;
  out = '';
  ended = false;
  write(chunk: Buffer): boolean {
    this.out += chunk.toString('latin1');
    return true;
  }
  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    if (this.listenerCount('close') > 0) this.emit('close');
    this.ended = true;
  }
  resetAndDestroy(): void {
    this.destroy();
  }
}

/** Notes requests as they come and echoes their bodies when they are complete. */
class EchoLink implements Link, Upstream {
  readonly notes: string[] = [];
  #body = '';
  send(x: Exchange): void {
    x.upstream = this;
    x.state = STATE.sent;
    this.#body = '';
    const line = x.line.toString('latin1', x.lineStart, x.lineEnd);
    const out = x.block.out.toString('latin1');
    this.notes.push(`${line} ${x.prefix}|${x.body}|${x.head}|${out}`);
    if (x.body === BODY.none) this.#answer(x);
    else x.front.dispatched(x);
  }
  #answer(x: Exchange): void {
    const body = Buffer.from(this.#body, 'latin1');
    x.upstream = null;
    x.front.respond(x, 200, ownBlock('date: now\r\n'), body, 0, body.length);
  }
  sendBody(_x: Exchange, chunk: Buffer): boolean {
    this.#body += chunk.toString('latin1');
    return true;
  }
  endBody(x: Exchange, trailers: Buffer | null): void {
    x.bodySent = true;
    this.notes.push(`body ${this.#body} trailers ${trailers?.toString('latin1') ?? ''}`);
    this.#answer(x);
  }
  cancel(x: Exchange): void {
    x.upstream = null;
    this.notes.push('cancelled');
  }
  resume(): void {}
  retire(): void {}
}

class EchoPlane extends Plane {
  readonly link = new EchoLink();
  override connect(): Link {
    return this.link;
  }
}

/** Everything observable about a byte stream cut at `cuts`. */
function transcript(bytes: string, cuts: number[]): string {
  const nothing = () => {};
  const events = {
    demand: nothing,
    endpointDown: nothing,
    released: nothing,
    wake: nothing,
    keyMissing: nothing,
    active: nothing,
  };
  const plane = new EchoPlane({
    worker: 0,
    limits: DEFAULT_LIMITS,
    identity: { zone: '', secret: '' },
    log: silentLogger,
    events,
    sync: nothing,
  });
  const rows = new RowAllocator();
  const entry = {
    key: KEY,
    containerConcurrency: 0,
    timeoutMs: 60_000,
    maxRequestBytes: 100_000,
    queueDepth: 1,
  };
  plane.apply({ type: 'revision', key: KEY, entry, queue: rows.allocate() });
  const target = { revision: KEY, percent: 100 };
  const route = { namespace: 'default', name: 'hello', hosts: [HOST], targets: [target] };
  plane.apply({ type: 'route', namespace: 'default', name: 'hello', entry: route, memory: null });
  const endpoint = { id: 'a', address: { kind: 'mux' as const, path: '/none' } };
  plane.apply({ type: 'endpoints', key: KEY, endpoints: [{ endpoint, ref: rows.allocate(), turn: 0 }] });
  const socket = new FakeSocket();
  const client = new ClientConnection(socket as unknown as Socket, plane);
  const buffer = Buffer.from(bytes, 'latin1');
  let from = 0;
  for (const to of [...cuts, buffer.length]) {
    // a copy of its own: what a read delivered must not be needed beyond it by accident
    if (to > from) socket.emit('data', Buffer.from(buffer.subarray(from, to)));
    from = to;
  }
  const state = `phase ${client.phase} ended ${socket.ended}`;
  socket.destroy();
  const out = socket.out
    .replaceAll(/x-request-id: \S+/g, 'x-request-id: ?')
    .replaceAll(/"requestId":"[^"]*"/g, '"requestId":"?"')
    .replaceAll(/date: \w\w\w, .*/g, 'date: ?');
  return `${plane.link.notes.join('\n')}\n--\n${out}\n--\n${state}`;
}

/** Deterministic numbers below 1. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomCuts(random: () => number, length: number): number[] {
  const count = 1 + Math.floor(random() * 12);
  return Array.from({ length: count }, () => Math.floor(random() * length)).sort((a, b) => a - b);
}

const REQUESTS = [...REFUSED, ...ACCEPTED].map(([what, bytes]) => [what, bytes] as const);

for (const [what, bytes] of REQUESTS) {
  test(`cut anywhere: ${what}`, () => {
    const stream = ACCEPTED[0]![1] + bytes + SMUGGLED;
    const whole = transcript(stream, []);
    const every = Array.from({ length: Math.min(stream.length, 3000) }, (_, i) => i + 1);
    assert.equal(transcript(stream, every), whole, 'one byte at a time');
    const random = generator(bytes.length);
    for (let i = 0; i < 25; i++) {
      const cuts = randomCuts(random, stream.length);
      assert.equal(transcript(stream, cuts), whole, `cut at ${cuts}`);
    }
  });
}

test('random sequences of requests, randomly damaged and cut', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = generator(seed);
    let stream = '';
    for (let i = 0; i < 5; i++) stream += ACCEPTED[Math.floor(random() * ACCEPTED.length)]![1];
    if (random() < 0.7) {
      const at = Math.floor(random() * stream.length);
      const byte = String.fromCharCode([0, 10, 13, 32, 58, 9, 65, 255][Math.floor(random() * 8)]!);
      stream = stream.slice(0, at) + (random() < 0.5 ? byte : '') + stream.slice(at + 1);
    }
    const whole = transcript(stream, []);
    for (let i = 0; i < 8; i++) {
      const cuts = randomCuts(random, stream.length);
      assert.equal(transcript(stream, cuts), whole, `seed ${seed}, cut at ${cuts}`);
    }
  }
});
