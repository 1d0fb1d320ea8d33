import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../../object.ts';
import { FUNCTION_STRATEGY } from '../petrel.ts';
import { context, denied, image, object, service } from './testing.ts';

const P = 'autoscaling.petrel.dev';
const own = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${P}/${name}`, value]));
const window = (fields: object) =>
  JSON.stringify([{ schedule: '0 8 * * mon-fri', duration: '10h', minScale: 2, ...fields }]);
const prometheus = {
  'metric-source': 'prometheus',
  'metric-server': 'http://p:9090',
  'metric-query': 'up',
  'metric-target': '50',
};

const template = (annotations: object): UntypedObject => {
  const made = service(image);
  made.spec.template.metadata = { annotations };
  return made;
};
const configuration = (annotations: object): UntypedObject =>
  object('Configuration', { template: template(annotations).spec.template });
const revision = (annotations: object): UntypedObject =>
  object('Revision', structuredClone(template({}).spec.template.spec), { annotations });
const fn = (annotations: Record<string, string>): string =>
  FUNCTION_STRATEGY.deny?.(
    { apiVersion: 'petrel.dev/v1', kind: 'Function', metadata: { name: 'f', annotations }, spec: {} },
    undefined,
    context,
  ) ?? '';

/** Where such annotations are written, and how they are refused there. */
const PLACES: [place: string, path: string, refuse: (annotations: Record<string, string>) => string][] = [
  ['Service', 'metadata.annotations', (annotations) => denied('services', service(image, { annotations }))],
  ['template', 'spec.template.metadata.annotations', (given) => denied('services', template(given))],
  [
    'Configuration',
    'spec.template.metadata.annotations',
    (given) => denied('configurations', configuration(given)),
  ],
  ['Revision', 'metadata.annotations', (given) => denied('revisions', revision(given))],
  ['Function', 'metadata.annotations', (given) => fn(given).replace('validation failed: ', '')],
];

test('values that can be understood are taken everywhere', () => {
  const right: Record<string, string>[] = [
    { schedule: '[]' },
    { schedule: window({ timezone: 'Europe/Berlin', maxScale: 20 }) },
    { 'keep-alive': '0' },
    { 'keep-alive': '1h30m' },
    prometheus,
    { 'metric-source': 'queue-lag', 'metric-target': '0.5' },
  ];
  for (const [place, , refuse] of PLACES)
    for (const values of right) assert.equal(refuse(own(values)), '', `${place} ${JSON.stringify(values)}`);
});

test('values that cannot be understood are refused with path, reason and an example', () => {
  const wrong: [values: Record<string, string>, at: string, why: RegExp][] = [
    [{ schedule: '{' }, 'schedule', /^not JSON/],
    [{ schedule: '{}' }, 'schedule', /^must be a list of windows/],
    [{ schedule: '[1]' }, 'schedule[0]', /^must be an object/],
    [{ schedule: window({ schedule: '* *' }) }, 'schedule[0]', /2 fields instead of 5/],
    [{ schedule: window({ schedule: '61 * * * *' }) }, 'schedule[0]', /"61" is no minute from 0 to 59/],
    [{ schedule: window({ timezone: 'Mars/Olympus' }) }, 'schedule[0]', /no time zone "Mars\/Olympus"/],
    [{ schedule: window({ duration: '1s' }) }, 'schedule[0]', /duration must be a time from 1m to 744h/],
    [{ schedule: window({ minScale: -1 }) }, 'schedule[0]', /minScale must be a whole number/],
    [{ schedule: window({ maxScale: 1 }) }, 'schedule[0]', /minScale is larger than maxScale/],
    [{ schedule: window({ min: 1 }) }, 'schedule[0]', /unknown field "min"/],
    [{ 'keep-alive': 'x' }, 'keep-alive', /^invalid value: x/],
    [{ 'keep-alive': '-1s' }, 'keep-alive', /^invalid value: -1s/],
    [{ ...prometheus, 'metric-source': ' ' }, 'metric-source', /must name a source/],
    [{ ...prometheus, 'metric-server': 'file:///etc/passwd' }, 'metric-server', /URL of http/],
    [{ ...prometheus, 'metric-query': '' }, 'metric-query', /query of up to 4096/],
    [{ ...prometheus, 'metric-target': '0' }, 'metric-target', /number above 0/],
    [{ ...prometheus, 'metric-target': 'many' }, 'metric-target', /number above 0/],
  ];
  for (const [place, path, refuse] of PLACES) {
    for (const [values, at, why] of wrong) {
      const told = refuse(own(values));
      assert.match(told, why, place);
      assert.ok(told.includes(`: ${path}.${P}/${at}\nfor example: `), `${place}: ${told}`);
    }
  }
});

test('a metric of which something is missing is refused where all of it is known', () => {
  const incomplete: [values: Record<string, string>, at: string][] = [
    [{ 'metric-target': '5' }, 'metric-source'],
    [{ 'metric-source': 'queue-lag' }, 'metric-target'],
    [{ 'metric-source': 'prometheus', 'metric-target': '5' }, 'metric-server'],
    [{ 'metric-source': 'prometheus', 'metric-target': '5', 'metric-server': 'http://p' }, 'metric-query'],
  ];
  for (const [place, path, refuse] of PLACES.filter(([name]) => name !== 'Revision')) {
    for (const [values, at] of incomplete) {
      assert.ok(refuse(own(values)).includes(`: ${path}.${P}/${at}\nfor example: `), `${place} ${at}`);
    }
  }
});

test('what is missing in the template may stand on the Service', () => {
  const { 'metric-target': target, ...rest } = prometheus;
  const both = template(own(rest));
  both.metadata.annotations = own({ 'metric-target': target });
  assert.equal(denied('services', both), '');
  const owned = configuration(own(rest));
  owned.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'Service', name: 'hello', uid: 'u' }];
  owned.metadata.labels = { 'serving.knative.dev/service': 'hello' };
  assert.equal(denied('configurations', owned), '', 'the copy of half of it');
  assert.equal(denied('revisions', revision(own(rest))), '', 'what is made from it');
});

test('names that mean nothing are refused with those that would', () => {
  for (const [place, path, refuse] of PLACES) {
    const told = refuse(own({ 'metric-sorce': 'x' }));
    assert.ok(
      told.startsWith(`invalid key name "${P}/metric-sorce": ${path}\nthere are: `),
      `${place}: ${told}`,
    );
    if (place === 'Service') continue;
    assert.match(
      refuse(own({ 'min-scale': '1' })),
      /for one revision it is "autoscaling\.knative\.dev\/min-scale"/,
    );
  }
});

test("what Knative refuses in a template is refused on a Function, not by its Service's creation", () => {
  assert.equal(
    fn({ 'autoscaling.knative.dev/target': 'x' }),
    'validation failed: invalid value: x: metadata.annotations.autoscaling.knative.dev/target',
  );
  assert.equal(fn({ 'autoscaling.knative.dev/target': '5', 'other/target': 'x' }), '');
});
