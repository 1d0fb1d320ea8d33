import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Field, Fields } from './fields.ts';

const FIELDS: Record<string, () => Promise<{ FIELDS: Fields }>> = {
  'kafka source': () => import('../sources/kafka/config.ts'),
  'nats source': () => import('../sources/nats/source.ts'),
  'redis source': () => import('../sources/redis/config.ts'),
  'rabbitmq source': () => import('../sources/rabbitmq/source.ts'),
  'mqtt source': () => import('../sources/mqtt/source.ts'),
  'postgresql source': () => import('../sources/postgresql/config.ts'),
  's3 source': () => import('../sources/s3/source.ts'),
  'kafka sink': () => import('../sinks/kafka.ts'),
  'nats sink': () => import('../sinks/nats.ts'),
  'redis sink': () => import('../sinks/redis.ts'),
  'rabbitmq sink': () => import('../sinks/rabbitmq.ts'),
  'mqtt sink': () => import('../sinks/mqtt.ts'),
  'postgresql sink': () => import('../sinks/postgresql.ts'),
  's3 sink': () => import('../sinks/s3.ts'),
};

/** The line of a field in the table of its page; its default is where it belongs. */
function linesOf(name: string, field: Field): string[] {
  if (field.is === 'group')
    return [
      `| \`${name}\` | ${field.what}${field.required ? ' (required)' : ''} |`,
      ...Object.entries(field.fields).flatMap(([inner, one]) => linesOf(`${name}.${inner}`, one)),
    ];
  const value = 'default' in field ? field.default : undefined;
  const plain = value === undefined || value === '' || Array.isArray(value);
  const last = field.required ? 'required' : plain ? '' : `\`${value}\``;
  return [`| \`${name}\` | ${field.what}`, ...(last === '' ? [] : [`| ${last} |`])];
}

for (const [what, load] of Object.entries(FIELDS))
  test(`the page tells every field of the ${what} as it is`, async () => {
    const page = readFileSync(
      new URL(`../../../docs/sources/${what.split(' ')[0]}.md`, import.meta.url),
      'utf8',
    );
    const lines = page.split('\n');
    for (const [name, field] of Object.entries((await load()).FIELDS)) {
      const [start = '', ...rest] = linesOf(name, field);
      const found = lines.filter((line) => line.startsWith(start));
      assert.ok(found.length > 0, `there is no line that begins with ${start}`);
      if (field.is !== 'group')
        assert.ok(
          found.some((line) => rest.every((end) => line.endsWith(end))),
          `${start} has another default`,
        );
      else for (const line of rest) assert.ok(page.includes(line), `there is no ${line}`);
    }
  });
