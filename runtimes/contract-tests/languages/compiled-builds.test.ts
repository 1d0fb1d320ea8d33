/** What the builds of the compiled runtimes promise besides what they make: frozen locks, the same bytes again, words about what is missing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { BuildError, build, type Files, forgetBuilds, olderThan, withoutProgram } from '../instance.ts';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-builds-'));
after(() => {
  forgetBuilds();
  fs.rmSync(scratch, { recursive: true, force: true });
});

function sourceOf(files: Files): string {
  const dir = fs.mkdtempSync(path.join(scratch, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), content);
  }
  return dir;
}

const made = (runtime: string, files: Files) => build(runtime, sourceOf(files), files);

function digestOf(dir: string): string {
  const hash = createHash('sha256');
  for (const name of fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort())
    if (fs.statSync(path.join(dir, name)).isFile())
      hash.update(name).update(fs.readFileSync(path.join(dir, name)));
  return hash.digest('hex');
}

const sources: Record<
  string,
  { program: string; missing?: string | undefined; files: Files; stale?: { files: Files; says: RegExp } }
> = {
  go: {
    program: 'go',
    missing: olderThan('1.22', 'go', 'version'),
    files: {
      'fn.go':
        'package function\n\nimport "net/http"\n\nfunc Handle(w http.ResponseWriter, r *http.Request) { panic("x") }\n',
    },
    stale: {
      files: {
        'go.mod': 'module example.com/fn\n\ngo 1.22\n\nrequire rsc.io/quote v1.5.2\n',
        'go.sum': '',
        'fn.go':
          'package fn\n\nimport (\n\t"net/http"\n\n\t"rsc.io/quote"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) { w.Write([]byte(quote.Hello())) }\n',
      },
      says: /missing go\.sum entry/,
    },
  },
  rust: {
    program: 'cargo',
    missing: olderThan('1.80', 'cargo', '--version'),
    files: { 'fn.rs': 'pub fn handle(_: petrel::Request) -> petrel::Response { panic!("x") }\n' },
    stale: {
      files: {
        'Cargo.toml': '[package]\nname = "fn"\nversion = "0.2.0"\nedition = "2021"\n',
        'Cargo.lock': 'version = 3\n\n[[package]]\nname = "fn"\nversion = "0.1.0"\n',
        'src/lib.rs': 'pub fn handle(_: petrel::Request) {}\n',
      },
      says: /lock file .* --locked was passed/,
    },
  },
  java: {
    program: 'javac',
    files: {
      'Fn.java': 'public class Fn {\n  public static String handle(String text) { return text; }\n}\n',
    },
  },
};

for (const [runtime, { program, missing, files, stale }] of Object.entries(sources)) {
  describe(`${runtime}: builds`, { skip: withoutProgram(program) ?? missing ?? false }, () => {
    test('the same source makes the same bytes, with no path of the machine in them', () => {
      const first = made(runtime, files);
      const digest = digestOf(first);
      forgetBuilds(); // removes the first
      const second = made(runtime, files);
      assert.equal(digestOf(second), digest);
      for (const name of fs.readdirSync(second, { recursive: true, encoding: 'utf8' })) {
        const file = path.join(second, name);
        if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes(os.tmpdir()), name);
      }
    });

    test('a lock file that does not match fails the build in the words of the tool', {
      skip: stale === undefined && 'Maven and javac know no lock file',
    }, () => {
      assert.throws(
        () => made(runtime, stale!.files),
        (error) => error instanceof BuildError && stale!.says.test(error.log),
      );
    });

    test('a tool that is not installed is named, with how to get it', () => {
      const script = path.join(import.meta.dirname, '../..', runtime, 'build.cjs');
      const output = fs.mkdtempSync(path.join(scratch, 'output-'));
      const env = {
        PATH: '/nowhere',
        HOME: scratch,
        PETREL_OUTPUT: output,
        PETREL_CACHE: path.join(scratch, 'cache'),
      };
      const done = spawnSync(process.execPath, [script], { cwd: sourceOf(files), env, encoding: 'utf8' });
      assert.equal(done.status, 1);
      assert.match(done.stderr, new RegExp(`^${program} was not found: install .*apt install`, 'm'));
    });
  });
}

test('java: instances take the supervisor from the archive of classes, and a second preparation leaves it', {
  skip: withoutProgram('java', 'javac') ?? false,
}, () => {
  const output = path.join(scratch, 'prepared');
  const runtime = path.join(import.meta.dirname, '../../java');
  const prepare = () =>
    spawnSync(process.execPath, [path.join(runtime, 'prepare.cjs')], {
      env: { PATH: process.env.PATH, HOME: scratch, PETREL_OUTPUT: output },
      encoding: 'utf8',
    });
  const first = prepare();
  assert.equal(first.status, 0, first.stderr);
  const archive = path.join(output, 'current/supervisor.jsa');
  const { ino } = fs.statSync(archive);
  assert.equal(prepare().status, 0);
  assert.equal(fs.statSync(archive).ino, ino);

  // Without a socket it ends at once; by then its class is loaded.
  const real = fs.realpathSync(path.join(output, 'current'));
  const flags = [`-XX:SharedArchiveFile=${real}/supervisor.jsa`, '-XX:+UseSerialGC', '-Xlog:class+load'];
  const { stdout } = spawnSync('java', [...flags, '-cp', `${real}/supervisor.jar`, 'petrel.Supervisor'], {
    env: { PATH: process.env.PATH },
    encoding: 'utf8',
  });
  assert.match(stdout, /petrel\.Supervisor source: shared objects file \(top\)/);
});
