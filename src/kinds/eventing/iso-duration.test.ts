import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIsoDuration } from './iso-duration.ts';

const DAY = 86_400_000;
const cases: [text: string, milliseconds: number | undefined][] = [
  ['PT0.2S', 200],
  ['PT2S', 2000],
  ['PT1M30S', 90_000],
  ['P1DT12H', 1.5 * DAY],
  ['P2W', 14 * DAY],
  ['PT0,5S', 500],
  ['-PT1S', -1000],
  ['+PT1S', 1000],
  ['PT0S', 0],
  ['P1Y', 365.2425 * DAY],
  ['0', 0],
  ['P', undefined],
  ['PT', undefined],
  ['P1', undefined],
  ['1s', undefined],
  ['PT1S ', undefined],
  ['PT1S2M', undefined],
  ['', undefined],
];
for (const [text, milliseconds] of cases)
  test(`${JSON.stringify(text)} as a duration`, () => assert.equal(parseIsoDuration(text), milliseconds));
