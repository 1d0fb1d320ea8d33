/** The line format of container logs: `<RFC 3339 time> stdout|stderr F|P <text>`. Source: CRI logging, kubelet `logs.go`. */

export type StreamName = 'stdout' | 'stderr';

/** A line without a newline is written in pieces of this size, each but the last marked P. */
export const MAX_PIECE = 16 * 1024;
const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

/** Takes a line whole or not at all; `parts` are read before it returns. */
export type LineSink = (parts: readonly Buffer[], bytes: number) => void;

/** Cuts a stream of bytes into log lines. One per stream of a container; keeps at most one unfinished piece. */
export interface LineCutter {
  push(chunk: Buffer, time: string): void;
  /** What is left when the stream has ended. */
  end(time: string): void;
}

const LINE_END = Buffer.from('\n');
/** Room for the first bytes of a line that goes on in the next chunk. */
const FIRST_ROOM = 256;

/** Complete lines go to `sink`. Nothing is allocated per line. */
export function createLineCutter(stream: StreamName, sink: LineSink): LineCutter {
  /** The beginning of a line that has no end yet. */
  let held: Buffer | undefined;
  let size = 0;
  const line = (head: Buffer, part: Buffer) => {
    const rest = held === undefined ? NOTHING : held.subarray(0, size);
    sink([head, rest, part, LINE_END], head.length + rest.length + part.length + 1);
    held = undefined;
    size = 0;
  };
  const hold = (part: Buffer) => {
    const needed = size + part.length;
    if (held === undefined || held.length < needed) {
      const grown = Buffer.allocUnsafe(
        Math.min(MAX_PIECE, Math.max(FIRST_ROOM, needed, 2 * (held?.length ?? 0))),
      );
      held?.copy(grown, 0, 0, size);
      held = grown;
    }
    part.copy(held, size);
    size = needed;
  };
  const headOf = (time: string, tag: 'F' | 'P') => Buffer.from(`${time} ${stream} ${tag} `, 'latin1');
  return {
    push(chunk, time) {
      let full: Buffer | undefined;
      let from = 0;
      while (from < chunk.length) {
        const newline = chunk.indexOf(NEWLINE, from);
        const end = newline === -1 ? chunk.length : newline;
        while (size + end - from > MAX_PIECE) {
          const cut = from + MAX_PIECE - size;
          line(headOf(time, 'P'), chunk.subarray(from, cut));
          from = cut;
        }
        if (newline === -1) {
          if (end > from) hold(chunk.subarray(from, end));
        } else {
          full ??= headOf(time, 'F');
          line(full, chunk.subarray(from, end));
        }
        from = end + 1;
      }
    },
    end(time) {
      if (size > 0) line(headOf(time, 'F'), NOTHING);
    },
  };
}

/** Parts of a stored line. */
export interface LogLine {
  time: string;
  full: boolean;
  text: Buffer;
}

/** Undefined for bytes that are no log line (a file cut by a crash). */
export function parseLine(line: Buffer): LogLine | undefined {
  const first = line.indexOf(32);
  if (first <= 0) return undefined;
  const head = line.toString('latin1', 0, first + 10);
  if (!/^ std(out|err) [FP] $/.test(head.slice(first))) return undefined;
  return {
    time: head.slice(0, first),
    full: head[first + 8] === 'F',
    text: line.subarray(first + 10),
  };
}
