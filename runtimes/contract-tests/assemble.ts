/** WebAssembly modules for tests, assembled by hand: no compiler is needed, and no binary is kept. */

const leb = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]);
const name = (text: string): number[] => [...leb(text.length), ...Buffer.from(text)];
const vector = (items: number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, items: number[][]): number[] => {
  const body = vector(items);
  return [id, ...leb(body.length), ...body];
};
/** Signed, for constants. */
const i32 = (value: number): number[] => {
  const bytes = [0x41];
  for (let rest = value; ; rest >>= 7) {
    const last = (rest >= -64 && rest < 64) as boolean;
    bytes.push((rest & 127) | (last ? 0 : 128));
    if (last) return bytes;
  }
};
const DROP = 0x1a;
export const LOOP = [0x03, 0x40];
export const AGAIN = [0x0c, 0x00];
export const END = 0x0b;
/** Functions that a module imports; all take four numbers and give one. */
export const call = (index: number, ...numbers: number[]) => [...numbers.flatMap(i32), 0x10, index, DROP];

export interface Assembly {
  imports?: [from: string, what: string][];
  code: number[];
  data?: [at: number, bytes: number[]][];
  start?: string;
  memory?: string;
}

export function assemble({
  imports = [],
  code,
  data = [],
  start = '_start',
  memory = 'memory',
}: Assembly): Uint8Array {
  const body = [0x00, ...code, END];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [
      [0x60, 0x00, 0x00],
      [0x60, 0x04, 0x7f, 0x7f, 0x7f, 0x7f, 0x01, 0x7f],
    ]),
    ...section(
      2,
      imports.map(([from, what]) => [...name(from), ...name(what), 0x00, 0x01]),
    ),
    ...section(3, [[0x00]]),
    ...section(5, [[0x00, 0x02]]),
    ...section(7, [
      [...name(memory), 0x02, 0x00],
      [...name(start), 0x00, ...leb(imports.length)],
    ]),
    ...section(10, [[...leb(body.length), ...body]]),
    ...section(
      11,
      data.map(([at, bytes]) => [0x00, ...i32(at), END, ...leb(bytes.length), ...bytes]),
    ),
  ]);
}

export const u32 = (...values: number[]) => [...new Uint8Array(Uint32Array.from(values).buffer)];
export const WASI = 'wasi_snapshot_preview1';
export const write: [string, string] = [WASI, 'fd_write'];
/** One more than what stands at address 0, written as a character. */
export const counter: Assembly = {
  imports: [write],
  code: [...i32(0), ...i32(0), 0x2d, 0, 0, ...i32(1), 0x6a, 0x3a, 0, 0, ...call(0, 1, 16, 1, 24)],
  data: [
    [0, [0x30]],
    [16, u32(0, 1)],
  ],
};
