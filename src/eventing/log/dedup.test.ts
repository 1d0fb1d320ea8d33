import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dedup, DedupMemory, digest, digestIn, MAX_KEYS, writeDigest } from './dedup.ts';

const WINDOW = 60_000;

test('a key is known within the window, with the offset of its first event', () => {
  const dedup = new Dedup(new DedupMemory());
  dedup.add(digest('a'), 7, 1000, WINDOW);
  dedup.add(digest('b'), 0, 2000, WINDOW);
  assert.equal(dedup.find(digest('a'), 1000 + WINDOW, WINDOW), 7);
  assert.equal(dedup.find(digest('b'), 2000, WINDOW), 0);
  assert.equal(dedup.find(digest('a'), 1001 + WINDOW, WINDOW), -1);
  assert.equal(dedup.find(digest('c'), 1000, WINDOW), -1);
  dedup.add(digest('a'), 9, 1001 + WINDOW, WINDOW);
  assert.equal(dedup.find(digest('a'), 1001 + WINDOW, WINDOW), 9);
});

test('a hundred thousand keys are told apart', () => {
  const dedup = new Dedup(new DedupMemory());
  for (let i = 0; i < 100_000; i++) dedup.add(digest(`key ${i}`), i, i, WINDOW * 10);
  for (let i = 0; i < 100_000; i++) assert.equal(dedup.find(digest(`key ${i}`), 100_000, WINDOW * 10), i);
  for (let i = 0; i < 100_000; i++) assert.equal(dedup.find(digest(`other ${i}`), 100_000, WINDOW * 10), -1);
});

test('what has left the window goes, and beyond the bound the oldest', () => {
  const dedup = new Dedup(new DedupMemory());
  for (let i = 0; i < 1000; i++) dedup.add(digest(`${i}`), i, i, 1000);
  for (let i = 0; i < 2000; i++) dedup.add(digest(`${i}`), i, 1_000_000 + i, 1000);
  assert.equal(dedup.size, 2000);
  const busy = new Dedup(new DedupMemory());
  const count = MAX_KEYS + 100_000;
  for (let i = 0; i < count; i++) busy.add(digest(`${i}`), i, 0, 1000);
  assert.ok(busy.size <= MAX_KEYS);
  assert.equal(busy.find(digest(`${count - 1}`), 0, 1000), count - 1);
  assert.equal(busy.find(digest('0'), 0, 1000), -1);
});

test('a busy stream takes the memory of those that were busy before', () => {
  const memory = new DedupMemory(400_000);
  const [quiet, busy] = [new Dedup(memory), new Dedup(memory)];
  for (let i = 0; i < 50_000; i++) quiet.add(digest(`${i}`), i, 0, 1000);
  assert.ok(quiet.size > 0);
  for (let i = 0; i < 300_000; i++) busy.add(digest(`${i}`), i, 0, 1000);
  assert.equal(quiet.size, 0);
  assert.ok(busy.size > 200_000 && busy.size <= 400_000);
  assert.equal(busy.find(digest('299999'), 0, 1000), 299_999);
  busy.clear();
  for (let i = 0; i < 20_000; i++) quiet.add(digest(`q${i}`), i, 0, 1000);
  assert.ok(quiet.size >= 16_000, `${quiet.size} keys`);
});

test('a digest goes to bytes and back', () => {
  const buffer = Buffer.alloc(20);
  writeDigest(digest('x'), buffer, 2);
  assert.deepEqual([...digestIn(buffer, 2)], [...digest('x')]);
});
