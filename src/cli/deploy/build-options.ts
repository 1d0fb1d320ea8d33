/** Options of `deploy` about building, and the fields of a Function that they become. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionBuild } from '../../kinds/function.ts';
import type { Args } from '../args.ts';
import type { OptionSpec } from '../command.ts';
import { variables } from './variables.ts';

const MODES = ['auto', 'always', 'never'] as const;

export const BUILD_OPTIONS: Record<string, OptionSpec> = {
  build: {
    kind: 'text',
    value: 'when',
    choices: MODES,
    help: 'build the source before it is loaded: when it asks for it (default), always, never',
  },
  'build-command': {
    kind: 'text',
    value: "'command'",
    help: "build with this instead of the language's own tool; auto goes back to that",
  },
  'build-env': { kind: 'list', value: 'K=V', help: 'variable of the build; K- removes one' },
  image: {
    kind: 'text',
    value: 'reference',
    help: 'also write an OCI image: to that registry, or without one into the images directory; none stops that',
  },
  base: { kind: 'text', value: 'reference', help: 'image that --image is built on (default: nothing)' },
  'build-timeout': { kind: 'integer', value: 'seconds', help: 'most time a build may take (default 600)' },
};

/** `current` with what the options say; undefined when neither says anything. Throws `InvalidArgument`. */
export function buildOf(args: Args, current: FunctionBuild | undefined): FunctionBuild | undefined {
  const build: FunctionBuild = { ...current };
  const mode = args.text('build') as FunctionBuild['mode'];
  if (mode === 'auto') delete build.mode;
  else if (mode !== undefined) build.mode = mode;
  const command = args.text('build-command');
  if (command === 'auto') delete build.command;
  else if (command !== undefined) build.command = command;
  if (mode === 'never' && command !== undefined && command !== 'auto') {
    throw new PetrelError('InvalidArgument', '--build never leaves nothing to do for --build-command', {
      fix: 'leave one of the two out',
    });
  }
  if (args.list('build-env').length > 0)
    build.env = variables(args.list('build-env'), current?.env ?? [], '--build-env');
  const image = args.text('image');
  if (image === 'none') delete build.image;
  else if (image !== undefined) build.image = image;
  if (args.text('base') !== undefined && build.image === undefined)
    throw new PetrelError('InvalidArgument', '--base needs --image', {
      fix: 'name the image to write with --image',
    });
  const seconds = args.integer('build-timeout');
  if (seconds !== undefined) build.timeoutSeconds = seconds;
  return Object.keys(build).length > 0 ? build : undefined;
}
