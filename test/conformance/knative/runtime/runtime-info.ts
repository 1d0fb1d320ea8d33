/** What the image `runtime` answers: what it sees of the request and of the machine. The names are upstream's. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Service } from '../../../../src/kinds/serving.ts';
import type { Cluster, Template } from '../cluster.ts';

export interface FileInfo {
  /** `rwxr-xr-x` */
  mode?: string;
  /** Where the link leads; absent where it is none. */
  sourceFile?: string;
  isDir?: boolean;
  error?: string;
}
export interface RuntimeInfo {
  request: {
    host: string;
    headers: Record<string, string[]>;
    protoMajor: number;
    protoMinor: number;
  };
  host: {
    files: Record<string, FileInfo>;
    /** What happened when the file was used as its permissions allow everybody. */
    fileaccess: Record<string, { read_error?: string; write_error?: string }>;
    envs: Record<string, string>;
    cgroups: { name: string; value?: string; readOnly?: boolean; error?: string }[];
    mounts: { device: string; path: string; type: string; options: string[] }[];
    stdin: { eof?: boolean; error?: string };
    user: { uid: number; euid: number; gid: number; egid: number; cwd: { directory: string; error: string } };
    args: string[];
  };
}

/** Runs the image and asks it once. */
export async function runtimeInfo(
  cluster: Cluster,
  t: TestContext,
  template: Template = {},
  headers: Record<string, string> = {},
): Promise<RuntimeInfo & { service: Service }> {
  const service = await cluster.readyService(t, 'runtime', template);
  const { status, body } = await cluster.ask(service.status?.url, { headers });
  assert.equal(status, 200, body);
  return { service, ...(JSON.parse(body) as RuntimeInfo) };
}
