/** A reporter for node:test that writes one JSON object: how many tests passed and failed, and which were skipped why. */

export interface Tally {
  passed: number;
  failed: number;
  skipped: { name: string; reason: string }[];
}

interface TestEvent {
  type: string;
  data: { name: string; details?: { type?: string }; skip?: boolean | string; todo?: boolean | string };
}

export default async function* tally(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const result: Tally = { passed: 0, failed: 0, skipped: [] };
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details?.type === 'suite') continue;
    const left = data.skip || data.todo;
    if (left)
      result.skipped.push({ name: data.name, reason: typeof left === 'string' ? left : 'no reason given' });
    else if (type === 'test:pass') result.passed++;
    else result.failed++;
  }
  yield JSON.stringify(result);
}
