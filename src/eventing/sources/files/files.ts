/**
 * Files that somebody puts into a directory, each an event. The directory lies below the platform's home, one for each source: whoever
 * may write an object must not get to read the machine's files by it.
 */
import { createHash } from 'node:crypto';
import { constants, type FSWatcher, watch } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { newEvent } from '../../../cloudevents/event.ts';
import { invalid, notSupported } from '../../../kinds/field.ts';
import type { FieldError, Json } from '../../../kinds/object.ts';
import type { SourceContext, SourceModule } from '../contract.ts';

const AFTER = ['move', 'delete'] as const;

export interface FilesConfig {
  /** Only files whose names end so: `.csv`. */
  suffix?: string;
  /** What becomes of a file that has been told of: moved to `done/` beside it (default), or deleted. */
  after?: (typeof AFTER)[number];
  /** A file counts as complete when it has not changed for so long, milliseconds. Default 200; one that is renamed into place need not wait: 0. */
  quietMs?: number;
  /** Default by the name: `.json` is application/json … */
  contentType?: string;
  /** Default `dev.petrel.file`. */
  type?: string;
}

/** Largest file, bytes: what an event can carry. */
const MAX_FILE = 1024 * 1024;
const DONE = 'done';
const TAKEN = '.taken';
const nameOf = (taken: string): string => taken.slice(taken.indexOf('-') + 1);
/** Names that are not meant yet, or not at all. */
const UNFINISHED = /^\.|\.(part|tmp|crdownload|swp)$|~$/;

const CONTENT_TYPES: Record<string, string> = {
  json: 'application/json',
  csv: 'text/csv',
  txt: 'text/plain',
  xml: 'application/xml',
  html: 'text/html',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  pdf: 'application/pdf',
};

function check({ suffix, after, quietMs }: Record<string, Json>): FieldError[] {
  const problems: FieldError[] = [];
  if (suffix !== undefined && (typeof suffix !== 'string' || suffix.includes('/')))
    problems.push(invalid('suffix', suffix, 'must be the end of a name, such as .csv'));
  if (after !== undefined && !AFTER.includes(after as never))
    problems.push(notSupported('after', after, AFTER));
  if (quietMs !== undefined && (typeof quietMs !== 'number' || !(quietMs >= 0 && quietMs <= 3_600_000)))
    problems.push(invalid('quietMs', quietMs, 'must be milliseconds from 0 to 3600000'));
  return problems;
}

/** Opens a regular file, no link; undefined when it is none, or gone. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
}

/**
 * Takes a file out of reach of who puts files in: one that replaces it meanwhile is another one. Returns its name among those taken,
 * `wait` when it is not complete yet, undefined when there is none.
 */
async function take(dir: string, name: string, quietMs: number): Promise<string | 'wait' | undefined> {
  const file = await openFile(join(dir, name));
  if (file === undefined) return undefined;
  try {
    const { mtimeMs, size, ino } = await file.stat();
    // The file system's time, which is the machine's and not that of a test.
    if (quietMs > 0 && Date.now() - mtimeMs < quietMs) return 'wait';
    if (size > MAX_FILE) throw new Error(`${name} is larger than ${MAX_FILE} bytes`);
    const taken = `${ino}-${name}`;
    await rename(join(dir, name), join(dir, TAKEN, taken));
    return taken;
  } finally {
    await file.close();
  }
}

async function start(context: SourceContext<FilesConfig>) {
  const { config, clock, signal, log, dir } = context;
  const quietMs = config.quietMs ?? 200;
  let watcher: FSWatcher | undefined;
  let wake = () => {};
  let changed = true;

  const dispose = async (taken: string, id: string) => {
    const path = join(dir, TAKEN, taken);
    // Names come again; what was told of them before stays.
    if (config.after === 'delete') await rm(path, { force: true });
    else await rename(path, join(dir, DONE, `${id.slice(0, 8)}-${nameOf(taken)}`));
  };

  /** Tells of a file that was taken. */
  const tell = async (taken: string): Promise<void> => {
    const file = await openFile(join(dir, TAKEN, taken));
    if (file === undefined) return;
    const name = nameOf(taken);
    const { mtimeMs, size } = await file.stat();
    const data = await file.readFile().finally(() => file.close());
    const id = createHash('sha256')
      .update(`${taken}\n${mtimeMs}\n${size}\n`)
      .update(data)
      .digest('hex')
      .slice(0, 32);
    const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? '';
    const event = newEvent(
      {
        id,
        type: config.type ?? 'dev.petrel.file',
        source: `/apis/petrel.dev/v1/namespaces/${context.namespace}/eventsources/${context.name}`,
        subject: name,
        time: new Date(mtimeMs).toISOString(),
        datacontenttype: config.contentType ?? CONTENT_TYPES[ending] ?? 'application/octet-stream',
        data,
      },
      clock.now(),
      () => context.uuid(),
    );
    await context.emit(event);
    await dispose(taken, id);
  };

  /** One look at all that is there; true when some file was not ready. */
  const look = async (): Promise<boolean> => {
    let again = false;
    let trouble = '';
    const entries = await readdir(dir, { withFileTypes: true });
    const names = entries
      .filter(
        (entry) => entry.isFile() && !UNFINISHED.test(entry.name) && entry.name.endsWith(config.suffix ?? ''),
      )
      .map(({ name }) => name)
      .sort();
    for (const name of names) {
      if (signal.aborted) return false;
      try {
        const taken = await take(dir, name, quietMs);
        if (taken === 'wait') again = true;
        else if (taken !== undefined) await tell(taken);
      } catch (error) {
        if (signal.aborted) return false;
        // One that cannot be used holds up no other.
        trouble = messageOf(error);
      }
    }
    context.report(
      trouble === ''
        ? { ready: true, reason: 'Watching', message: `takes files from ${dir}` }
        : { ready: false, reason: 'UnusableFile', message: `${dir}: ${trouble}` },
    );
    return again;
  };

  const work = async () => {
    while (!signal.aborted) {
      let wait: number | undefined;
      changed = false;
      try {
        for (const folder of [TAKEN, DONE]) await mkdir(join(dir, folder), { recursive: true, mode: 0o700 });
        watcher ??= watch(dir, () => {
          changed = true;
          wake();
        }).on('error', () => {
          watcher?.close();
          watcher = undefined;
          wake();
        });
        // What an earlier life took and did not get rid of.
        for (const taken of await readdir(join(dir, TAKEN))) await tell(taken);
        if (await look()) wait = Math.max(20, quietMs);
      } catch (error) {
        log.warn('a directory cannot be watched', { source: context.key, error: messageOf(error) });
        context.report({ ready: false, reason: 'Unwatchable', message: messageOf(error) });
        wait = 5000;
      }
      if (changed && wait === undefined) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted || (changed && wait === undefined)) resolve();
        if (wait !== undefined) void sleep(clock, wait, signal).then(resolve);
      });
    }
  };
  const working = work();
  return {
    async stop() {
      watcher?.close();
      await working;
    },
  };
}

/** A file stays where it is until the sink has it. */
export const filesSource: SourceModule<FilesConfig> = { type: 'files', durable: 'upstream', check, start };
