#!/usr/bin/env node
// Answers with what this process sees of the request and of its surroundings, as JSON. HTTP/1.1 and HTTP/2 without TLS on one port.
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createTcp } from 'node:net';
import { join } from 'node:path';

const DEVICES = [
  'fd',
  'full',
  'null',
  'ptmx',
  'random',
  'stdin',
  'stdout',
  'stderr',
  'tty',
  'urandom',
  'zero',
  'console',
];
const FILES = [
  ...DEVICES.map((name) => `/dev/${name}`),
  '/proc/self/fd',
  ...[0, 1, 2].map((fd) => `/proc/self/fd/${fd}`),
  '/tmp',
  '/etc/resolv.conf',
];
const NOT_OPENED = new Set(['/dev/tty', '/dev/console']);
const CGROUP_V1 = [
  'memory/memory.limit_in_bytes',
  'cpu/cpu.cfs_period_us',
  'cpu/cpu.cfs_quota_us',
  'cpu/cpu.shares',
];
const CGROUP_V2 = ['memory.max', 'cpu.max', 'cpu.weight'];
const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o002;
/** Go's texts for system errors, which are what is compared. */
const TEXTS = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EROFS: 'read-only file system',
};

const textOf = ({ syscall, path, code }) => `${syscall} ${path}: ${TEXTS[code] ?? code}`;

/** The text of the error that `action` throws; undefined when it does not. */
function failure(action) {
  try {
    action();
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

function permissions(mode) {
  return [...'rwxrwxrwx'].map((letter, i) => (mode & (1 << (8 - i)) ? letter : '-')).join('');
}

function fileInfo(path) {
  try {
    const info = statSync(path);
    let sourceFile;
    try {
      sourceFile = readlinkSync(path);
    } catch {
      // Not a link.
    }
    return {
      size: info.size,
      mode: permissions(info.mode),
      modTime: info.mtime,
      sourceFile,
      isDir: info.isDirectory(),
    };
  } catch (error) {
    return { error: textOf(error) };
  }
}

/** What happens when one does with the file what its permissions promise to everybody. */
function fileAccess(path) {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info) return { read_error: `stat ${path}: ${TEXTS.ENOENT}` };
  const open = (flags) => () => closeSync(openSync(path, flags));
  const read = info.isDirectory() ? () => readdirSync(path) : open(constants.O_RDONLY);
  const write = info.isDirectory()
    ? () => rmdirSync(mkdtempSync(join(path, 'random')))
    : open(constants.O_APPEND);
  return {
    read_error: info.mode & OTHERS_READ ? failure(read) : undefined,
    write_error: info.mode & OTHERS_WRITE ? failure(write) : undefined,
  };
}

function cgroup(name) {
  const path = `/sys/fs/cgroup/${name}`;
  try {
    const value = readFileSync(path, 'utf8').trim();
    return { name: path, value, readOnly: failure(() => writeFileSync(path, '9')) !== undefined };
  } catch (error) {
    return { name: path, error: textOf(error) };
  }
}

function cgroups() {
  const unified = statSync('/sys/fs/cgroup/cgroup.controllers', { throwIfNoEntry: false });
  return (unified ? CGROUP_V2 : CGROUP_V1).map(cgroup);
}

function mounts() {
  const lines = readFileSync('/proc/mounts', 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [device, path, type, options] = line.split(' ');
    return { device, path, type, options: options.split(',') };
  });
}

function stdin() {
  try {
    return { eof: readSync(0, Buffer.alloc(1)) === 0 };
  } catch (error) {
    return error.code === 'EOF' ? { eof: true } : { error: textOf({ path: 'stdin', ...error }) };
  }
}

function hostInfo() {
  return {
    envs: process.env,
    files: Object.fromEntries(FILES.map((path) => [path, fileInfo(path)])),
    fileaccess: Object.fromEntries(
      FILES.filter((path) => !NOT_OPENED.has(path)).map((path) => [path, fileAccess(path)]),
    ),
    cgroups: cgroups(),
    mounts: mounts(),
    stdin: stdin(),
    user: {
      uid: process.getuid(),
      euid: process.geteuid(),
      gid: process.getgid(),
      egid: process.getegid(),
      cwd: { directory: process.cwd(), error: '' },
    },
    args: process.argv.slice(1),
  };
}

/** Every header with all its values, its name written `Like-This`. */
function headersOf({ rawHeaders }) {
  const headers = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i].startsWith(':') || /^host$/i.test(rawHeaders[i])) continue;
    const name = rawHeaders[i].toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
    headers[name] = [...(headers[name] ?? []), rawHeaders[i + 1]];
  }
  return headers;
}

function requestInfo(request) {
  return {
    ts: new Date(),
    uri: request.url,
    host: request.headers.host ?? request.headers[':authority'] ?? '',
    method: request.method,
    headers: headersOf(request),
    protoMajor: request.httpVersionMajor,
    protoMinor: request.httpVersionMinor,
  };
}

function answer(request, response) {
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, no-store, must-revalidate',
  });
  response.end(JSON.stringify({ request: requestInfo(request), host: hostInfo() }));
}

if (!process.env.PORT) throw new Error('PORT is not set');
const http1 = createServer(answer);
const http2 = createHttp2(answer);
const server = createTcp((socket) => {
  socket.once('readable', () => {
    const first = socket.read();
    if (!first) return;
    socket.unshift(first);
    (first.subarray(0, 3).toString() === 'PRI' ? http2 : http1).emit('connection', socket);
  });
  socket.on('error', () => {});
});
server.listen(Number(process.env.PORT));
process.once('SIGTERM', () => {
  server.close();
  http1.closeIdleConnections();
});
