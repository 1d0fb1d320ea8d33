/** The examples of events, typed as their READMEs say: `sh` blocks are run, what `console` blocks show must come true. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, Petrel, ROOT, Scratch, type Status } from '../lib/platform.ts';

const EXAMPLES = join(ROOT, 'examples/events');
const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

/** Runs lines of a shell in the checkout, with `petrel` found and the gateway where it is. */
function shell(text: string): Promise<{ code: number | null; said: string }> {
  const child = spawn('bash', ['-euc', text.replaceAll('127.0.0.1:8080', platform.gateway)], {
    cwd: ROOT,
    env: { ...process.env, PETREL_HOME: petrel.home, PATH: `${ROOT}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
    });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, said })));
}

const blocks = (markdown: string): [language: string, text: string][] =>
  [...markdown.matchAll(/^```(sh|console)\n(.*?)^```/gms)].map(([, language = '', text = '']) => [
    language,
    text,
  ]);

/** Each command of a `console` block with what it prints. */
const commands = (text: string): [command: string, output: string][] =>
  text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...output] = part.split('\n');
      return [command, output.join('\n').trim()];
    });

const examples = readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory());

test('there are examples', () => assert.ok(examples.length >= 6));

for (const { name } of examples)
  test(`${name} does what its README says`, async () => {
    for (const [language, text] of blocks(readFileSync(join(EXAMPLES, name, 'README.md'), 'utf8'))) {
      if (language === 'sh') {
        const { code, said } = await shell(text);
        assert.equal(code, 0, `${text}\n${said}${petrel.log()}`);
        continue;
      }
      for (const [command, output] of commands(text)) {
        let last = '';
        await eventually(`${command}: ${output}`, async () => {
          last = (await shell(command)).said.trim();
          if (last !== output) throw new Error(last);
          return true;
        });
      }
    }
  });
