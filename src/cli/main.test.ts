import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { COMMANDS } from './commands.ts';
import { main } from './main.ts';

const HOME = mkdtempSync(join(tmpdir(), 'petrel-main-'));
after(() => rmSync(HOME, { recursive: true }));

async function petrel(...argv: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await main(
    argv,
    { PETREL_HOME: HOME },
    { write: (chunk) => (stdout += chunk) },
    { write: (chunk) => (stderr += chunk) },
  );
  return { code, stdout, stderr };
}

test('without arguments and with --help: the commands', async () => {
  for (const argv of [[], ['--help'], ['help']]) {
    const { code, stdout } = await petrel(...argv);
    assert.equal(code, 0);
    for (const { name, summary } of COMMANDS)
      assert.ok(stdout.includes(name) && stdout.includes(summary), name);
  }
});

for (const command of COMMANDS) {
  test(`${command.name} --help: examples, every option`, async () => {
    const { code, stdout } = await petrel(command.name, '--help');
    assert.equal(code, 0);
    assert.ok(stdout.indexOf('Examples') < stdout.indexOf('Usage'));
    for (const option of [...Object.keys(command.options), 'home', 'help'])
      assert.ok(stdout.includes(`--${option}`), option);
    assert.ok(command.examples.length > 0);
    assert.equal((await petrel('help', command.name)).stdout, stdout);
  });
}

test('an unknown command: exit code 2 and what was meant', async () => {
  const { code, stdout, stderr } = await petrel('stauts');
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /^error: there is no command "stauts"\n {2}fix: did you mean petrel status\?\n$/);
});

test('with -o json a failure is JSON on stdout', async () => {
  const { code, stdout, stderr } = await petrel('list', '-o', 'json');
  assert.equal(code, 13);
  assert.equal(stderr, '');
  const { error } = JSON.parse(stdout);
  assert.equal(error.code, 'PlatformNotRunning');
  assert.match(error.fix, /petrel up --detach/);
  assert.equal(
    JSON.parse((await petrel('list', '--nope', '-o', 'json')).stdout).error.code,
    'InvalidArgument',
  );
});

test('status without a platform: all fields, exit code 13; down: nothing to do', async () => {
  const status = await petrel('status', '-o', 'json');
  assert.equal(status.code, 13);
  assert.deepEqual(JSON.parse(status.stdout), {
    ready: false,
    gateway: null,
    api: null,
    home: HOME,
    pid: null,
  });
  const down = await petrel('down', '-o', 'json');
  assert.equal(down.code, 0);
  assert.equal(JSON.parse(down.stdout).stopped, false);
});

test('version in every format', async () => {
  assert.match((await petrel('--version')).stdout, /^petrel \d+\.\d+\.\d+ \(node /);
  assert.equal(JSON.parse((await petrel('version', '-o', 'json')).stdout).node, process.versions.node);
  assert.match((await petrel('version', '-o', 'yaml')).stdout, /^petrel: /);
});
