/**
 * What the node agent asks of whatever runs containers. `process` runs them as host processes; a CRI runtime can be a
 * second implementation.
 */

/** Limits as numbers; absent is unlimited. */
export interface ContainerLimits {
  /** Thousandths of a core. */
  cpuMillis?: number;
  memoryBytes?: number;
  /** Relative weight under contention, thousandths of a core requested. */
  cpuRequestMillis?: number;
}

/** A directory or file of the host that the container sees at `target`. */
export interface ContainerMount {
  source: string;
  /** Absolute path in the container. */
  target: string;
  readOnly: boolean;
}

/** Numbers of the user and groups that a process runs as; what is absent is the driver's choice. */
export interface ContainerUser {
  uid?: number;
  gid?: number;
  /** Supplementary groups. */
  groups: number[];
}

/** The file system of an image. */
export interface RootFs {
  /** Directory of the host; nobody writes to it. */
  tree: string;
  /** Otherwise what the container changes is kept in memory until it ends. */
  readOnly: boolean;
}

/** A warm process that such containers can be forked from. It runs with the driver's rights: never a user's code. */
export interface ZygoteSpec {
  /** Whom it may be forked for: one tenant's instances of one runtime. */
  key: string;
  /** argv, the first an absolute path. */
  command: string[];
  /** Its whole environment. */
  env: Record<string, string>;
  /**
   * `parent`: what is forked may load a function's code, and others be forked from it then. `{ of }`: is to be forked from the one
   * that is a parent and runs as this Pod. Absent: an instance like any other.
   */
  role?: 'parent' | { of: string };
}

export interface ContainerSpec {
  podUid: string;
  /** Container name; with `podUid` it names the container on this machine. */
  name: string;
  /** argv, first element found through `PATH` of `env` unless it contains a slash. */
  command: string[];
  /** The whole environment of the process. */
  env: Record<string, string>;
  workingDir?: string;
  hostname: string;
  mounts: ContainerMount[];
  /** Absent: the container sees the machine's own files. */
  rootfs?: RootFs;
  limits: ContainerLimits;
  /** Absent: somebody without privileges, of the driver's choice. */
  user?: ContainerUser;
  /** A file of the host into which the container may write why it ends, and where it finds it. */
  terminationLog?: { source: string; target: string };
  /** Instead of `command`, where that is possible now. */
  zygote?: ZygoteSpec;
}

/** How a container ended. */
export interface ContainerExit {
  /** As a shell would report it: 128 + signal when killed. */
  exitCode: number;
  /** The memory limit was exceeded and the kernel killed a process of the container. */
  oomKilled: boolean;
}

/**
 * Where output goes. Called as it arrives; must not throw. A promise asks for a pause until it resolves: the container is held up when its
 * pipe is full, so it must be short.
 */
export interface ContainerOutput {
  stdout(chunk: Buffer): Promise<void> | undefined;
  stderr(chunk: Buffer): Promise<void> | undefined;
}

export interface ExecResult {
  exitCode: number;
  /** Output of both streams, cut after 10 KiB. */
  output: string;
  timedOut: boolean;
}

/** What all processes of a container use. */
export interface ContainerUsage {
  /** Processor time since its start. */
  cpuSeconds: number;
  /** Memory that cannot be taken back from it. */
  memoryBytes: number;
}

export interface RunningContainer {
  /** Unique on this machine, also over restarts: `process://…`. */
  readonly id: string;
  /** Resolves when every process of the container is gone and its output has been read. Never rejects. */
  readonly exited: Promise<ContainerExit>;
  /** Sends a signal to the main process; nothing when it is gone. */
  signal(signal: NodeJS.Signals): void;
  /** Ends every process of the container at once. */
  kill(): void;
  /** Runs a command beside the main process, in the same namespaces and with the same environment. */
  exec(command: string[], timeoutMs: number): Promise<ExecResult>;
  /** Adds a mount to the running container; its target must exist there. False where the container sees the host anyway. */
  addMount(mount: ContainerMount): Promise<boolean>;
  /** Applies new limits to the running container; false where this machine has no way to. */
  setLimits(limits: ContainerLimits): boolean;
  /** Undefined when it has ended. Reads files of the kernel: a fraction of a millisecond. */
  usage(): ContainerUsage | undefined;
}

/** Whether the machine allows something and, when not, why: the content of a Pod condition. */
export interface Capability {
  available: boolean;
  /** UpperCamelCase, for a condition's `reason`. */
  reason: string;
  message: string;
}

export interface DriverCapabilities {
  sandbox: Capability;
  limits: Capability;
}

export interface ContainerDriver {
  readonly name: string;
  /** Looks once what the machine allows; later calls answer from memory. */
  capabilities(): Promise<DriverCapabilities>;
  /** Starts the command; resolves when it runs. Rejects when it could not be set up: nothing is left of it then. */
  start(spec: ContainerSpec, output: ContainerOutput): Promise<RunningContainer>;
  /** Why containers cannot run as this user here, as a sentence; undefined when they can. */
  userProblem(user: ContainerUser): string | undefined;
  /** The same for a container that has an image's file system, and sees nothing of the machine's. */
  imageUserProblem(user: ContainerUser): string | undefined;
  /** Why containers cannot have the file system of an image here; undefined when they can. Tries it once. */
  imageProblem(): Promise<string | undefined>;
  /** To whom files belong that are root's in an image, so that the container's own user owns them; undefined: to the platform's user. */
  imageOwner(): { uid: number; gid: number } | undefined;
  /** Creates the directory of a Pod that its containers may write to, empty, and returns its path. */
  preparePodDir(podUid: string): string;
  /** Makes files that the agent has written (volumes) readable, or writable, for the containers' user, and for a group if one is named. */
  handOver(path: string, group?: number): void;
  /** Removes what belongs to a Pod whose containers have ended. */
  removePod(podUid: string): void;
  /** Ends and removes what an earlier run of the platform left behind; returns the number of processes it had to end. */
  cleanLeftovers(): Promise<number>;
}
