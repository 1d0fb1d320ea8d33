/**
 * Header fields between HTTP/2 and the forms of the rest of the gateway. A head that comes over HTTP/2 is written
 * down as HTTP/1.1 and read by the same strict code as any other: one place decides what a request means.
 */
import { acceptedTrailers } from '../../base/http1/chunked.ts';
import { FieldTable, parseFields } from '../../base/http1/fields.ts';
import type { Exchange } from '../exchange.ts';
import { putRequestFields, requestSize } from '../request-writer.ts';
import { type ResponseBlock, readResponseBlock, sameBlock } from '../response-block.ts';

const TRAILERS = new FieldTable(128);
const COLON = 58;

/** The head of an HTTP/2 request as HTTP/1.1, or null when its parts do not fit together (RFC 9113 §8.3.1). */
export function requestHead(raw: readonly string[]): Buffer | null {
  let method = '';
  let path = '';
  let authority: string | null = null;
  let host: string | null = null;
  let cookie = '';
  let lines = '';
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    if (name.charCodeAt(0) === COLON) {
      if (name === ':method') method = value;
      else if (name === ':path') path = value;
      else if (name === ':authority') authority = value;
      else if (name !== ':scheme') return null;
    } else if (name === 'cookie') cookie = cookie === '' ? value : `${cookie}; ${value}`;
    else if (name === 'host') {
      if (host !== null) return null;
      host = value;
    } else lines += `${name}: ${value}\r\n`;
  }
  if (authority !== null && host !== null && authority !== host) return null;
  const target = authority ?? host;
  const hostLine = target === null ? '' : `host: ${target}\r\n`;
  const cookieLine = cookie === '' ? '' : `cookie: ${cookie}\r\n`;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${hostLine}${lines}${cookieLine}\r\n`, 'latin1');
}

/** Appends `name: value CRLF` lines as pairs; `skip` is a name to leave out. */
function pushLines(out: string[], text: string, skip: string): void {
  let at = 0;
  while (at < text.length) {
    const colon = text.indexOf(':', at);
    const end = text.indexOf('\r\n', colon);
    const name = text.slice(at, colon);
    if (name !== skip) out.push(name, text.slice(colon + 2, end));
    at = end + 2;
  }
}

const lists = new WeakMap<ResponseBlock, string[]>();

function responseList(block: ResponseBlock): string[] {
  let list = lists.get(block);
  if (list === undefined) {
    list = [];
    pushLines(list, block.out.toString('latin1'), '');
    lists.set(block, list);
  }
  return list;
}

/** The head of a response to an HTTP/2 client; `length` below 0 sends none. */
export function responseHeaders(status: number, block: ResponseBlock, id: string, length: number): string[] {
  const out = [':status', String(status)].concat(responseList(block));
  if (id !== '') out.push('x-request-id', id);
  if (length >= 0) out.push('content-length', String(length));
  return out;
}

/** Trailer lines as an object; the same name twice becomes a list. */
export function trailerObject(lines: Buffer | null): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  if (lines === null) return out;
  const list: string[] = [];
  pushLines(list, lines.toString('latin1'), '');
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!;
    const known = out[name];
    if (known === undefined) out[name] = list[i + 1]!;
    else out[name] = [...(Array.isArray(known) ? known : [known]), list[i + 1]!];
  }
  return out;
}

function fieldLines(raw: readonly string[]): Buffer {
  let text = '';
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i]!.charCodeAt(0) !== COLON) text += `${raw[i]}: ${raw[i + 1]}\r\n`;
  }
  return Buffer.from(text, 'latin1');
}

/** The header block of an instance's response; `last` is returned again when it says the same. */
export function responseBlock(raw: readonly string[], last: ResponseBlock | null): ResponseBlock {
  const lines = fieldLines(raw);
  if (sameBlock(last, lines, 0, lines.length)) return last;
  return readResponseBlock(lines, 0, lines.length, true)!;
}

/** Trailers that may be passed on, or null. */
export function trailerLines(raw: readonly string[]): Buffer | null {
  const lines = fieldLines(raw);
  if (parseFields(lines, 0, lines.length, TRAILERS, true) < 0) return null;
  return acceptedTrailers(lines, TRAILERS);
}

let scratch = Buffer.allocUnsafeSlow(16 * 1024);

/** The head of a request to an instance. Trailers are always wanted: the gateway passes them on. */
export function requestHeaders(x: Exchange): string[] {
  const need = requestSize(x);
  if (need > scratch.length) scratch = Buffer.allocUnsafeSlow(need);
  const line = x.line.toString('latin1', x.lineStart, x.lineEnd);
  const space = line.indexOf(' ');
  const out = [':method', line.slice(0, space), ':scheme', 'http', ':path', line.slice(space + 1)];
  if (x.block.host !== '') out.push(':authority', x.block.host);
  const end = putRequestFields(scratch, 0, x);
  pushLines(out, scratch.toString('latin1', 0, end), 'host');
  out.push('te', 'trailers');
  return out;
}
