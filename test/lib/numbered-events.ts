/** Records that say which they are, of sizes that differ, and the streams they are in. */
import assert from 'node:assert/strict';
import type { StreamSpec } from '../../src/eventing/model.ts';

const MIB = 1024 * 1024;

export function numberedRecord(number: number): Buffer {
  return Buffer.from(
    `${number} `.padEnd(10 + ((number * 7919) % 2500), String.fromCharCode(97 + (number % 26))),
  );
}

/** Fails where the record is not whole; answers its number. */
export function numberOf(record: Buffer): number {
  const number = Number.parseInt(record.toString('latin1', 0, 12), 10);
  assert.ok(record.equals(numberedRecord(number)), `the record of event ${number} is not what was appended`);
  return number;
}

/** Small segments, so that kills meet new ones. */
export const numberedSpec = (index: number): StreamSpec => ({
  key: `broker/default/b${index}`,
  uid: 'u',
  maxAgeMs: 3_600_000,
  maxBytes: 4 * MIB,
  hardMaxBytes: 4096 * MIB,
  dedupMs: 3_600_000,
  maxEventBytes: MIB,
  ttl: true,
  reportTypes: false,
});
