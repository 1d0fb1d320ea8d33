/**
 * Regular expressions that others wrote, run on values that strangers send: only those that match in time linear in
 * the value. V8's second engine does that and refuses what it cannot (look-around, back-references, large repetitions).
 */
import { setFlagsFromString } from 'node:v8';

let ready = false;

/** A pattern that has to match the whole value. Throws a SyntaxError for one that is malformed or not linear. */
export function linearPattern(source: string): RegExp {
  if (!ready) {
    setFlagsFromString('--enable-experimental-regexp-engine');
    ready = true;
  }
  return new RegExp(`^(?:${source})$`, 'l');
}
