/** Files in `/etc` that a Pod has differently from its machine: host aliases and DNS. Pure. Source: kubelet `kubelet_pods.go`, `network/dns`. */
import type { Pod } from '../../kinds/pod.ts';

/** The machine's own files; empty where there are none. */
export interface MachineFiles {
  hosts: string;
  resolvConf: string;
}

/** Path → content, of files that are not as the machine has them. */
export function etcFiles({ spec }: Pod, machine: MachineFiles): Record<string, string> {
  const files: Record<string, string> = {};
  if (spec.hostAliases?.length) {
    const lines = spec.hostAliases.map(({ ip, hostnames = [] }) => [ip, ...hostnames].join('\t'));
    files['/etc/hosts'] = `${machine.hosts}\n# Entries added by HostAliases.\n${lines.join('\n')}\n`;
  }
  const { dnsConfig } = spec;
  if (dnsConfig || spec.dnsPolicy === 'None') {
    const own = [
      ...(dnsConfig?.nameservers ?? []).map((address) => `nameserver ${address}`),
      ...(dnsConfig?.searches?.length ? [`search ${dnsConfig.searches.join(' ')}`] : []),
      ...(dnsConfig?.options?.length
        ? [
            `options ${dnsConfig.options.map(({ name, value }) => (value ? `${name}:${value}` : name)).join(' ')}`,
          ]
        : []),
    ];
    const before = spec.dnsPolicy === 'None' ? [] : [machine.resolvConf.trimEnd()];
    files['/etc/resolv.conf'] = `${[...before, ...own].filter(Boolean).join('\n')}\n`;
  }
  return files;
}
