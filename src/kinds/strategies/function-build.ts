/** The fields of a Function about its build, and those of a Runtime. */
import { forbidden, invalid, notSupported, required } from '../field.ts';
import type { FieldError } from '../object.ts';
import { validateEnv } from './pod-parts.ts';
import { indexed, items, type Untyped } from './untyped.ts';

const MODES = ['auto', 'always', 'never'];
const USES = ['run', 'build'];
/** A day: what takes longer is no build. */
const MOST_SECONDS = 86_400;
const MOST_COMMAND_BYTES = 32 * 1024;
/** `[host[:port]/]name[:tag]`. Source: OCI distribution specification, "Pulling manifests". */
const IMAGE =
  /^([a-z0-9.-]+(:\d{1,5})?\/)?[a-z0-9]+([._-]+[a-z0-9]+)*(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?$/;
const PLATFORM_PREFIX = 'PETREL_';

/** Validates `spec.build` of a Function. */
export function validateBuild(build: Untyped): FieldError[] {
  if (build === undefined || build === null) return [];
  const errors: FieldError[] = [];
  const at = 'spec.build';
  if (build.mode !== undefined && !MODES.includes(build.mode))
    errors.push(notSupported(`${at}.mode`, build.mode, MODES));
  if (build.command !== undefined) {
    if (build.command.trim() === '')
      errors.push(invalid(`${at}.command`, build.command, 'must be a command line, or be left out'));
    if (Buffer.byteLength(build.command) > MOST_COMMAND_BYTES)
      errors.push(invalid(`${at}.command`, '…', `must have at most ${MOST_COMMAND_BYTES} bytes`));
    if (build.command.includes('\0'))
      errors.push(invalid(`${at}.command`, '…', 'must not contain a NUL character'));
    if (build.mode === 'never') errors.push(forbidden(`${at}.command`, 'nothing is built with mode "never"'));
  }
  errors.push(...validateEnv(build.env, `${at}.env`));
  for (const [path, { name }] of indexed(build.env, `${at}.env`)) {
    if (typeof name === 'string' && name.startsWith(PLATFORM_PREFIX))
      errors.push(
        invalid(`${path}.name`, name, `names that begin with ${PLATFORM_PREFIX} are the platform's`),
      );
  }
  const seconds = build.timeoutSeconds;
  if (seconds !== undefined && seconds !== null && !(seconds >= 1 && seconds <= MOST_SECONDS))
    errors.push(invalid(`${at}.timeoutSeconds`, seconds, `must be between 1 and ${MOST_SECONDS}, inclusive`));
  if (build.image !== undefined && !IMAGE.test(build.image))
    errors.push(
      invalid(`${at}.image`, build.image, 'must be a reference such as registry.example.com/shop:1.2'),
    );
  return errors;
}

/** Validates `spec.build`, `spec.tools` and `spec.markers` of a Runtime. */
export function validateRuntimeBuild(spec: Untyped): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.build && items(spec.build.command).length === 0)
    errors.push(required('spec.build.command', 'argv, run in a copy of the source'));
  for (const [at, tool] of indexed(spec.tools, 'spec.tools')) {
    if (!tool?.command) errors.push(required(`${at}.command`));
    if (!tool?.install) errors.push(required(`${at}.install`, 'how to get it, with a command'));
    if (!USES.includes(tool?.for)) errors.push(notSupported(`${at}.for`, tool?.for ?? '', USES));
  }
  for (const [at, marker] of indexed(spec.markers, 'spec.markers')) {
    if (marker === '' || marker.includes('/'))
      errors.push(invalid(at, marker, 'must be the name of a file at the top of a folder'));
  }
  return errors;
}
