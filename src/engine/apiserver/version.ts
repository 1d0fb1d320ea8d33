/** What `/version` says. Clients choose features by the minor version of Kubernetes whose API this is. */
export const KUBERNETES_VERSION = '1.32.4';

export function versionInfo(petrel: string): object {
  const [major, minor] = KUBERNETES_VERSION.split('.');
  return {
    major,
    minor,
    gitVersion: `v${KUBERNETES_VERSION}+petrel.${petrel}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'node',
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}
