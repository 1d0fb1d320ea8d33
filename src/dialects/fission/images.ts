/** Environments that bring their own server: their image runs beside a fetcher that has it load the function over HTTP. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Digest } from '../../kinds/function.ts';
import type { Service } from '../../kinds/serving.ts';
import type { FissionPackages } from './archives.ts';
import type { Environment } from './model.ts';
import type { Code, Subject } from './parts.ts';
import { imageService } from './services.ts';

/** Path of the gateway under which one package can be had by who knows its key. */
export const PACKAGE_PATH = '/fission-package';

/** What a fetcher has to know to get a package; it opens no other one. */
export const packageKey = (secret: string, hex: string): string =>
  createHmac('sha256', secret).update(`package ${hex}`).digest('hex').slice(0, 40);

/** Whether the key is the package's. Constant-time. */
export function isPackageKey(secret: string, hex: string, key: string): boolean {
  const wanted = Buffer.from(packageKey(secret, hex));
  const given = Buffer.from(key);
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}

let script: string | undefined;
const fetcherScript = (): string =>
  (script ??= readFileSync(new URL('fetcher.cjs', import.meta.url), 'utf8'));

/** The Service of a function whose environment is an image. `base` is where the gateway is for instances. */
export function environmentService(
  subject: Subject,
  environment: Environment,
  code: Code,
  options: { base: string; secret: string; node: string },
): Service {
  const { version, keeparchive } = environment.spec;
  const { name, namespace = 'default' } = subject.object.metadata;
  const hex = code.digest.slice('sha256:'.length);
  const as = keeparchive ? 'archive' : code.single === undefined ? 'tree' : 'file';
  const target = version === 1 ? '/userfunc/user' : '/userfunc/deployarchive';
  const load = {
    filepath: target,
    functionName: subject.spec.package?.functionName ?? '',
    url: '',
    FunctionMetadata: { name: subject.functionName, namespace, uid: subject.functionUid },
    envVersion: version,
    stateKeyspace: '',
  };
  const specialise =
    version === 1
      ? { path: '/specialize', type: 'text/plain', body: '' }
      : { path: '/v2/specialize', type: 'application/json', body: JSON.stringify(load) };
  const url = `${options.base}${PACKAGE_PATH}/${hex}/${packageKey(options.secret, hex)}/${as}`;
  return imageService(subject, environment, {
    name: 'fetcher',
    image: 'petrel.dev/host',
    command: [options.node, '-e', fetcherScript()],
    env: [
      { name: 'FISSION_FETCH', value: JSON.stringify({ url, target, specialise, function: name }) },
      { name: 'PORT', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['petrel.dev/port']" } } },
    ],
    volumeMounts: [{ name: 'userfunc', mountPath: '/userfunc' }],
    readinessProbe: { exec: { command: ['test', '-f', '/userfunc/.specialised'] }, periodSeconds: 1 },
  });
}

async function* framed(name: string, path: string): AsyncGenerator<Buffer> {
  const { size, mode } = await stat(path);
  yield Buffer.from(`${JSON.stringify({ name, size, mode: mode & 0o777 })}\n`);
  // No more than was said, whatever happens to the file meanwhile.
  if (size > 0) for await (const part of createReadStream(path, { end: size - 1 })) yield part as Buffer;
}

/** A package as the fetcher reads it: `tree` the files, `file` the only one of them, `archive` the bytes as uploaded. */
export async function* packageStream(
  packages: FissionPackages,
  digest: Digest,
  as: string,
): AsyncGenerator<Uint8Array> {
  if (as === 'archive') {
    const { bytes, stream } = await packages.read(digest);
    yield Buffer.from(`${JSON.stringify({ name: '', size: bytes, mode: 0o644 })}\n`);
    yield* stream;
    return;
  }
  const root = await packages.directory(digest);
  for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    // Links stay inside of a package, so what they lead to may be read.
    if (entry.isFile() || (entry.isSymbolicLink() && (await stat(path)).isFile()))
      yield* framed(as === 'file' ? '' : relative(root, path), path);
  }
}
