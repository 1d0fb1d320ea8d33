/**
 * Apache Kafka, one node that is broker and controller, from its published jars. They are brought once, by Maven, into a cache outside of
 * the repository.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface KafkaServer extends Server {
  /** `host:port` of the listener without authentication. */
  bootstrap: string;
  /** `host:port` of the listener that asks for SASL, with the mechanisms PLAIN and SCRAM-SHA-256. */
  sasl: string;
  /** `host:port` of the listener with TLS, and the certificate to trust, PEM. */
  tls: string;
  ca: string;
}

const VERSION = '4.1.1';
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.petrel</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
  </dependencies>
</project>
`;
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies';

/** The folder of jars; or why there is none. */
function jars(): { dir: string } | string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'petrel-tests');
  const dir = join(cache, `kafka-${VERSION}`);
  if (existsSync(dir)) return { dir };
  if (!installed('mvn'))
    return 'the jars of Kafka are missing, and mvn, which brings them, is not installed: apt-get install maven';
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, 'bringing-'));
  try {
    writeFileSync(join(scratch, 'pom.xml'), POM);
    const args = ['-q', '-B', COPY, '-DincludeScope=runtime', `-DoutputDirectory=${scratch}/jars`];
    const { status, stdout } = spawnSync('mvn', args, {
      cwd: scratch,
      encoding: 'utf8',
      timeout: 5 * 60_000,
    });
    if (status !== 0) return `Maven could not bring Kafka: ${stdout.trim().slice(0, 300)}`;
    renameSync(join(scratch, 'jars'), dir);
  } catch (error) {
    if (!existsSync(dir)) throw error; // another test file brought them meanwhile
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { dir };
}

const JAVA = ['-Xmx384m', '-Xms128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

export interface KafkaOptions {
  /** Users of the SASL listener. */
  users?: Record<string, string>;
}

export async function kafkaServer(options: KafkaOptions = {}): Promise<KafkaServer | string> {
  if (!installed('java'))
    return 'Java, which runs Kafka, is not installed: apt-get install default-jre-headless';
  const found = jars();
  if (typeof found === 'string') return found;
  const [port = 0, controller = 0, sasl = 0, tls = 0] = await freePorts(4);
  let ca = '';
  const users = { admin: 'admin-secret', ...options.users };
  const server = await startServer('kafka', port, async (dir) => {
    const { cert, key } = makeCertificate(dir);
    ca = cert;
    const keystore = join(dir, 'keystore.pem');
    writeFileSync(keystore, key + cert);
    const classpath = `${found.dir}/*`;
    const plain = Object.entries(users).map(([name, password]) => `user_${name}="${password}"`);
    const jaas = 'org.apache.kafka.common.security';
    const settings = {
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller},SASL_PLAINTEXT://127.0.0.1:${sasl},SSL://127.0.0.1:${tls}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SASL_PLAINTEXT://127.0.0.1:${sasl},SSL://127.0.0.1:${tls}`,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map':
        'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL',
      'inter.broker.listener.name': 'PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
      'listener.name.sasl_plaintext.plain.sasl.jaas.config': `${jaas}.plain.PlainLoginModule required ${plain.join(' ')};`,
      'listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config': `${jaas}.scram.ScramLoginModule required;`,
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': keystore,
      'log.dirs': join(dir, 'data'),
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.num.partitions': '1',
      'transaction.state.log.min.isr': '1',
      'share.coordinator.state.topic.replication.factor': '1',
      'share.coordinator.state.topic.min.isr': '1',
      'group.initial.rebalance.delay.ms': '0',
      'group.consumer.heartbeat.interval.ms': '300',
      'group.consumer.min.heartbeat.interval.ms': '300',
      'group.consumer.session.timeout.ms': '10000',
      'group.consumer.min.session.timeout.ms': '10000',
      'group.min.session.timeout.ms': '2000',
      'broker.session.timeout.ms': '1500',
      'broker.heartbeat.interval.ms': '300',
      'num.partitions': '3',
      'controlled.shutdown.enable': 'false',
    };
    const properties = join(dir, 'server.properties');
    writeFileSync(
      properties,
      Object.entries(settings)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
    const log4j = join(dir, 'log4j2.properties');
    writeFileSync(
      log4j,
      'rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\nappender.c.layout.type=PatternLayout\nappender.c.layout.pattern=%p %m%n\n',
    );
    const scram = Object.entries(users).flatMap(([name, password]) => [
      '--add-scram',
      `SCRAM-SHA-256=[name=${name},password=${password}]`,
    ]);
    await run('java', [
      ...JAVA,
      `-Dlog4j2.configurationFile=${log4j}`,
      '-cp',
      classpath,
      'kafka.tools.StorageTool',
      'format',
      '-t',
      'cGV0cmVsLWthZmthLXRlcw',
      '-c',
      properties,
      ...scram,
    ]);
    return {
      command: 'java',
      args: [...JAVA, `-Dlog4j2.configurationFile=${log4j}`, '-cp', classpath, 'kafka.Kafka', properties],
    };
  });
  return Object.assign(server, {
    bootstrap: `127.0.0.1:${port}`,
    sasl: `127.0.0.1:${sasl}`,
    tls: `127.0.0.1:${tls}`,
    ca,
  });
}

/** Beside the event loop: the tests of other servers go on. */
function run(command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => said.push(part));
  child.stderr.on('data', (part: Buffer) => said.push(part));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}: ${Buffer.concat(said)}`)),
    );
  });
}
