/* How the browser tests are run: `cargo xtask test --only browser` builds what they need and sets the BERTH_* variables.
 *
 * A test without a tag runs with JavaScript; `@both` runs it with and without; `@nojs` only without. Each spec file starts
 * its own server through fixtures.ts, so nothing is started here. */
import { defineConfig, devices } from '@playwright/test'

const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export default defineConfig({
  testDir: '.',
  outputDir: 'test-results',
  workers: 1,
  retries: 0,
  timeout: 30_000,
  forbidOnly: true,
  reporter: [['list'], ['json', { outputFile: process.env.BERTH_BROWSER_RESULTS ?? 'test-results/results.json' }]],
  use: {
    ...devices['Desktop Chrome'],
    launchOptions: {
      executablePath: process.env.BERTH_CHROMIUM ?? '/usr/bin/chromium',
      // Without a sandbox, because CI runs as root in a container; only our own pages are opened.
      args: ['--no-sandbox', ...quiet],
    },
    // what slides in is where it will be at once: on a slow machine a press would come while it is under way
    contextOptions: { reducedMotion: 'reduce' },
    trace: 'retain-on-failure',
  },
  projects: [
    { name: 'with JavaScript', grepInvert: /@nojs/ },
    { name: 'without JavaScript', grep: /@nojs|@both/, use: { javaScriptEnabled: false } },
  ],
})
