import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toolchainDirs } from './toolchains.ts';

test('what PATH names below a home is shown with what it needs, and nothing else of that home', () => {
  assert.deepEqual(toolchainDirs('/usr/bin:/home/a/.cargo/bin', '/home/a'), [
    '/home/a/.cargo/bin',
    '/home/a/.rustup',
  ]);
  assert.deepEqual(toolchainDirs('/home/a/.sdkman/candidates/java/current/bin', '/home/a'), [
    '/home/a/.sdkman/candidates',
  ]);
  assert.deepEqual(toolchainDirs('/home/b/.cargo/bin:/home/a/bin:/home/a/.ssh', '/home/a'), []);
  assert.deepEqual(toolchainDirs('/.cargo/bin', '/'), []);
});
