/** Archives that do not fit into a Package: the storage service as Fission's CLI uses it, and URLs. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { TAR_END, tarHeader, tarPadding } from '../../../src/base/archive/tar.ts';
import { MANIFEST_TYPE } from '../../../src/base/oci/registry.ts';
import { rawZip } from '../../../src/functions/testing/archives.ts';
import { startRegistry } from '../../../src/functions/testing/registry.ts';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli, type Json } from './cli.ts';

const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('archives', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  let storage = '';
  let web: Server;
  /** Files of the web server, by path. */
  const files = new Map<string, Buffer>();
  const zip = rawZip([
    { name: 'hello.js', body: "module.exports = async () => ({ status: 200, body: 'from a zip' });" },
    { name: 'named.js', body: "module.exports.go = async () => ({ status: 200, body: 'by name' });" },
    // Larger than a literal may be.
    { name: 'ballast.bin', body: randomBytes(300 * 1024).toString('latin1') },
  ]);
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    const env = await petrel.json<Record<string, string>>(['fission', 'env']);
    assert.equal(env.FISSION_ROUTER_URL, `http://${platform.gateway}`);
    assert.equal(env.KUBECONFIG, platform.kubeconfig);
    storage = env.FISSION_STORAGESVC_URL ?? '';
    // `spec apply` uploads before it writes the first object.
    assert.equal((await fetch(`${storage}/v1/archive`)).status, 200);
    await fission.envCreate('nodejs', 'ghcr.io/fission/node-env');
    web = createServer((request, response) => {
      const file = files.get(request.url ?? '');
      response.writeHead(file ? 200 : 404).end(file ?? 'none');
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  });
  after(async () => {
    web?.close();
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const url = (path: string) => `http://127.0.0.1:${(web.address() as AddressInfo).port}${path}`;
  const upload = async (body: Buffer) => {
    const form = new FormData();
    form.append('uploadfile', new Blob([new Uint8Array(body)]), 'demo.zip');
    const headers = { 'X-File-Size': String(body.length) };
    return fetch(`${storage}/v1/archive`, { method: 'POST', body: form, headers });
  };
  const packaged = (name: string, deployment: Json) => fission.pkgCreate(name, 'nodejs', { deployment });
  const failed = async (name: string): Promise<string> => {
    const { status } = await fission.wait('packages', name, 'Ready', 'False');
    assert.equal(status.buildstatus, 'failed');
    return status.buildlog;
  };

  test('fn create --deploy of more than 256 KiB: upload, package, function', async () => {
    const answer = await upload(zip);
    assert.equal(answer.status, 200);
    const { id } = (await answer.json()) as { id: string };
    // The CLI writes the address that the service has inside a cluster.
    const deployment = {
      type: 'url',
      url: `http://storagesvc.fission/v1/archive?id=${encodeURIComponent(id)}`,
      checksum: { type: 'sha256', sum: sum(zip) },
    };
    const pkg = await packaged('zipped', deployment);
    await fission.fnOf('zipped', 'nodejs', pkg, {
      package: { packageref: { namespace: 'default', name: 'zipped' }, functionName: 'hello' },
    });
    await fission.fnOf('named', 'nodejs', pkg, {
      package: { packageref: { namespace: 'default', name: 'zipped' }, functionName: 'named.go' },
    });
    for (const name of ['zipped', 'named']) await fission.wait('functions', name, 'Ready');
    assert.equal((await fission.fnTest('zipped')).body, 'from a zip');
    assert.equal((await fission.fnTest('named')).body, 'by name');
  });

  test('fn create --src --buildcmd: built with SRC_PKG and DEPLOY_PKG, told in the package', async () => {
    const script =
      'set -e\ncp -r ${SRC_PKG} ${DEPLOY_PKG}\nsed -i s/@WORD@/built/ ${DEPLOY_PKG}/hello.js\necho done';
    const source = {
      type: 'literal',
      literal: rawZip([
        { name: 'hello.js', body: "module.exports = async () => ({ status: 200, body: '@WORD@' });" },
        { name: 'build.sh', body: script },
      ]).toString('base64'),
    };
    const pkg = await fission.pkgCreate('source', 'nodejs', { source, buildcmd: 'sh ./build.sh' });
    assert.equal(pkg.status.buildstatus, 'pending');
    await fission.fnOf('source', 'nodejs', pkg, {
      package: { packageref: { namespace: 'default', name: 'source' }, functionName: 'hello' },
    });
    await fission.wait('functions', 'source', 'Ready');
    assert.equal((await fission.fnTest('source')).body, 'built');
    const { status } = await fission.wait('packages', 'source', 'BuildSucceeded');
    assert.equal(status.buildstatus, 'succeeded');
    // env create --buildcmd: what the Package does not say.
    const builder = { image: 'ghcr.io/fission/node-builder', command: 'sh ./build.sh' };
    await fission.envCreate('building', 'ghcr.io/fission/node-env', { builder });
    const plain = await fission.pkgCreate('plain', 'building', { source });
    await fission.fnOf('plain', 'building', plain, {
      package: { packageref: { namespace: 'default', name: 'plain' }, functionName: 'hello' },
    });
    await fission.wait('functions', 'plain', 'Ready');
    assert.equal((await fission.fnTest('plain')).body, 'built');
  });

  test('a build that fails: its words stand in the package', async () => {
    const source = { type: 'literal', literal: rawZip([{ name: 'hello.js', body: 'x' }]).toString('base64') };
    const pkg = await fission.pkgCreate('unbuilt', 'nodejs', {
      source,
      buildcmd: 'echo no such compiler; exit 3',
    });
    await fission.fnOf('unbuilt', 'nodejs', pkg);
    const { status } = await fission.wait('packages', 'unbuilt', 'BuildSucceeded', 'False');
    assert.equal(status.buildstatus, 'failed');
    assert.match(status.buildlog, /no such compiler/);
    // `pkg rebuild`
    const { body } = await fission.get('packages', 'unbuilt');
    await fission.update('packages', 'unbuilt', (object) => {
      object.spec.buildcmd =
        'mkdir "$DEPLOY_PKG"; echo "exports.default = async () => ({ status: 200, body: String(Date.now()) })" > "$DEPLOY_PKG/index.js"';
    });
    await fission.wait('functions', 'unbuilt', 'Ready');
    const built = await eventually('the build', async () => {
      const { body: now } = await fission.get('packages', 'unbuilt');
      return now.status.buildstatus === 'succeeded' && now;
    });
    assert.notEqual(body.metadata.resourceVersion, built.metadata.resourceVersion);
    const asked = await fission.request(
      'PUT',
      '/apis/fission.io/v1/namespaces/default/packages/unbuilt/status',
      {
        ...built,
        status: { ...built.status, buildstatus: 'pending' },
      },
    );
    assert.equal(asked.code, 200);
    const target = '/apis/petrel.dev/v1/namespaces/default/functions/unbuilt';
    await eventually('it is built again', async () => {
      const { metadata, status: state } = (await fission.request('GET', target)).body;
      return metadata.annotations['petrel.dev/rebuild'] && state.build.phase === 'Succeeded';
    });
    await eventually(
      'told',
      async () => (await fission.get('packages', 'unbuilt')).body.status.buildstatus === 'succeeded',
    );
  });

  test('archive list, get-url, download, delete', async () => {
    const { id } = (await (await upload(zip)).json()) as { id: string };
    const all = (await (await fetch(`${storage}/v1/archive`)).json()) as string[];
    assert.ok(all.includes(id));
    const at = `${storage}/v1/archive?id=${encodeURIComponent(id)}`;
    const head = await fetch(at, { method: 'HEAD' });
    assert.equal(head.headers.get('x-fission-storagetype'), 'local');
    assert.equal(sum(Buffer.from(await (await fetch(at)).arrayBuffer())), sum(zip));
    assert.equal((await fetch(at, { method: 'DELETE' })).status, 200);
    assert.equal((await fetch(at)).status, 404);
    assert.equal((await fetch(at, { method: 'DELETE' })).status, 404);
    assert.equal((await fetch(`${storage}/v1/archive?id=..%2F..%2Fstate.db`)).status, 404);
  });

  test('nobody without the secret path gets at archives', async () => {
    assert.equal((await fission.visit('/v1/archive')).status, 404);
    assert.equal((await fission.visit('/fission-storage/guess/v1/archive')).status, 404);
  });

  test('what is no form is refused in words', async () => {
    const answer = await fetch(`${storage}/v1/archive`, { method: 'POST', body: 'x' });
    assert.equal(answer.status, 400);
    assert.match(((await answer.json()) as { message: string }).message, /multipart/);
  });

  test('an archive anywhere on the web, checked', async () => {
    files.set('/code.zip', zip);
    await packaged('web', {
      type: 'url',
      url: url('/code.zip'),
      checksum: { type: 'sha256', sum: sum(zip) },
    });
    const { status } = await fission.wait('packages', 'web', 'Ready');
    assert.equal(status.contentHash, `sha256:${sum(zip)}`);
    await packaged('tampered', {
      type: 'url',
      url: url('/code.zip'),
      checksum: { type: 'sha256', sum: 'ab'.repeat(32) },
    });
    assert.match(await failed('tampered'), /has the SHA-256 .* not abab/);
    await packaged('gone', { type: 'url', url: url('/other.zip') });
    assert.match(await failed('gone'), /answered 404/);
    await packaged('nowhere', { type: 'url', url: 'http://127.0.0.1:1/x' });
    assert.match(await failed('nowhere'), /cannot be fetched/);
  });

  test('archives that are none, that climb, or that nobody gave', async () => {
    await packaged('climbs', {
      type: 'literal',
      literal: rawZip([{ name: '../../evil', body: 'x' }]).toString('base64'),
    });
    assert.match(await failed('climbs'), /evil/);
    await packaged('empty', { type: 'literal' });
    assert.equal(await failed('empty'), 'Both deploy and source archive are empty');
    await packaged('image', { type: 'oci', oci: { image: 'code:1' } });
    assert.match(await failed('image'), /names no registry/);
    await packaged('spec', { type: 'url', url: 'archive://mine' });
    assert.match(await failed('spec'), /petrel deploy/);
  });

  test('pkg create --oci: code in an image of a registry that asks who pulls it', async (t) => {
    const registry = await startRegistry(t, { login: 'me:hush' });
    const put = (bytes: Buffer, mediaType: string) => {
      const digest = registry.sha256(bytes);
      registry.blobs.set(digest, bytes);
      return { mediaType, digest, size: bytes.length };
    };
    const body = Buffer.from("module.exports = async () => ({ status: 200, body: 'from an image' });");
    const file = {
      type: 'file' as const,
      name: 'srv/code/hello.js',
      link: '',
      size: body.length,
      mode: 0o644,
    };
    const tar = Buffer.concat([tarHeader(file), body, tarPadding(body.length), TAR_END]);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: put(Buffer.from('{}'), 'application/vnd.oci.image.config.v1+json'),
        layers: [put(gzipSync(tar), 'application/vnd.oci.image.layer.v1.tar+gzip')],
      }),
    );
    const digest = registry.sha256(manifest);
    registry.manifests.set(digest, { type: MANIFEST_TYPE, body: manifest });
    registry.tags.set('1', digest);
    const image = `${registry.host}/team/code:1`;
    const oci = { image, digest, subPath: 'srv/code', imagePullSecrets: [{ name: 'pull' }] };
    await packaged('refused', { type: 'oci', oci });
    assert.match(await failed('refused'), /refuses to/);
    const auths = { [registry.host]: { auth: Buffer.from('me:hush').toString('base64') } };
    const secret = await fission.request('POST', '/api/v1/namespaces/default/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pull' },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths }) },
    });
    assert.equal(secret.code, 201);
    const pkg = await packaged('imaged', { type: 'oci', oci });
    await fission.fnOf('imaged', 'nodejs', pkg, {
      package: { packageref: { namespace: 'default', name: 'imaged' }, functionName: 'hello' },
    });
    await fission.wait('functions', 'imaged', 'Ready');
    assert.equal((await fission.fnTest('imaged')).body, 'from an image');
    await packaged('elsewhere', { type: 'oci', oci: { ...oci, subPath: 'nowhere' } });
    assert.match(await failed('elsewhere'), /no files in "nowhere"/);
  });
});
