/** What others need for the same: time from spawn to the first answer of a hello function, one fresh process each. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY, spawnToFirstAnswer } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const run = promisify(execFile);
const OUT = path.resolve(import.meta.dirname, '../out/peers');
const ROUNDS = 9;
const PORT = 18_765;

interface Peer {
  name: string;
  /** npm packages that bring it; none for what is here already. */
  packages: string[];
  files: Record<string, string>;
  command: () => [string, string[]];
}

const bin = (name: string) => path.join(OUT, 'node_modules/.bin', name);
const PEERS: Peer[] = [
  {
    name: 'bare node:http',
    packages: [],
    files: {
      'bare.mjs': `import http from 'node:http';\nhttp.createServer((q, s) => s.end('hello')).listen(process.env.PORT);\n`,
    },
    command: () => [process.execPath, [path.join(OUT, 'bare.mjs')]],
  },
  {
    name: '@google-cloud/functions-framework',
    packages: ['@google-cloud/functions-framework@5.0.5'],
    files: { 'index.js': `exports.hello = (request, response) => response.send('hello');\n` },
    command: () => [process.execPath, [bin('functions-framework'), `--source=${OUT}`, '--target=hello']],
  },
  {
    name: 'workerd',
    packages: ['workerd@1.20261117.1'],
    files: {
      'worker.js': `export default { fetch: () => new Response('hello') };\n`,
      'config.capnp': `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2026-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${PORT}", http = (), service = "main")]
);
`,
    },
    command: () => [bin('workerd'), ['serve', path.join(OUT, 'config.capnp')]],
  },
];

export async function measure(): Promise<Row[]> {
  await mkdir(OUT, { recursive: true });
  await writeFile(path.join(OUT, 'package.json'), '{"private":true,"type":"commonjs"}\n');
  const rows: Row[] = [];
  for (const peer of PEERS) {
    try {
      for (const [file, text] of Object.entries(peer.files)) await writeFile(path.join(OUT, file), text);
      if (peer.packages.length > 0)
        await run('npm', ['install', '--no-audit', '--no-fund', ...peer.packages], { cwd: OUT });
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round++)
        times.push(await spawnToFirstAnswer(...peer.command(), PORT));
      rows.push({
        what: `peer: ${peer.name}, process start to first answer`,
        value: median(times),
        unit: 'ms',
      });
    } catch (error) {
      console.error(`skipped peer ${peer.name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  if (rows.length === 0)
    console.error(`no peer could be measured (looked in ${path.relative(REPOSITORY, OUT)})`);
  return rows;
}
