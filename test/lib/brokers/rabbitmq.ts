/** RabbitMQ without plugins, with a node name and a distribution port of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface RabbitmqServer extends Server {
  url: string;
  /** The port with TLS, and the certificate to trust, PEM. */
  tlsPort: number;
  ca: string;
}

export async function rabbitmqServer(): Promise<RabbitmqServer | string> {
  if (!installed('rabbitmq-server')) return 'RabbitMQ is not installed: apt-get install rabbitmq-server';
  const [port = 0, distribution = 0, names = 0, tlsPort = 0] = await freePorts(4);
  let ca = '';
  const server = await startServer('rabbitmq', port, (dir) => {
    const conf = join(dir, 'rabbitmq.conf');
    const { cert, certPath, keyPath } = makeCertificate(dir);
    ca = cert;
    const tls = `listeners.ssl.default = 127.0.0.1:${tlsPort}\nssl_options.certfile = ${certPath}\nssl_options.keyfile = ${keyPath}\nssl_options.cacertfile = ${certPath}\n`;
    writeFileSync(
      conf,
      `listeners.tcp.default = 127.0.0.1:${port}\n${tls}log.file = false\nlog.console = true\nlog.console.level = warning\n`,
    );
    writeFileSync(join(dir, 'enabled_plugins'), '[].\n');
    return {
      // The daemon by which nodes find each other would outlive the tests: one of its own ends with the server's process group.
      // Debian's wrapper of the server changes to its own user; this is the program behind it.
      command: '/bin/sh',
      args: ['-c', 'epmd & exec /usr/lib/rabbitmq/bin/rabbitmq-server'],
      env: {
        HOME: dir,
        RABBITMQ_NODENAME: `petrel-${port}@localhost`,
        RABBITMQ_CONFIG_FILE: conf,
        RABBITMQ_MNESIA_BASE: join(dir, 'data'),
        RABBITMQ_LOG_BASE: join(dir, 'log'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
        RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
        RABBITMQ_DIST_PORT: String(distribution),
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        ERL_EPMD_PORT: String(names),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
      },
    };
  });
  return Object.assign(server, { url: `amqp://127.0.0.1:${port}`, tlsPort, ca });
}
