/** The line format of container logs: `<RFC 3339 time> stdout|stderr F|P <text>`. Source: CRI logging, kubelet `logs.go`. */

export type StreamName = 'stdout' | 'stderr';

/** A line without a newline is written in pieces of this size, each but the last marked P. */
export const MAX_PIECE = 16 * 1024;
const NEWLINE = 10;

/** Cuts a stream of bytes into log lines. One per stream of a container; keeps at most one unfinished piece. */
export interface LineCutter {
  /** Complete lines, formatted, or an empty string. */
  push(chunk: Buffer, time: string): Buffer[];
  /** What is left when the stream has ended. */
  end(time: string): Buffer[];
}

export function createLineCutter(stream: StreamName): LineCutter {
  let rest: Buffer[] = [];
  let held = 0;
  const piece = (time: string, tag: 'F' | 'P', parts: Buffer[]) =>
    Buffer.concat([Buffer.from(`${time} ${stream} ${tag} `), ...parts, Buffer.from('\n')]);
  return {
    push(chunk, time) {
      const lines: Buffer[] = [];
      let from = 0;
      while (from < chunk.length) {
        const newline = chunk.indexOf(NEWLINE, from);
        const end = newline === -1 ? chunk.length : newline;
        let part = chunk.subarray(from, end);
        while (held + part.length > MAX_PIECE) {
          const take = MAX_PIECE - held;
          lines.push(piece(time, 'P', [...rest, part.subarray(0, take)]));
          part = part.subarray(take);
          rest = [];
          held = 0;
        }
        if (newline === -1) {
          // A copy: the chunk belongs to the stream and is large.
          if (part.length > 0) rest.push(Buffer.from(part));
          held += part.length;
        } else {
          lines.push(piece(time, 'F', [...rest, part]));
          rest = [];
          held = 0;
        }
        from = end + 1;
      }
      return lines;
    },
    end(time) {
      if (held === 0) return [];
      const line = piece(time, 'F', rest);
      rest = [];
      held = 0;
      return [line];
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
  const head = line.subarray(first + 1, first + 10).toString('latin1');
  if (!/^std(out|err) [FP] $/.test(head)) return undefined;
  return {
    time: line.subarray(0, first).toString('latin1'),
    full: head[7] === 'F',
    text: line.subarray(first + 10),
  };
}
