// Uses up what the query asks for: `sleep` in ms or as 1.5s, `sleep-stddev` in ms around it, `prime` and `bloat` in MiB.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const UNITS = { ms: 1, s: 1_000, m: 60_000 };

/** Milliseconds; NaN for what is no duration. */
function duration(text) {
  if (/^\d+$/.test(text)) return Number(text);
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  return Number(amount) * (UNITS[unit] ?? Number.NaN);
}

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

async function rest(query) {
  const started = performance.now();
  const spread = Number(query.get('sleep-stddev') ?? 0) * normal();
  await sleep(Math.max(0, duration(query.get('sleep')) + spread));
  return `Slept for ${Math.round(performance.now() - started)}ms.\n`;
}

function prime(limit) {
  const composite = new Uint8Array(limit + 1);
  let largest = 0;
  for (let candidate = 2; candidate <= limit; candidate++) {
    if (composite[candidate]) continue;
    largest = candidate;
    for (let multiple = candidate * candidate; multiple <= limit; multiple += candidate)
      composite[multiple] = 1;
  }
  return largest
    ? `The largest prime up to ${limit} is ${largest}.\n`
    : `There is no prime up to ${limit}.\n`;
}

function bloat(mebibytes) {
  Buffer.alloc(mebibytes * 1024 * 1024, 1);
  return `Allocated ${mebibytes} Mb of memory.\n`;
}

/** Why the query cannot be done; undefined when it can. */
function refusal(query) {
  if (query.has('sleep') && Number.isNaN(duration(query.get('sleep')))) return 'sleep must be a duration';
  const bad = ['sleep-stddev', 'prime', 'bloat'].find(
    (key) => query.has(key) && !/^\d+$/.test(query.get(key)),
  );
  return bad && `${bad} must be a number that is not negative`;
}

const server = createServer(async ({ url }, response) => {
  const query = new URL(url, 'http://localhost').searchParams;
  const why = refusal(query);
  if (why) {
    response.writeHead(400).end(`${why}\n`);
    return;
  }
  const slept = query.has('sleep') ? rest(query) : '';
  if (query.has('prime')) response.write(prime(Number(query.get('prime'))));
  if (query.has('bloat')) response.write(bloat(Number(query.get('bloat'))));
  response.end(await slept);
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
