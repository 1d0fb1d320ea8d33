// @ts-check
'use strict';
/**
 * Makes ready what every generic instance starts from: the supervisor's jar, and an archive of its classes as the JVM has them in memory
 * (AppCDS). Once for a JDK and a version of the sources. PETREL_OUTPUT is the directory; what is there and still good stays.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { compile, digest, run } = require('./compile.cjs');

const output = process.env.PETREL_OUTPUT ?? '';
if (output === '') {
  process.stderr.write('PETREL_OUTPUT is not set: the platform runs this\n');
  process.exit(1);
}
// Whoever an instance runs as may read it.
process.umask(0o022);
const key = digest();
// Each version has a directory of its own: the archive names its jar by path, and JVMs that run go on with the old ones.
const dir = path.join(output, key);
if (fs.existsSync(path.join(dir, 'supervisor.jsa'))) process.exit(0);

fs.rmSync(dir, { recursive: true, force: true });
fs.mkdirSync(dir, { recursive: true });
const problem = compile(dir);
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
const archive = path.join(dir, 'supervisor.jsa');
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-train-'));
const own = fs.readFileSync(path.join(dir, 'options'), 'utf8').trim();
const trained = run('java', [
  ...(own === '' ? [] : own.split(' ')),
  `-XX:ArchiveClassesAtExit=${archive}`,
  '-XX:+UseSerialGC',
  `-Djava.io.tmpdir=${scratch}`,
  '-Xlog:disable',
  '-Xlog:all=error:stderr',
  '-cp',
  path.join(dir, 'supervisor.jar'),
  'petrel.Supervisor',
  '--train',
]);
fs.rmSync(scratch, { recursive: true, force: true });
// Without the archive everything works, only slower.
if (trained.status !== 0 || !fs.existsSync(archive))
  process.stderr.write(`no archive of classes: ${trained.output}\n`);
else fs.chmodSync(archive, 0o644);
const link = path.join(output, 'current');
fs.rmSync(`${link}.new`, { force: true });
fs.symlinkSync(key, `${link}.new`);
fs.renameSync(`${link}.new`, link);
for (const name of fs.readdirSync(output))
  if (name !== key && name !== 'current')
    fs.rmSync(path.join(output, name), { recursive: true, force: true });
