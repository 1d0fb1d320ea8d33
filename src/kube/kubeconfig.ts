/** Reads what a kubeconfig says about the current context. Source: client-go `tools/clientcmd/api/v1`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, PetrelError } from '../base/errors.ts';
import type { HttpsTransportOptions } from './https.ts';

/** How to reach the cluster of a context, and the namespace it names. */
export interface Kubeconfig extends HttpsTransportOptions {
  namespace: string;
  context: string;
}

interface KubeconfigFile {
  'current-context'?: string;
  contexts?: { name: string; context: { cluster: string; user?: string; namespace?: string } }[];
  clusters?: {
    name: string;
    cluster: {
      server: string;
      'certificate-authority'?: string;
      'certificate-authority-data'?: string;
      'insecure-skip-tls-verify'?: boolean;
      'tls-server-name'?: string;
    };
  }[];
  users?: {
    name: string;
    user: {
      'client-certificate'?: string;
      'client-certificate-data'?: string;
      'client-key'?: string;
      'client-key-data'?: string;
      token?: string;
      tokenFile?: string;
      exec?: unknown;
      'auth-provider'?: unknown;
    };
  }[];
}

/**
 * The connection that `file` describes for `context` (absent: its current context). Relative paths inside are relative to the file.
 * Throws `PetrelError`: `FileNotFound`, or `InvalidArgument` naming what is wrong.
 */
export async function loadKubeconfig(file: string, context?: string): Promise<Kubeconfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new PetrelError('FileNotFound', `cannot read the kubeconfig ${file}`, {
      why: messageOf(cause),
      fix: 'Give the path of an existing file with --kubeconfig.',
      cause,
    });
  }
  const { parse } = await import('yaml');
  let config: KubeconfigFile | null;
  try {
    config = parse(text) as KubeconfigFile | null;
  } catch (cause) {
    throw invalid(file, messageOf(cause));
  }
  const wanted = context ?? config?.['current-context'];
  if (!config || !wanted) throw invalid(file, 'it has no current-context');
  const chosen = config.contexts?.find((entry) => entry.name === wanted)?.context;
  if (!chosen) throw invalid(file, `it has no context "${wanted}"`);
  const cluster = config.clusters?.find((entry) => entry.name === chosen.cluster)?.cluster;
  if (!cluster?.server) throw invalid(file, `it has no cluster "${chosen.cluster}" with a server`);
  const user = config.users?.find((entry) => entry.name === chosen.user)?.user ?? {};
  if (user.exec || user['auth-provider']) {
    throw invalid(file, `user "${chosen.user}" needs a credential plugin, which is not supported`);
  }
  const read = async (
    name: string | undefined,
    data: string | undefined,
  ): Promise<Uint8Array | undefined> => {
    if (data) return Buffer.from(data, 'base64');
    if (!name) return undefined;
    try {
      return await readFile(path.resolve(path.dirname(file), name));
    } catch (cause) {
      throw invalid(file, messageOf(cause));
    }
  };
  const tokenFile = user.tokenFile && path.resolve(path.dirname(file), user.tokenFile);
  return {
    context: wanted,
    namespace: chosen.namespace ?? 'default',
    server: cluster.server,
    ca: await read(cluster['certificate-authority'], cluster['certificate-authority-data']),
    cert: await read(user['client-certificate'], user['client-certificate-data']),
    key: await read(user['client-key'], user['client-key-data']),
    token: user.token ?? (tokenFile ? async () => (await readFile(tokenFile, 'utf8')).trim() : undefined),
    tlsServerName: cluster['tls-server-name'],
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
  };
}

function invalid(file: string, why: string): PetrelError {
  return new PetrelError('InvalidArgument', `the kubeconfig ${file} cannot be used`, {
    why,
    fix: `Check it with: kubectl config view --kubeconfig ${file}`,
  });
}
