// @ts-check
'use strict';
/** One accepted connection of the instance's socket: HELLO, then frames of requests (data) or of calls (control). */

/** @typedef {InstanceType<typeof import('./exchange.cjs').Exchange>} ExchangeType */

const { TYPE, MAX_DATA, ProtocolError, FrameParser, FrameWriter } = require('./frames.cjs');
const { Exchange, AbortedError } = require('./exchange.cjs');

/** Bytes waiting for a peer that does not read, from which on its requests are not read either. */
const UNREAD_LIMIT = 8 * 1048576;

/**
 * What a connection needs of the supervisor.
 * @typedef {object} Host
 * @property {() => object} hello payload of our HELLO
 * @property {() => Promise<unknown> | undefined} [reachable] resolves when a request that comes now would be worked on; absent: always
 * @property {() => string[]} [roles] of connections that are taken; absent: both
 * @property {(exchange: ExchangeType) => void} request a request has come
 * @property {(exchange: ExchangeType) => void} answered a request is no longer in flight
 * @property {(connection: Connection, call: {id: number, method: string, params: any}) => void} call
 * @property {(connection: Connection, role: 'data' | 'control') => void} opened
 * @property {(connection: Connection) => void} closed
 */

class Connection {
  /** @param {import('node:net').Socket} socket @param {Host} host */
  constructor(socket, host) {
    this.socket = socket;
    this.host = host;
    this.writer = new FrameWriter(socket);
    /** @type {'' | 'data' | 'control'} */
    this.role = '';
    this.closed = false;
    this.goingAway = false;
    this.lastStream = 0;
    /** @type {Map<number, ExchangeType>} */
    this.exchanges = new Map();
    this.parser = new FrameParser((type, stream, buffer, start, end) =>
      this.frame(type, stream, buffer, start, end),
    );
    socket.on('data', (chunk) => {
      try {
        this.parser.push(/** @type {Buffer} */ (chunk));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.violated(error);
        return;
      }
      if (socket.writableLength > UNREAD_LIMIT) socket.pause();
    });
    socket.on('drain', () => socket.resume());
    socket.on('error', () => {}); // 'close' follows and says all there is to say
    socket.on('close', () => this.gone());
  }

  /** @param {Error} error */
  violated(error) {
    process.stderr.write(`petrel: protocol error from the platform: ${error.message}; connection closed\n`);
    this.socket.destroy();
  }

  gone() {
    if (this.closed) return;
    this.closed = true;
    const error = new AbortedError('cancelled', 'the connection to the gateway has closed');
    for (const exchange of [...this.exchanges.values()]) exchange.over(error);
    this.exchanges.clear();
    this.host.closed(this);
  }

  /** @param {number} type @param {number} stream @param {Buffer} buffer @param {number} start @param {number} end */
  frame(type, stream, buffer, start, end) {
    if (this.role === '') {
      this.hello(type, buffer, start, end);
      return;
    }
    if (this.socket.destroyed) return;
    const data = this.role === 'data';
    switch (type) {
      case TYPE.REQUEST:
      case TYPE.REQUEST_BODY: {
        if (!data || stream <= this.lastStream)
          throw new ProtocolError(`unexpected REQUEST, stream ${stream}`);
        this.lastStream = stream;
        const head = buffer.toString('latin1', start, end);
        if (head.indexOf(' ') < 1) throw new ProtocolError('a request head without method and target');
        const exchange = new Exchange(this, stream, head, type === TYPE.REQUEST_BODY);
        this.exchanges.set(stream, exchange);
        if (this.goingAway) exchange.reset('draining', 'this instance is draining');
        else this.host.request(exchange);
        return;
      }
      case TYPE.DATA: {
        const exchange = this.exchanges.get(stream);
        if (exchange !== undefined) {
          if (end - start > MAX_DATA && !exchange.upgraded) {
            throw new ProtocolError(`DATA of ${end - start} bytes, at most ${MAX_DATA} are allowed`);
          }
          exchange.receive(buffer.subarray(start, end));
        } else this.known(stream, 'DATA', data);
        return;
      }
      case TYPE.END: {
        const exchange = this.exchanges.get(stream);
        if (exchange !== undefined) exchange.receiveEnd(buffer.toString('latin1', start, end));
        else this.known(stream, 'END', data);
        return;
      }
      case TYPE.RESET: {
        const exchange = this.exchanges.get(stream);
        if (exchange === undefined) {
          this.known(stream, 'RESET', data);
          return;
        }
        const { code, message } = this.json(buffer, start, end);
        exchange.over(new AbortedError(String(code ?? 'cancelled'), String(message ?? code ?? 'cancelled')));
        return;
      }
      case TYPE.WINDOW: {
        if (end - start !== 4) throw new ProtocolError('a WINDOW that is not 4 bytes');
        const exchange = this.exchanges.get(stream);
        if (exchange !== undefined) exchange.grant(buffer.readUInt32LE(start));
        else this.known(stream, 'WINDOW', data);
        return;
      }
      case TYPE.PING:
        if (end - start !== 8) throw new ProtocolError('a PING that is not 8 bytes');
        this.pong(Buffer.from(buffer.subarray(start, end)));
        return;
      case TYPE.PONG:
        return;
      case TYPE.CALL: {
        if (data) throw new ProtocolError('CALL on a data connection');
        const call = this.json(buffer, start, end);
        if (typeof call.id !== 'number' || typeof call.method !== 'string')
          throw new ProtocolError('a CALL without id or method');
        this.host.call(this, call);
        return;
      }
      default:
        if (type <= TYPE.GOAWAY) throw new ProtocolError(`frame type ${type} is not for an instance`);
    }
  }

  /** @param {Buffer} bytes of the PING */
  pong(bytes) {
    const answer = () => this.writer.frame(TYPE.PONG, 0, bytes);
    const waits = this.host.reachable?.();
    if (waits === undefined) answer();
    else waits.then(answer, () => {});
  }

  /** @param {number} type @param {Buffer} buffer @param {number} start @param {number} end */
  hello(type, buffer, start, end) {
    if (type !== TYPE.HELLO) throw new ProtocolError('the first frame is not HELLO');
    const hello = this.json(buffer, start, end);
    if (hello.version !== 1) throw new ProtocolError(`version ${hello.version}, this instance speaks 1`);
    if (!(this.host.roles?.() ?? ['control', 'data']).includes(hello.role))
      throw new ProtocolError(`no such role: ${hello.role}`);
    this.role = hello.role;
    this.writer.json(TYPE.HELLO, 0, this.host.hello());
    this.host.opened(this, hello.role);
    if (this.goingAway) this.goaway();
  }

  /** Frames for a stream that is over are late, not wrong; for one that never began they are wrong. @param {number} stream @param {string} name @param {boolean} data */
  known(stream, name, data) {
    if (!data || stream === 0 || stream > this.lastStream)
      throw new ProtocolError(`${name} for stream ${stream}, which never began`);
  }

  /** @param {Buffer} buffer @param {number} start @param {number} end @returns {any} */
  json(buffer, start, end) {
    let value;
    try {
      value = JSON.parse(buffer.toString('utf8', start, end));
    } catch {}
    if (typeof value !== 'object' || value === null)
      throw new ProtocolError('a payload that is not a JSON object');
    return value;
  }

  /** @param {ExchangeType} exchange */
  answered(exchange) {
    this.host.answered(exchange);
  }

  /** @param {ExchangeType} exchange */
  forget(exchange) {
    this.exchanges.delete(exchange.id);
  }

  goaway() {
    if (this.role === 'data') this.writer.frame(TYPE.GOAWAY, 0, null);
    this.goingAway = true;
  }
}

module.exports = { Connection };
