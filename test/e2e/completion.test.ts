/** Completion as a shell does it: the real scripts in real shells, names from a platform. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, type TestContext, test } from 'node:test';
import { Petrel, ROOT, Scratch } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));

before(async () => {
  await petrel.up();
  scratch.write({
    'greeter.mjs': "export default () => new Response('hello');",
    'src/one.ts': '',
    'notes.txt': '',
    'db.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: secret}\n',
  });
  await petrel.deploy(scratch.path('greeter.mjs'));
  await petrel.json(['deploy', scratch.path('db.yaml')]);
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

/** Runs a shell with `petrel` in its PATH, in the scratch folder. */
function shell(t: TestContext, command: string, args: string[], env: Record<string, string> = {}) {
  const done = spawnSync(command, args, {
    cwd: scratch.dir,
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, PATH: `${ROOT}:${process.env.PATH}`, PETREL_HOME: petrel.home, ...env },
  });
  if ((done.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    t.skip(`${command} is not installed`);
    return undefined;
  }
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.split('\n').filter((line) => line !== '');
}

const CASES: readonly [line: string, expected: string[]][] = [
  ['petrel dep', ['deploy']],
  ['petrel dev --tes', ['--test', '--test-command']],
  ['petrel invoke gr', ['greeter']],
  ['petrel rollback greeter --to ', ['greeter-00001']],
  ['petrel deploy -o y', ['yaml']],
  ['petrel traffic greeter --to ', ['greeter-00001']],
  ['petrel deploy --env-from secret/d', ['secret/db']],
  ['petrel deploy no', ['notes.txt']],
  ['petrel init --template pyt', ['python']],
  ['petrel invoke nobody', []],
];

test('bash', (t) => {
  for (const [line, expected] of CASES) {
    const script = `source <(petrel completion bash); COMP_LINE=$LINE; COMP_POINT=${'$'}{#LINE}; _petrel; printf '%s\\n' "${'$'}{COMPREPLY[@]}"`;
    const said = shell(t, 'bash', ['-c', script], { LINE: line });
    if (said === undefined) return;
    assert.deepEqual(said.sort(), expected, line);
  }
  const script = `source <(petrel completion bash); COMP_LINE=$LINE; COMP_POINT=${'$'}{#LINE}; _petrel; printf '%s\\n' "${'$'}{COMPREPLY[@]}"`;
  // readline takes what stands before = as a word of its own.
  assert.deepEqual(shell(t, 'bash', ['-c', script], { LINE: 'petrel deploy --runtime=pyt' }), ['python']);
});

test('fish', (t) => {
  for (const [line, expected] of CASES) {
    const said = shell(t, 'fish', ['-c', 'petrel completion fish | source; complete -C "$LINE"'], {
      LINE: line,
    });
    if (said === undefined) return;
    assert.deepEqual(said.map((one) => one.split('\t')[0]).sort(), expected, line);
  }
});

test('zsh', (t) => {
  // What would be shown is only known inside of the line editor: its function is asked what it hands over.
  const script = `autoload -Uz compinit; compinit -u -d "$PETREL_HOME/zcompdump"
    source <(petrel completion zsh)
    _describe() { print -l -- "${'$'}{(@P)2}"; }; _files() { print -- :files; }
    words=(${'$'}{(z)LINE}); [[ $LINE == *' ' ]] && words+=(''); CURRENT=${'$'}{#words}; _petrel`;
  for (const [line, expected] of CASES) {
    const said = shell(t, 'zsh', ['-f', '-c', script], { LINE: line });
    if (said === undefined) return;
    const wanted = expected[0] === 'notes.txt' ? [':files'] : expected;
    assert.deepEqual(said.map((one) => one.replace(/(.):.*/s, '$1')).sort(), wanted, line);
  }
});

test('a platform that does not run costs nothing but names', (t) => {
  const said = shell(t, 'bash', ['-c', 'petrel __complete invoke ""'], {
    PETREL_HOME: scratch.path('nobody'),
  });
  assert.deepEqual(said, [':none']);
});
