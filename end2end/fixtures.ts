/* A Berth of its own for every test, beside a simulated cluster of its own, and what no single test thinks of: after each test the
 * browser's console was silent, no answer held a text of Proxmox's or a ticket, and the cluster knew every request. */
import { test as base, expect, type Page, type Response } from '@playwright/test'
import { spawn, type ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as https } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export { expect }

/* In every error text of the simulator; no browser may ever see it. */
const MARKER = 'zq-proxmox-says'

type Fault = { method?: string; path_prefix?: string; path_contains?: string; times?: number; action: Record<string, unknown> }
type Account = { user?: string; realm?: string; password?: string }

export class Cluster {
  constructor(private readonly address: string) {}

  /* The simulator's control side; its certificate is its own. */
  send(method: string, path: string, body?: unknown): Promise<any> {
    return this.call(method, `sim/${path}`, body === undefined ? '' : JSON.stringify(body), { 'content-type': 'application/json' })
  }

  private call(method: string, path: string, text: string, given: Record<string, string>): Promise<any> {
    return new Promise((resolve, reject) => {
      const headers = text ? { ...given, 'content-length': Buffer.byteLength(text) } : given
      const call = https(`https://${this.address}/${path}`, { method, headers, rejectUnauthorized: false, agent: false }, (answer) => {
        let data = ''
        answer.on('data', (chunk) => (data += chunk))
        answer.on('end', () => (answer.statusCode === 200 ? resolve(data ? JSON.parse(data) : null) : reject(new Error(`${path}: ${answer.statusCode} ${data}`))))
      })
      call.on('error', reject)
      call.end(text)
    })
  }

  /* Proxmox's own answers to somebody else: a function that reads a path. */
  async signIn(username: string, password = 'berth'): Promise<(path: string) => Promise<any>> {
    const form = new URLSearchParams({ username, password }).toString()
    const { data } = await this.call('POST', 'api2/json/access/ticket', form, { 'content-type': 'application/x-www-form-urlencoded' })
    const cookie = `PVEAuthCookie=${encodeURIComponent(data.ticket)}`
    return async (path) => (await this.call('GET', `api2/json${path}`, '', { cookie })).data
  }

  fault(fault: Fault) {
    return this.send('POST', 'fault', fault)
  }

  clearFaults() {
    return this.send('DELETE', 'faults')
  }

  expireTickets() {
    return this.send('POST', 'expire-tickets')
  }

  /* What somebody does at Proxmox itself, on its own screens. */
  async act(path: string, { username = 'root@pam', method = 'POST', fields = {} as Record<string, string> } = {}): Promise<any> {
    const form = async (method: string, path: string, fields: Record<string, string>, headers: Record<string, string>) => {
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      return (await this.call(method, `api2/json${path}`, new URLSearchParams(fields).toString(), { ...type, ...headers })).data
    }
    const { ticket, CSRFPreventionToken } = await form('POST', '/access/ticket', { username, password: 'berth' }, {})
    return form(method, path, fields, { cookie: `PVEAuthCookie=${encodeURIComponent(ticket)}`, CSRFPreventionToken })
  }

  /* The cluster is another one from now on. */
  async change(how: (state: any) => void) {
    const state = await this.send('GET', 'state')
    how(state)
    await this.send('POST', 'state', state)
  }

  /* A node leaves the cluster's quorum, or comes back. */
  setOnline(node: string, online: boolean) {
    return this.change((state) => (state.nodes.find((other: any) => other.name === node).online = online))
  }

  /* The requests that change something, as `POST /nodes/pve1/lxc/103/status/start`. */
  async writes(): Promise<string[]> {
    const { requests } = await this.send('GET', 'requests')
    return requests.filter((r: any) => r.method !== 'GET' && !r.path.endsWith('/access/ticket')).map((r: any) => `${r.method} ${r.path}`)
  }
}

export class Berth {
  readonly problems: string[] = []
  readonly reading: Promise<void>[] = []
  private readonly expected: RegExp[] = []

  constructor(readonly url: string, readonly cluster: Cluster) {}

  /* A failure that the test brings about shows in the console as the status of its request. */
  expectStatus(...codes: number[]) {
    for (const code of codes) this.expected.push(new RegExp(`Failed to load resource: the server responded with a status of ${code}`))
  }

  expectConsole(text: RegExp) {
    this.expected.push(text)
  }

  watch(page: Page) {
    const problem = (text: string) => {
      if (!this.expected.some((known) => known.test(text))) this.problems.push(text)
    }
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problem(`console ${message.type()}: ${message.text()}`)
    })
    page.on('pageerror', (error) => problem(`page error: ${error.message}`))
    page.on('response', (response) => {
      // the stream of ids never ends
      if (response.url().startsWith(this.url) && !/\/pkg\/|\/api\/live/.test(response.url())) this.reading.push(read(response))
    })
    const read = async (response: Response) => {
      if (response.status() >= 300 && response.status() < 400) return
      // the body of a page that was left before it was read is gone
      const text = await response.text().catch(() => '')
      // a task's log is what somebody asks to see
      const own = text.replace(/pre id=[\\"]*log-[\s\S]*?\/pre>/g, '')
      if (own.includes(MARKER)) problem(`a text of Proxmox's in ${response.url()}`)
      if (/PVE:[^ ]*:[0-9A-F]{8}:/.test(text)) problem(`a ticket in ${response.url()}`)
    }
  }

  async signIn(page: Page, account: Account = {}) {
    await page.goto(`${this.url}/login`)
    await this.fillIn(page, account)
    await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
    await this.ready(page)
  }

  async fillIn(page: Page, { user = 'alice', realm = 'pve', password = 'berth' }: Account) {
    await this.ready(page)
    await page.getByLabel('User name').fill(user)
    await page.getByLabel('Realm').selectOption(realm)
    await page.getByLabel('Password', { exact: true }).fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }

  /* Hydrated where there is JavaScript: then every button works in the page itself. */
  async ready(page: Page) {
    if (hasJavaScript()) await page.locator('html[data-ready]').waitFor({ state: 'attached' })
  }
}

export function hasJavaScript() {
  return base.info().project.name === 'with JavaScript'
}

/* The row of a container, by its name. */
export function row(page: Page, name: string) {
  return page.getByRole('row').filter({ has: page.getByTitle(name, { exact: true }) })
}

/* Trouble is noticed at a beat; a page without JavaScript shows it when it is opened again. */
export async function troubled(page: Page, sentence: string) {
  await expect(async () => {
    if (!hasJavaScript()) await page.reload()
    await expect(page.getByRole('alert').first()).toContainText(sentence, { timeout: 1000 })
  }).toPass({ timeout: 45_000 })
}

/* Opens the menu of a row: without JavaScript it is a page. */
export async function openMenu(page: Page, name: string) {
  await row(page, name).getByRole('link', { name: `More for ${name}` }).click()
  const menu = page.getByRole('group', { name: `Actions for ${name}` })
  await expect(menu).toBeVisible()
  return menu
}

/* Presses a verb in a row, in its menu, as a phone and a keyboard do too. */
export async function choose(page: Page, name: string, verb: string) {
  const menu = await openMenu(page, name)
  // a verb that is not allowed has its reason behind its name
  await menu.getByRole('button', { name: new RegExp(`^${verb}(?!,)`) }).click({ force: true })
}

/* The words that a tab hears, and how often it asks for its page: to be called before the first page is opened. */
export async function listen(page: Page) {
  await page.addInitScript(() => {
    const own = window as any
    own.asked = 0
    own.EventSource = class extends EventSource {
      constructor(url: string) {
        super(url)
        own.stream = this
      }
    }
    const fetch = window.fetch
    window.fetch = (asked: RequestInfo | URL, options?: RequestInit) => {
      if ((asked instanceof Request ? asked.url : String(asked)).includes('/api/get_page')) own.asked++
      return fetch(asked, options)
    }
  })
  return {
    say: (...words: string[]) =>
      page.evaluate((words) => words.forEach((data) => (window as any).stream.dispatchEvent(new MessageEvent('message', { data }))), words),
    asked: () => page.evaluate(() => (window as any).asked as number),
  }
}

/* Nothing is done every so often any more: what happens then was told by the stream, or pressed. */
export function stopBeats(page: Page) {
  return page.addInitScript(() => ((window as any).setInterval = () => 0))
}

/* What the authenticator app of twofactor@pve shows (RFC 6238), where the cluster's time is ours: with a speed of 1. */
export function codeOfApp() {
  // JBSWY3DPEHPK3PXP in Base32
  const secret = Buffer.from('48656c6c6f21deadbeef', 'hex')
  const step = Buffer.alloc(8)
  step.writeBigInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const hash = createHmac('sha1', secret).update(step).digest()
  const number = hash.readUInt32BE(hash[19] & 0xf) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

export const test = base.extend<{ berth: Berth; speed: number; containers: number; connected: boolean }>({
  /* How many seconds pass in the cluster while one passes here. */
  speed: [20, { option: true }],
  /* How many containers there are, `ct00000` and so on in this order; 0 is the demo. */
  containers: [0, { option: true }],
  /* Whether Berth knows the cluster. */
  connected: [true, { option: true }],
  berth: [
    async ({ page, speed, containers, connected }, use, info) => {
      const folder = mkdtempSync(join(tmpdir(), 'berth-e2e-'))
      const children: ChildProcess[] = []
      const start = (program: string, args: string[], line: RegExp): Promise<RegExpMatchArray> =>
        new Promise((resolve, reject) => {
          const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder })
          children.push(child)
          let said = ''
          const read = (chunk: Buffer) => {
            said += chunk
            const found = said.match(line)
            if (found) resolve(found)
          }
          child.stdout.on('data', read)
          child.stderr.on('data', (chunk) => (said += chunk))
          child.on('exit', (code) => reject(new Error(`${program} ended with ${code}: ${said}`)))
        })
      try {
        const simulator = ['--listen', '127.0.0.1:0', '--speed', String(speed), '--control', '--marker', MARKER]
        if (containers) simulator.push('--containers', String(containers))
        const [, address, fingerprint] = await start(process.env.BERTH_SIMULATOR!, simulator, /https:\/\/(\S+)[\s\S]*?((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/)
        const [host, port] = address.split(':')
        const config = join(folder, 'berth.toml')
        writeFileSync(config, !connected ? '' : `[[cluster]]\nname = "homelab"\nhost = "${host}"\nport = ${port}\nfingerprint = "${fingerprint}"\n`)
        const server = ['--config', config, '--listen', '127.0.0.1:0', '--site', process.env.BERTH_SITE!, '--data-dir', join(folder, 'data')]
        const [, url] = await start(process.env.BERTH_BIN!, server, /listening on (http:\S+)/)
        const berth = new Berth(url, new Cluster(address))
        berth.watch(page)
        await use(berth)
        if (info.status === info.expectedStatus) {
          await Promise.all(berth.reading)
          expect(berth.problems).toEqual([])
          expect((await berth.cluster.send('GET', 'requests')).unknown).toBe(0)
        }
      } finally {
        const ended = children.map((child) => new Promise((resolve) => (child.exitCode === null ? child.on('exit', resolve) : resolve(null))))
        for (const child of children) child.kill('SIGTERM')
        await Promise.all(ended)
        rmSync(folder, { recursive: true })
      }
    },
    { auto: true },
  ],
})
