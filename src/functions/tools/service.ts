/** Functions as tools, as a service of the platform: begins with the first function that has `spec.tool`. */
import { join } from 'node:path';
import { listenUnix, type UnixServer } from '../../base/unix-server.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { answering } from '../answering.ts';
import { type FunctionService, loopback, type ServiceContext } from '../services/contract.ts';
import { createCaller } from './call.ts';
import { TOOLS_PATH, type Tool, toolHandler } from './server.ts';

const SOCKET = 'tools.sock';

const toolOf = ({ metadata, spec }: PetrelFunction): Tool[] => {
  if (spec.tool === undefined || metadata.deletionTimestamp !== undefined) return [];
  const keyHeader = spec.access?.auth?.apiKey?.header;
  return [{ ...spec.tool, function: metadata.name, ...(keyHeader === undefined ? {} : { keyHeader }) }];
};

export function createToolService({
  functions,
  gateway,
  runDir,
  log,
  toolOrigins,
}: ServiceContext): FunctionService {
  const caller = createCaller();
  let server: UnixServer | undefined;
  return {
    routes: [],
    seen() {},
    gone() {},
    async start() {
      const path = join(runDir, SOCKET);
      const handle = toolHandler({
        caller,
        gateway: () => loopback(gateway),
        origins: toolOrigins,
        tools: (namespace) =>
          functions
            .list(namespace)
            .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
            .flatMap(toolOf),
      });
      server = await listenUnix(path, answering(handle, log.with({ component: 'tools' })));
      gateway.setPathRoute?.('platform/mcp', {
        hosts: [],
        path: { type: 'prefix', value: TOOLS_PATH },
        methods: [],
        rewrite: 'keep',
        to: { kind: 'http1-unix', path },
        order: 0,
      });
    },
    async stop() {
      await server?.close();
      caller.close();
    },
  };
}
