/** One file out of a `multipart/form-data` body, as it comes. Source: RFC 7578, RFC 2046 §5.1. */
import { PetrelError } from '../../base/errors.ts';

/** Longest head of a part, bytes. */
const HEAD_MAX = 16 * 1024;
const CRLF2 = '\r\n\r\n';

const malformed = (what: string): PetrelError =>
  new PetrelError('InvalidArgument', `The body is no multipart form: ${what}.`, {
    fix: 'Send multipart/form-data with the file in the field "uploadfile".',
  });

/** The boundary that a content type names; throws `InvalidArgument`. */
export function boundaryOf(contentType: string | undefined): string {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? '') ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw malformed('it names no boundary');
  return boundary;
}

/** The bytes of the first part whose field is called `field`; other parts are skipped. Memory is bounded by what arrives at once. */
export async function* filePart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
  field: string,
): AsyncGenerator<Buffer> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const name = new RegExp(`^content-disposition:[^\\r\\n]*[;\\s]name="${field}"`, 'im');
  const iterator = source[Symbol.asyncIterator]();
  // The first delimiter has no line before it.
  let rest: Buffer = Buffer.from('\r\n');
  const more = async (): Promise<void> => {
    const { value, done } = await iterator.next();
    if (done) throw malformed('it ends too early');
    rest = Buffer.concat([rest, value]);
  };

  /** What comes before the next delimiter, in pieces. */
  async function* body(): AsyncGenerator<Buffer> {
    for (;;) {
      const at = rest.indexOf(delimiter);
      if (at !== -1) {
        if (at > 0) yield rest.subarray(0, at);
        rest = rest.subarray(at + delimiter.length);
        return;
      }
      const sure = rest.length - delimiter.length;
      if (sure > 0) {
        yield rest.subarray(0, sure);
        rest = rest.subarray(sure);
      }
      await more();
    }
  }

  for await (const preamble of body()) void preamble;
  for (;;) {
    while (rest.length < 2) await more();
    if (rest.subarray(0, 2).toString('latin1') === '--') throw malformed(`it has no field "${field}"`);
    let end = rest.indexOf(CRLF2);
    while (end === -1) {
      if (rest.length > HEAD_MAX) throw malformed('the head of a part is too long');
      await more();
      end = rest.indexOf(CRLF2);
    }
    const head = rest.subarray(0, end).toString('latin1').trim();
    rest = rest.subarray(end + CRLF2.length);
    if (name.test(head)) {
      yield* body();
      return;
    }
    for await (const skipped of body()) void skipped;
  }
}
