import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { find, owner } from './find-server';

/** Real servers, where they are installed. */
export type ServerName =
  | 'redis'
  | 'nats'
  | 'mosquitto'
  | 'haproxy'
  | 'stunnel'
  | 'postgres'
  | 'exim'
  | 'tinyproxy'
  | 'microsocks'
  | 'dnsmasq'
  | 'etcd'
  | 'rsyslog';

/** Signals that end a server. */
export type Ending = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL';

/** Where a server listens, and keeps its files. */
interface Place {
  readonly port: number;
  readonly directory: string;
}

/** How a server is configured, started and ended. */
export interface Recipe {
  readonly binary: string;
  /** The lines of its configuration that are needed in any case. */
  readonly lines: (place: Place) => readonly string[];
  readonly args: (file: string, place: Place) => readonly string[];
  /** Its output when it is ready, for a server that accepts connections earlier. */
  readonly ready?: RegExp;
  /** Ends it in good order, with clients connected. Default: SIGTERM. */
  readonly stop?: Ending;
  /** Ends it at once and leaves nothing behind. Default: SIGKILL. */
  readonly destroy?: Ending;
}

/** With few settings, so that a start is quick. */
export const recipes: Record<ServerName, Recipe> = {
  redis: {
    binary: 'redis-server',
    lines: ({ port, directory }) => [
      `bind 127.0.0.1`,
      `port ${port}`,
      `dir ${directory}`,
      `unixsocket ${join(directory, 'socket')}`,
      `save ""`,
      // Checks for signals and idle clients a second: with the default of ten, a stop takes up to 100 ms.
      'hz 100',
    ],
    args: (file) => [file],
  },
  nats: { binary: 'nats-server', lines: ({ port }) => [`listen: "127.0.0.1:${port}"`], args: (file) => ['-c', file] },
  mosquitto: {
    binary: 'mosquitto',
    // Started by root it switches to its own user, which may not read the directory.
    lines: ({ port }) => ['user root', `listener ${port} 127.0.0.1`],
    args: (file) => ['-c', file],
  },
  haproxy: {
    binary: 'haproxy',
    lines: ({ port }) => [
      'defaults',
      '  mode tcp',
      '  timeout connect 500ms',
      '  timeout client 60s',
      '  timeout server 60s',
      '  retries 0',
      'listen front',
      `  bind 127.0.0.1:${port}`,
    ],
    args: (file) => ['-db', '-f', file],
  },
  stunnel: {
    binary: 'stunnel',
    lines: ({ port }) => ['foreground = yes', 'pid =', '[front]', `accept = 127.0.0.1:${port}`],
    args: (file) => [file],
  },
  postgres: {
    binary: 'postgres',
    lines: ({ port }) => [
      `port = ${port}`,
      `listen_addresses = '127.0.0.1'`,
      `unix_socket_directories = ''`,
      'superuser_reserved_connections = 0',
      'max_wal_senders = 0',
      'autovacuum = off',
      'fsync = off',
    ],
    args: (file, { directory }) => ['-D', join(directory, 'data'), '-c', `config_file=${file}`],
    ready: /ready to accept connections/,
    // On SIGTERM it waits until its clients disconnect; killed, it leaves shared memory behind.
    stop: 'SIGINT',
    destroy: 'SIGQUIT',
  },
  exim: {
    binary: 'exim4',
    lines: ({ port, directory }) => [
      'local_interfaces = 127.0.0.1',
      `daemon_smtp_ports = ${port}`,
      'primary_hostname = localhost',
      'host_lookup =',
      'rfc1413_query_timeout = 0s',
      `spool_directory = ${directory}`,
      `log_file_path = ${join(directory, '%slog')}`,
      `pid_file_path = ${join(directory, 'pid')}`,
      'exim_user = root',
      'exim_group = root',
      'keep_environment =',
      'tls_advertise_hosts = *',
      `tls_certificate = ${join(directory, 'pair')}`,
    ],
    args: (file) => ['-bdf', '-C', file],
  },
  tinyproxy: {
    binary: 'tinyproxy',
    lines: ({ port, directory }) => [
      `Port ${port}`,
      'Listen 127.0.0.1',
      'Allow 127.0.0.1',
      'MaxClients 20',
      'Timeout 600',
      'LogLevel Error',
      `LogFile "${join(directory, 'log')}"`,
    ],
    args: (file) => ['-d', '-c', file],
  },
  // It listens over UDP and TCP. Its records are settings: it reads them when it is restarted.
  dnsmasq: {
    binary: 'dnsmasq',
    lines: ({ port }) => [
      `port=${port}`,
      'listen-address=127.0.0.1',
      'bind-interfaces',
      'no-resolv',
      'no-hosts',
      'no-poll',
      'pid-file=',
      'user=',
      'group=',
    ],
    args: (file) => ['--keep-in-foreground', '--log-facility=-', '-C', file],
  },
  etcd: {
    binary: 'etcd',
    lines: () => [],
    // Its peers have none to talk to: port 0 is never dialled.
    args: (_file, { port, directory }) => [
      `--data-dir=${join(directory, 'data')}`,
      `--listen-client-urls=http://127.0.0.1:${port}`,
      `--advertise-client-urls=http://127.0.0.1:${port}`,
      '--listen-peer-urls=http://127.0.0.1:0',
      '--unsafe-no-fsync',
      '--log-level=error',
    ],
  },
  // It answers a message when that is in the file, which is named `messages`.
  rsyslog: {
    binary: 'rsyslogd',
    lines: ({ port, directory }) => [
      `global(workDirectory="${directory}" maxMessageSize="64k")`,
      'main_queue(queue.type="direct")',
      'module(load="imrelp")',
      `input(type="imrelp" address="127.0.0.1" port="${port}")`,
      'template(name="raw" type="string" string="%rawmsg%\\n")',
      `action(type="omfile" file="${join(directory, 'messages')}" template="raw")`,
    ],
    args: (file, { directory }) => ['-n', '-f', file, '-i', join(directory, 'pid')],
  },
  microsocks: {
    binary: 'microsocks',
    lines: () => [],
    args: (_file, { port }) => ['-i', '127.0.0.1', '-p', `${port}`],
  },
};

/** Why the server cannot be used here; undefined when it can. */
export function missing(name: ServerName): string | undefined {
  const { binary } = recipes[name];
  if (find(binary) === undefined) return `${binary} is not installed`;
  if (name === 'rsyslog' && !hasRelp()) return 'rsyslog-relp is not installed';
  if (name === 'postgres' && owner() === undefined) return 'postgres does not run as root, and there is no user for it';
  if (name === 'exim' && process.getuid?.() !== 0) return 'exim takes a configuration of ours from root only';
  return undefined;
}

function hasRelp(): boolean {
  return readdirSync('/usr/lib').some((name) => existsSync(join('/usr/lib', name, 'rsyslog', 'imrelp.so')));
}
