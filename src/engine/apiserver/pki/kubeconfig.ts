/** The file with which kubectl and every other Kubernetes client finds the platform and authenticates to it. */
import { renameSync, writeFileSync } from 'node:fs';
import type { KeyPair } from './certificate.ts';

export interface KubeconfigContent {
  /** `https://127.0.0.1:7443` */
  server: string;
  /** PEM of the authority that the server's certificate is checked against. */
  ca: string;
  client: KeyPair;
  /** Name of cluster, user and context. */
  name?: string;
}

/** Writes the file, readable by its owner alone, whole or not at all. */
export function writeKubeconfig(
  path: string,
  { server, ca, client, name = 'petrel' }: KubeconfigContent,
): void {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const text = `apiVersion: v1
kind: Config
clusters:
  - name: ${name}
    cluster:
      server: ${server}
      certificate-authority-data: ${base64(ca)}
users:
  - name: ${name}
    user:
      client-certificate-data: ${base64(client.certificate)}
      client-key-data: ${base64(client.key)}
contexts:
  - name: ${name}
    context:
      cluster: ${name}
      user: ${name}
      namespace: default
current-context: ${name}
`;
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
