/** Character classes of RFC 9110 §5.6 and RFC 9112 as tables: one load per byte instead of comparisons. */

function table(test: (byte: number) => boolean): Uint8Array {
  const out = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) out[byte] = test(byte) ? 1 : 0;
  return out;
}

const TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** tchar: methods and field names. */
export const TOKEN: Uint8Array = table((b) => b < 128 && TOKEN_CHARS.includes(String.fromCharCode(b)));

/** field-vchar, SP, HTAB and obs-text: everything a field value may hold. */
export const VALUE: Uint8Array = table((b) => b === 9 || (b >= 32 && b !== 127));

/** A request target: no space, no control, no fragment. Bytes above 127 pass as they are: clients send raw UTF-8. */
export const TARGET: Uint8Array = table((b) => b > 32 && b !== 127 && b !== 35);

/** reg-name, IPv4, bracketed IPv6 and port. */
export const HOST: Uint8Array = table(
  (b) => b < 128 && /[A-Za-z0-9\-._~!$&'()*+,;=%:[\]]/.test(String.fromCharCode(b)),
);

/** Value of a hexadecimal digit, 255 for anything else. */
export const HEX: Uint8Array = (() => {
  const out = new Uint8Array(256).fill(255);
  for (let i = 0; i < 16; i++) {
    out[i.toString(16).charCodeAt(0)] = i;
    out[i.toString(16).toUpperCase().charCodeAt(0)] = i;
  }
  return out;
})();

/** ASCII lower case; other bytes map to themselves. */
export const LOWER: Uint8Array = (() => {
  const out = new Uint8Array(256);
  for (let b = 0; b < 256; b++) out[b] = b >= 65 && b <= 90 ? b + 32 : b;
  return out;
})();

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;
