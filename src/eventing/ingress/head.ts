/** The head of a request as the gateway writes it: checked there, names in lower case, one space behind the colon. */

/** What bringing an event needs of a head. */
export interface EventHeaders {
  method: string;
  /** Path and query. */
  target: string;
  host: string;
  /** -1: not told. */
  contentLength: number;
  /** The trace that the request belongs to. */
  traceparent: string | undefined;
  tracestate: string | undefined;
  /** `content-type` and all `ce-…`, flat pairs. */
  event: string[];
}

const LOWER_C = 99;
const LOWER_H = 104;
const LOWER_T = 116;

/** Reads a head (latin1) in one pass. */
export function readHead(head: string): EventHeaders {
  let end = head.indexOf('\r\n');
  if (end < 0) end = head.length;
  const space = head.indexOf(' ');
  const read: EventHeaders = {
    method: head.slice(0, space),
    target: head.slice(space + 1, end),
    host: '',
    contentLength: -1,
    traceparent: undefined,
    tracestate: undefined,
    event: [],
  };
  for (let from = end + 2; from < head.length; from = end + 2) {
    end = head.indexOf('\r\n', from);
    if (end < 0) end = head.length;
    switch (head.charCodeAt(from)) {
      case LOWER_C:
        if (head.startsWith('ce-', from) || head.startsWith('content-type:', from)) {
          const colon = head.indexOf(':', from);
          read.event.push(head.slice(from, colon), head.slice(colon + 2, end));
        } else if (head.startsWith('content-length: ', from))
          read.contentLength = Number(head.slice(from + 16, end));
        break;
      case LOWER_H:
        if (head.startsWith('host: ', from)) read.host = head.slice(from + 6, end);
        break;
      case LOWER_T:
        if (head.startsWith('traceparent: ', from)) read.traceparent = head.slice(from + 13, end);
        else if (head.startsWith('tracestate: ', from)) read.tracestate = head.slice(from + 12, end);
        break;
    }
  }
  return read;
}

/** All header lines of a head, flat pairs. */
export function allHeaders(head: string): string[] {
  const flat: string[] = [];
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) flat.push(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return flat;
}
