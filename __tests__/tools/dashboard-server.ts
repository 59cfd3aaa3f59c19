import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type Browser, chromium } from 'playwright-core';

import { kill } from '../kit/clean-up';
import { find } from '../kit/find-server';

const root = join(__dirname, '..', '..');
const executablePath = find('chromium');

/** Why the page cannot be tested here. */
export const missing = executablePath === undefined ? 'chromium is not installed' : undefined;

export function launchBrowser(): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
  return chromium.launch({ executablePath: executablePath ?? '', args });
}

/** The dashboard in a process of its own. */
export class Dashboard {
  readonly child: ChildProcess;
  url = '';
  stderr = '';

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  /** Resolves when it has printed its address; rejects with its error output. */
  static async start(...parameters: readonly string[]): Promise<Dashboard> {
    const script = join(root, 'examples', 'dashboard', 'main.mjs');
    const env = { ...process.env, NODE_OPTIONS: undefined };
    const child = spawn(process.execPath, [script, ...parameters], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const dashboard = new Dashboard(child);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (dashboard.stderr += text));
    for await (const line of createInterface({ input: child.stdout })) {
      dashboard.url = /^The dashboard is at (http:\S+)$/.exec(line)?.[1] ?? '';
      if (dashboard.url !== '') return dashboard;
    }
    if (child.exitCode === null) await once(child, 'exit');
    throw new Error(`It ended with ${child.exitCode}: ${dashboard.stderr}`);
  }

  /** Sends a signal, and waits for the exit. Resolves with the exit code and the signal, one of which is null. */
  async end(signal: NodeJS.Signals): Promise<unknown[]> {
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    return exited;
  }

  destroy(): Promise<void> {
    return kill(this.child);
  }
}
