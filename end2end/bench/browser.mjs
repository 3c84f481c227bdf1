/* What the measurements in a browser share. `cargo xtask bench --peers` starts them and says by BERTH_* variables where everything is; they
 * print one figure a line, as JSON. */
import { chromium } from '@playwright/test'
import { Agent, request } from 'node:https'

export const { BERTH_URL: url, BERTH_CLUSTER: cluster } = process.env
export const times = Number(process.env.BERTH_TIMES ?? 7)
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/* A value of a figure; the median of its values is printed in the end. */
export function say(figure, value) {
  console.log(JSON.stringify({ figure, value }))
}

/* Opens a browser for somebody who is signed in, as a function that makes a new context without anything in its cache. */
export async function signedIn(measure) {
  const browser = await chromium.launch({ executablePath: process.env.BERTH_CHROMIUM, args: flags })
  try {
    const first = await browser.newContext()
    const form = { cluster: 'bench', username: 'alice', realm: 'pve', password: 'berth' }
    await first.request.post(`${url}/api/sign_in`, { form, headers: { origin: url, accept: 'text/html' } })
    const page = await first.newPage()
    await page.goto(url)
    // from here on the server has the list in memory
    await page.locator('#rows tr').first().waitFor()
    const storageState = await first.storageState()
    await first.close()
    await measure(() => browser.newContext({ storageState, viewport: { width: 1280, height: 800 } }))
  } finally {
    await browser.close()
  }
}

/* Measures on the list that many times, each time on a page that nobody has had before and that the program has taken over. */
export function onEachPage(measure) {
  return signedIn(async (open) => {
    for (let time = 0; time < times; time++) {
      const context = await open()
      const page = await context.newPage()
      await page.goto(url)
      await page.locator('html[data-ready]').waitFor({ state: 'attached' })
      await measure(page)
      await context.close()
    }
  })
}

const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })

/* Asks the simulator's control side. */
export function simulator(method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    const call = request(`https://${cluster}/sim/${path}`, { method, headers, agent }, (answer) => {
      let data = ''
      answer.on('data', (chunk) => (data += chunk))
      answer.on('end', () => (answer.statusCode === 200 ? resolve(JSON.parse(data)) : reject(new Error(`${path}: ${answer.statusCode} ${data}`))))
    })
    call.on('error', reject)
    call.end(text)
  })
}
