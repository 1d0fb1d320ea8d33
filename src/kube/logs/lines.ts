/** Bytes into lines; a line without an end is given out in pieces. */

/** Characters of a line that are held at most. */
const MAX_LINE = 256 * 1024;

/** `[text, begins]`: `begins` is false for a piece that continues the line before. */
export type LinePiece = readonly [text: string, begins: boolean];

export class LineDecoder {
  readonly #decoder = new TextDecoder();
  #rest = '';
  #begins = true;

  push(chunk: Uint8Array): LinePiece[] {
    return this.#cut(this.#decoder.decode(chunk, { stream: true }));
  }

  /** What has no end of line. */
  end(): LinePiece[] {
    const pieces = this.#cut(this.#decoder.decode());
    if (this.#rest !== '') pieces.push([this.#rest, this.#begins]);
    this.#rest = '';
    return pieces;
  }

  #cut(text: string): LinePiece[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    const pieces = lines.map((line): LinePiece => {
      const begins = this.#begins;
      this.#begins = true;
      return [line, begins];
    });
    if (this.#rest.length > MAX_LINE) {
      pieces.push([this.#rest, this.#begins]);
      this.#rest = '';
      this.#begins = false;
    }
    return pieces;
  }
}
