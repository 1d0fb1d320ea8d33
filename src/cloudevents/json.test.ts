import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../test/lib/random.ts';
import { DEFAULT_LIMITS, InvalidEvent, newEvent } from './event.ts';
import { batchFromJson, batchToJson, fromJson, toJson } from './json.ts';
import { isJsonText, MAX_JSON_DEPTH } from './json-scan.ts';

const HEAD = '"specversion":"1.0","id":"1","source":"/s","type":"t"';
const read = (members: string) => fromJson(Buffer.from(`{${HEAD}${members}}`));
const make = (fields: object) => newEvent({ type: 't', source: '/s', ...fields }, 0, () => '1');

function refused(text: string | Buffer): string {
  try {
    fromJson(Buffer.from(text as string));
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidEvent, String(thrown));
    return thrown.attribute;
  }
  return 'nothing';
}

test('data of JSON stays the bytes that were sent', () => {
  const data = '{ "big": 12345678901234567890, "z":1.0, "a" : "\\u20ac" }';
  const text = Buffer.from(`{${HEAD},"datacontenttype":"application/json","data":  ${data} }`);
  const event = fromJson(text);
  assert.equal(event.data?.toString(), data);
  assert.equal(event.data?.buffer, text.buffer, 'a slice, not a copy');
  assert.ok(toJson(event).includes(data));
});

test('data by its content type: JSON, text, Base64', () => {
  assert.equal(read(',"data":null').data?.toString(), 'null');
  assert.equal(read('').data, undefined);
  assert.equal(read(',"data":"a"').data?.toString(), '"a"');
  assert.equal(read(',"data":"a"').datacontenttype, 'application/json');
  assert.equal(read(',"data":"{\\"a\\":1}","datacontenttype":"text/json"').data?.toString(), '"{\\"a\\":1}"');
  const xml = read(',"data":"<a b=\\"€\\"/>","datacontenttype":"application/xml"');
  assert.equal(xml.data?.toString(), '<a b="€"/>');
  assert.equal(read(',"datacontenttype":"application/xml","data":{"a":1}').data?.toString(), '{"a":1}');
  const bytes = read(',"data_base64":"AAH/"');
  assert.deepEqual([...(bytes.data ?? [])], [0, 1, 255]);
  assert.equal(bytes.datacontenttype, undefined);
  assert.equal(read(',"data_base64":""').data?.length, 0);
  assert.equal(read(',"data_base64":null,"data":1').data?.toString(), '1');
});

test('attributes keep their JSON types, and null is none', () => {
  const event = read(
    ',"n":-5,"yes":true,"no":false,"text":"5","none":null,"subject":null,"esc\\u0061ped":"\\u00e9" ',
  );
  assert.deepEqual(event.extensions, { n: -5, yes: true, no: false, text: '5', escaped: 'é' } as never);
  assert.equal(event.subject, undefined);
});

test('what the format does not allow is refused by name', () => {
  const wrong: [string, string][] = [
    [`{${HEAD},"n":1.5}`, 'n'],
    [`{${HEAD},"n":2147483648}`, 'n'],
    [`{${HEAD},"o":{}}`, 'o'],
    [`{${HEAD},"o":[1]}`, 'o'],
    [`{${HEAD},"subject":5}`, 'subject'],
    [`{${HEAD},"time":5}`, 'time'],
    [`{${HEAD},"datacontenttype":5,"data":1}`, 'datacontenttype'],
    [`{${HEAD},"Upper":""}`, 'Upper'],
    [`{${HEAD},"__proto__":"x"}`, '__proto__'],
    [`{${HEAD},"id":"2"}`, 'id'],
    [`{${HEAD},"x":1,"x":1}`, 'x'],
    [`{${HEAD},"data":1,"data":1}`, 'data'],
    [`{${HEAD},"data":1,"data_base64":""}`, 'data'],
    [`{${HEAD},"data_base64":"a"}`, 'data'],
    [`{${HEAD},"data_base64":"a*=="}`, 'data'],
    [`{${HEAD},"data_base64":5}`, 'data'],
    ['{"specversion":"1.0"}', 'id'],
    ['{}', 'specversion'],
  ];
  for (const [text, name] of wrong) assert.equal(refused(text), name, text);
  const noJson = [
    '',
    ' ',
    '[',
    '{',
    `{${HEAD}`,
    `{${HEAD},}`,
    `{${HEAD}}x`,
    `{${HEAD},"data":01}`,
    `{"a" 1}`,
    '{a:1}',
  ];
  for (const text of [...noJson, '"text"', 'null', `{${HEAD} "x":1}`]) assert.equal(refused(text), '', text);
  assert.equal(refused(Buffer.from([0x7b, 0xff, 0x7d])), '');
  assert.throws(
    () => fromJson(Buffer.from(`{${HEAD},"data_base64":"AAAA"}`), { ...DEFAULT_LIMITS, data: 2 }),
    {
      status: 413,
    },
  );
});

test('data that is not what its content type says cannot break out of the object', () => {
  const event = make({ datacontenttype: 'application/json', data: '1,"id":"forged"' });
  const text = toJson(event);
  assert.equal(JSON.parse(text.toString()).id, '1');
  assert.deepEqual(fromJson(text), event);
  assert.equal(JSON.parse(toJson(make({ datacontenttype: 'text/plain', data: '"}' })).toString()).data, '"}');
});

test('a batch is all or nothing, and says which event is wrong', () => {
  assert.deepEqual(batchFromJson(Buffer.from(' [ ] ')), []);
  assert.equal(batchToJson([]).toString(), '[]');
  const one = `{${HEAD}}`;
  assert.equal(batchFromJson(Buffer.from(`[${one} , ${one}]`)).length, 2);
  for (const text of ['', '[', `[${one}`, `[${one},]`, `[${one}]]`, one, `[${one} ${one}]`, '[,]'])
    assert.throws(() => batchFromJson(Buffer.from(text)), InvalidEvent, text);
  assert.throws(() => batchFromJson(Buffer.from(`[${one},{"specversion":"1.0"}]`)), {
    attribute: 'id',
    message: /^event 1 of the batch/,
  });
  assert.throws(() => batchFromJson(Buffer.from(`[${one},${one},${one}]`), DEFAULT_LIMITS, 2), {
    status: 413,
  });
});

test('the scanner takes exactly what JSON is', () => {
  const bits = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '1',
    '-0.5e+3',
    'true',
    'null',
    ' ',
    '"\\u00e9\\n"',
    '01',
    '"\\x"',
  ];
  const random = seeded(3);
  let valid = 0;
  for (let round = 0; round < 30_000; round++) {
    const text = Array.from(
      { length: 1 + random() * 7 },
      () => bits[Math.floor(random() * bits.length)],
    ).join('');
    let expected = true;
    try {
      JSON.parse(text);
      valid++;
    } catch {
      expected = false;
    }
    assert.equal(isJsonText(Buffer.from(text)), expected, text);
  }
  assert.ok(valid > 1000, 'enough of them were JSON');
  for (const text of [
    '"\t"',
    '"\\u12g4"',
    '"\\',
    '"a',
    '-',
    '1.',
    '1e',
    'tru',
    'truex',
    '\ufeff1',
    '',
    '1 1',
  ])
    assert.ok(!isJsonText(Buffer.from(text)), text);
});

test('nesting is limited, and does not cost a stack', () => {
  const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
  assert.ok(isJsonText(nested(MAX_JSON_DEPTH)));
  assert.ok(!isJsonText(nested(MAX_JSON_DEPTH + 1)));
  assert.ok(!isJsonText(Buffer.from('['.repeat(1_000_000))));
});
