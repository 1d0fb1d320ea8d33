/** Bodies inside JSON documents. */

const strict = new TextDecoder('utf-8', { fatal: true });

/** A body as fields of a JSON object: `body` as text when it is UTF-8, else `bodyBase64`. */
export function bodyAsJson(body: Uint8Array): { body: string } | { bodyBase64: string } {
  try {
    return { body: strict.decode(body) };
  } catch {
    return { bodyBase64: Buffer.from(body).toString('base64') };
  }
}
