import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { Revision, TrafficTarget } from '../../kinds/serving.ts';
import {
  choiceOf,
  percentOf,
  pinned,
  previousOf,
  sharesOf,
  type TrafficFacts,
  withoutTag,
  withShares,
  withTag,
} from './edit.ts';

const revision = (number: number, status: 'True' | 'False' = 'True'): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: {
    name: `web-0000${number}`,
    labels: { 'serving.knative.dev/configurationGeneration': String(number) },
  },
  spec: { containers: [] },
  status: { conditions: [{ type: 'Ready', status, reason: 'R', message: 'because' }] },
});
const REVISIONS = [revision(4, 'False'), revision(3), revision(2), revision(1)];
const facts = (...traffic: TrafficTarget[]): TrafficFacts => ({
  service: 'web',
  revisions: REVISIONS,
  latestReady: 'web-00003',
  traffic,
});
const LATEST: TrafficTarget = { latestRevision: true, percent: 100 };
const to = (number: number, percent: number, tag?: string): TrafficTarget => ({
  revisionName: `web-0000${number}`,
  percent,
  ...(tag ? { tag } : {}),
});
/** `a 90, b 10 tag`, in the order of names: what matters, however the targets are cut. */
const said = (targets: TrafficTarget[]) =>
  targets
    .map(
      ({ revisionName, percent = 0, tag }) =>
        `${revisionName?.slice(-1) ?? 'latest'} ${percent}${tag ? ` ${tag}` : ''}`,
    )
    .sort()
    .join(', ');

const shared: [string, TrafficTarget[], string[], string][] = [
  ['the rest stays with those that have it', [], ['2=10'], '2 10, latest 90'],
  ['all of it to one', [LATEST], ['web-00002'], '2 100'],
  ['several', [LATEST], ['web-00001=30,web-00002=70'], '1 30, 2 70'],
  ['several options', [LATEST], ['1=30', 'latest=70'], '1 30, latest 70'],
  ['one without a number gets the rest', [LATEST], ['00001=30,latest'], '1 30, latest 70'],
  ['back to the latest', [to(2, 100)], ['latest'], 'latest 100'],
  ['the names that kn and Cloud Run use', [to(2, 100)], ['@latest=20%'], '2 80, latest 20'],
  ['the rest in proportion, exact', [to(1, 50), to(2, 25), LATEST], ['latest=1'], '1 66, 2 33, latest 1'],
  ['nothing for one', [to(1, 50), to(2, 50)], ['00001=0'], '2 100'],
  ['tags stay', [to(1, 0, 'old'), LATEST], ['00002=100'], '1 0 old, 2 100'],
  ['a tagged one takes it itself', [to(1, 0, 'old'), LATEST], ['old=5'], '1 5 old, latest 95'],
  ['a tagged one loses it', [to(1, 100, 'old')], ['latest'], '1 0 old, latest 100'],
];
for (const [name, traffic, argv, expected] of shared) {
  test(`--to ${argv.join(' --to ')}: ${name}`, () => {
    const now = facts(...traffic);
    const result = withShares(sharesOf(argv, now), now);
    assert.equal(said(result), expected);
    assert.equal(
      result.reduce((sum, { percent = 0 }) => sum + percent, 0),
      100,
    );
  });
}

const refused: [string, TrafficTarget[], string, string, RegExp][] = [
  ['too much', [], '00001=60,00002=50', 'InvalidArgument', /110 %/],
  ['no number', [], '00001=much', 'InvalidArgument', /percentage/],
  ['over 100', [], '00001=101', 'InvalidArgument', /percentage/],
  ['twice', [], '00001=10,web-00001=20', 'InvalidArgument', /twice/],
  ['nobody for the rest', [to(2, 100)], '00002=10', 'InvalidArgument', /nobody else/],
  ['itself as the latest', [LATEST], '00003=10', 'InvalidArgument', /nobody else/],
  ['unknown', [], 'web-00009', 'NotFound', /no revision or tag "web-00009"/],
  ['failed', [], 'web-00004', 'NotReady', /cannot take requests/],
  ['empty', [], ',', 'InvalidArgument', /names no revision/],
];
for (const [name, traffic, text, code, message] of refused) {
  test(`--to ${text} is refused: ${name}`, () => {
    const now = facts(...traffic);
    assert.throws(
      () => withShares(sharesOf([text], now), now),
      (error) =>
        error instanceof PetrelError &&
        error.code === code &&
        message.test(error.message) &&
        error.fix !== '',
    );
  });
}

test('a wrong name is answered with the one that was meant', () => {
  assert.throws(
    () => choiceOf('web-0001', facts()),
    (error) => error instanceof PetrelError && /did you mean web-00001\?/.test(error.fix),
  );
});

test('a tag is put, moved and taken away; the percentages stay', () => {
  const green = withTag('green', { revisionName: 'web-00002' }, facts());
  assert.equal(said(green), '2 0 green, latest 100');
  const moved = withTag('green', { revisionName: 'web-00001' }, facts(...green));
  assert.equal(said(moved), '1 0 green, latest 100');
  assert.equal(said(withoutTag('green', facts(...moved))), 'latest 100');
  assert.equal(said(withTag('now', { latestRevision: true }, facts())), 'latest 100 now');
  assert.equal(said(withoutTag('now', facts({ ...LATEST, tag: 'now' }))), 'latest 100');
});

test('pinned: what has traffic keeps it, whatever comes', () => {
  assert.equal(said(pinned(facts())), '3 100');
  assert.equal(said(pinned(facts({ ...LATEST, percent: 40 }, to(1, 60)))), '1 60, 3 40');
  assert.equal(
    said(pinned(facts(to(2, 100), { latestRevision: true, tag: 'next' }))),
    '2 100, latest 0 next',
  );
  assert.deepEqual(pinned({ ...facts(), latestReady: undefined }), [LATEST]);
});

test('a rollback goes to the newest ready revision older than the one that serves', () => {
  assert.equal(previousOf(facts()), 'web-00002');
  assert.equal(previousOf(facts(to(2, 90), to(3, 10))), 'web-00001');
  assert.throws(
    () => previousOf(facts(to(1, 100))),
    (error) => error instanceof PetrelError && error.code === 'NotFound' && /oldest/.test(error.why),
  );
});

test('percentages are those of the revisions, whichever way they are named', () => {
  assert.deepEqual(
    [...percentOf(facts({ ...LATEST, percent: 10 }, to(3, 20, 'x'), to(1, 70)))],
    [
      ['web-00003', 30],
      ['web-00001', 70],
    ],
  );
});
