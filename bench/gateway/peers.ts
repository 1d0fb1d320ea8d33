/** Brings the programs we compare with: installed where that is allowed, skipped with a printed reason where not. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Path of a command, or null. */
export function which(command: string): string | null {
  const found = spawnSync('sh', ['-c', `command -v ${command} || ls /usr/sbin/${command} 2>/dev/null`], {
    encoding: 'utf8',
  });
  return found.stdout.trim().split('\n')[0] || null;
}

/** Path of a Debian package's command, installing it when we are root; else null and the reason on stderr. */
export function debian(command: string): string | null {
  const present = which(command);
  if (present !== null) return present;
  if (process.getuid?.() !== 0 || which('apt-get') === null) {
    console.error(`${command}: not installed, and only root on Debian can install it here: skipped`);
    return null;
  }
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
  const install = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', command], {
    encoding: 'utf8',
  });
  if (install.status !== 0)
    console.error(`${command}: apt-get failed: ${install.stderr.trim().split('\n').at(-1)}: skipped`);
  return which(command);
}

/** Builds the Go peer; null and the reason on stderr when there is no Go. */
export function goProxy(dir: string): string | null {
  const go = which('go') ?? which('/usr/local/go/bin/go');
  if (go === null) {
    console.error('go: not installed: ReverseProxy skipped');
    return null;
  }
  const out = join(dir, 'go-proxy');
  const build = spawnSync(go, ['build', '-o', out, join(import.meta.dirname, 'go-proxy', 'main.go')], {
    encoding: 'utf8',
  });
  if (build.status === 0) return out;
  console.error(`go build failed: ${build.stderr.trim()}: ReverseProxy skipped`);
  return null;
}

const COMMON = (dir: string) => `worker_processes 1; daemon off; pid ${dir}/PID; error_log ${dir}/error.log;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 75s; client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p;
  fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s; tcp_nodelay on;`;

/** nginx as the upstream that answers everything at once. */
export function upstreamConf(dir: string, port: number): string {
  const path = join(dir, 'upstream.conf');
  const text = `${COMMON(dir).replace('PID', 'upstream.pid')}
  server { listen 127.0.0.1:${port} backlog=4096; default_type text/plain; location / { return 200 "hello, world\\n"; } } }`;
  writeFileSync(path, text);
  return path;
}

/** nginx as a proxy that does what the gateway does with headers. */
export function proxyConf(dir: string, port: number, upstream: number): string {
  const path = join(dir, 'proxy.conf');
  const text = `${COMMON(dir).replace('PID', 'proxy.pid')}
  upstream u { server 127.0.0.1:${upstream}; keepalive 1024; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} backlog=4096; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Request-Id $request_id; add_header X-Request-Id $request_id; } } }`;
  writeFileSync(path, text);
  return path;
}

/** HAProxy with the same duties. */
export function haproxyConf(dir: string, port: number, upstream: number): string {
  const path = join(dir, 'haproxy.cfg');
  writeFileSync(
    path,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s 127.0.0.1:${upstream} pool-max-conn 1024
`,
  );
  return path;
}
