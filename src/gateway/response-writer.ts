/** Puts response heads together in one reusable buffer, and gathers what clients are sent during one read. */
import type { Socket } from 'node:net';
import { CR, LF } from '../base/http1/chars.ts';
import { putBytes, putText } from './request-writer.ts';
import type { ResponseBlock } from './response-block.ts';

const REASONS: Record<number, string> = {
  100: 'Continue',
  101: 'Switching Protocols',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  418: "I'm a teapot",
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  425: 'Too Early',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
  511: 'Network Authentication Required',
};

const STATUS_LINES: (Buffer | undefined)[] = new Array(1000).fill(undefined);

function statusLine(status: number): Buffer {
  let line = STATUS_LINES[status];
  if (line === undefined) {
    line = Buffer.from(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`, 'latin1');
    STATUS_LINES[status] = line;
  }
  return line;
}

const ID = Buffer.from('x-request-id: ', 'latin1');
const LENGTH = Buffer.from('content-length: ', 'latin1');
const CHUNKED = Buffer.from('transfer-encoding: chunked\r\n', 'latin1');
const CLOSE = Buffer.from('connection: close\r\n', 'latin1');
const KEEP_ALIVE = Buffer.from('connection: keep-alive\r\n', 'latin1');

/** How the body of a response is delimited, when not by a length ≥ 0. */
export const FRAMING = { none: -1, chunked: -2, close: -3 } as const;

/** What the head says of the connection. */
export const CONNECTION = { silent: 0, close: 1, keepAlive: 2 } as const;

let date = Buffer.alloc(0);
let dateSecond = 0;

function dateLine(): Buffer {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = Buffer.from(`date: ${new Date(now).toUTCString()}\r\n`, 'latin1');
  }
  return date;
}

/** A client whose writes are gathered until the end of a read. */
export interface Gathering {
  readonly socket: Socket;
  /** The gathered writes have been handed over. */
  gathered: boolean;
}

const CAPACITY = 64 * 1024;
const SLACK = 512;

export class ResponseWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(CAPACITY);
  #end = 0;
  #gathering: Gathering[] = [];

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    // the old buffer lives on for as long as sockets have to send from it
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(CAPACITY, bytes));
    this.#end = 0;
  }

  #head(
    at: number,
    status: number,
    block: ResponseBlock,
    id: string,
    framing: number,
    connection: number,
  ): number {
    const out = this.#buffer;
    const line = statusLine(status);
    out.set(line, at);
    at += line.length;
    out.set(block.out, at);
    at += block.out.length;
    if (id !== '') {
      at = putBytes(out, at, ID, 0, ID.length);
      at = putText(out, at, id);
      out[at++] = CR;
      out[at++] = LF;
    }
    if (!block.hasDate && status >= 200) {
      const stamp = dateLine();
      out.set(stamp, at);
      at += stamp.length;
    }
    if (framing >= 0) {
      at = putBytes(out, at, LENGTH, 0, LENGTH.length);
      at = putText(out, at, String(framing));
      out[at++] = CR;
      out[at++] = LF;
    } else if (framing === FRAMING.chunked) {
      out.set(CHUNKED, at);
      at += CHUNKED.length;
    }
    if (connection === CONNECTION.close) {
      out.set(CLOSE, at);
      at += CLOSE.length;
    } else if (connection === CONNECTION.keepAlive) {
      out.set(KEEP_ALIVE, at);
      at += KEEP_ALIVE.length;
    }
    out[at++] = CR;
    out[at++] = LF;
    return at;
  }

  /** Writes a head and a small body with one system call. The body is copied. */
  whole(
    client: Gathering,
    status: number,
    block: ResponseBlock,
    id: string,
    framing: number,
    connection: number,
    body: Buffer,
    start: number,
    end: number,
  ): void {
    this.#reserve(block.out.length + id.length + SLACK + end - start);
    const from = this.#end;
    let at = this.#head(from, status, block, id, framing, connection);
    at = putBytes(this.#buffer, at, body, start, end);
    this.#send(client, from, at);
  }

  /** Writes a head. */
  head(
    client: Gathering,
    status: number,
    block: ResponseBlock,
    id: string,
    framing: number,
    connection: number,
  ): void {
    this.#reserve(block.out.length + id.length + SLACK);
    const from = this.#end;
    this.#send(client, from, this.#head(from, status, block, id, framing, connection));
  }

  /** Writes text of the protocol itself. */
  text(client: Gathering, text: string): void {
    this.#reserve(text.length);
    const from = this.#end;
    this.#send(client, from, putText(this.#buffer, from, text));
  }

  #send(client: Gathering, from: number, to: number): void {
    const socket = client.socket;
    socket.write(this.#buffer.subarray(from, to));
    // As a rule the kernel has taken it and the place is free again; else it is left alone until it is garbage.
    if (socket.writableLength > 0) this.#end = to;
  }

  /** Holds back a client's writes until `flush`, so that what one read brought leaves with one system call. */
  gather(client: Gathering): void {
    if (client.gathered) return;
    client.gathered = true;
    client.socket.cork();
    this.#gathering.push(client);
  }

  /** Sends what was gathered. True when some of it could not be handed to the kernel yet. */
  flush(): boolean {
    if (this.#gathering.length === 0) return false;
    const list = this.#gathering;
    this.#gathering = [];
    let left = false;
    for (const client of list) {
      client.gathered = false;
      client.socket.uncork();
      if (client.socket.writableLength > 0) left = true;
    }
    return left;
  }
}
