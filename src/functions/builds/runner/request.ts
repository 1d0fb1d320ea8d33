/** What a build's Pod is told, and how it ends. */

/** Variable with the JSON of a `BuildRequest`; never seen by what is built. */
export const REQUEST_VARIABLE = 'PETREL_BUILD';

export interface BuildRequest {
  /** `<url>/source` is read, `<url>/result` is written. */
  url: string;
  token: string;
  /** argv. */
  command: string[];
  /** Added to what the Pod itself has. */
  path: string;
  /** Registry settings of the platform, and what `runtimes/BUILDS.md` promises. */
  env: Record<string, string>;
  /** Variables of the Pod that the build gets, too. */
  names: string[];
  workspace: string;
  cache: string;
  /** Most time that the command may take. */
  timeoutSeconds: number;
  /** Most that a build may write, bytes. */
  maxDiskBytes: number;
}

/** Exit codes of the runner that no second try would change; any other is the machine's fault. */
export const BUILD_EXIT = {
  /** The command ended with another code than 0. */
  failed: 1,
  /** What it left behind is no package. */
  unusable: 2,
  /** It wrote more than it may. */
  disk: 3,
  /** It did not end in time. */
  timeout: 4,
} as const;
