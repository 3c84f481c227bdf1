/* The page of a container: what it is, what it uses, what was done to it, and what Proxmox says of that. */
import type { Page } from '@playwright/test'
import { choose, expect, hasJavaScript, listen, row, stopBeats, test, type Berth } from './fixtures'

async function open(page: Page, berth: Berth, name: string) {
  await berth.signIn(page)
  await row(page, name).getByRole('link', { name, exact: true }).click()
  await expect(page.getByRole('heading', { level: 1, name, exact: true })).toBeVisible()
  await berth.ready(page)
}

test('the page says in words what the container is @both', async ({ page, berth }) => {
  await open(page, berth, 'grafana')
  const configuration = page.locator('section', { has: page.getByRole('heading', { name: 'Configuration' }) })
  await expect(configuration).toContainText(/Cores\s*2/)
  await expect(configuration).toContainText(/Memory\s*1 GiB/)
  await expect(configuration).toContainText(/Root disk\s*8 GiB on local-lvm/)
  await configuration.getByText('As Proxmox has it').click()
  await expect(configuration).toContainText('hostname')
})

test('usage is there from an hour to a year, and its values can be read without eyes @both', async ({ page, berth }) => {
  await open(page, berth, 'db')
  for (const range of ['1 d', '1 w', '1 mo', '1 y', '1 h']) {
    await page.getByRole('link', { name: `${range}:` }).click()
    await expect(page.getByRole('link', { name: `${range}:` })).toHaveAttribute('aria-current', 'true')
    await expect(page.locator('.ch').first()).toBeVisible()
  }
  await page.getByText('As a table').click()
  await expect(page.getByRole('table').first()).toContainText(/CPU/)
})

test('a chart is read by the arrow keys', async ({ page, berth }) => {
  await open(page, berth, 'db')
  const chart = page.locator('.ch').first()
  await chart.focus()
  await expect(chart).toHaveAttribute('data-on', '')
  const last = await chart.locator('.ch-tip').textContent()
  await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('ArrowLeft')
  await expect(chart.locator('.ch-tip')).not.toHaveText(last!)
  await expect(chart.locator('.ch-tip')).toContainText(/CPU\s+\d+ %/)
})

test('what was done at Proxmox stands in the same history, and its log is whole @both', async ({ page, berth }) => {
  await berth.cluster.act('/nodes/pve2/lxc/201/status/stop')
  await open(page, berth, 'grafana')
  await page.getByRole('link', { name: 'Operations' }).click()
  const task = page.locator('#history li').first()
  await expect(task).toContainText('root@pam')
  await task.getByRole('link').first().click()
  await expect(page.locator('.log')).toContainText('TASK OK')
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /Download/ }).click()])
  expect(await download.failure()).toBeNull()
})

test('the log of a verb is followed while it runs, and a task can be stopped @both', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  await choose(page, 'never-finishes', 'Start')
  if (!hasJavaScript()) await page.goto(berth.url)
  await row(page, 'never-finishes').getByRole('link', { name: /alice@pve/ }).click()
  await expect(page.getByRole('heading', { name: 'Start never-finishes' })).toBeVisible()
  await berth.ready(page)
  await page.getByText('Stop task…').click()
  await page.getByRole('button', { name: /^Stop / }).last().click()
  await expect(page.locator('#page, main').first()).toContainText(/broken off|broke the task off|Cancelled|failed/i, { timeout: 20_000 })
})

test('the long lines of a log are wrapped, or not @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await choose(page, 'web', 'Start')
  await expect(row(page, 'web')).toContainText('Running')
  await page.goto(berth.url)
  await row(page, 'web').getByRole('link', { name: 'web', exact: true }).click()
  await page.getByRole('link', { name: 'Started', exact: true }).first().click()
  const space = () => page.locator('.log pre').evaluate((log) => getComputedStyle(log).whiteSpace)
  expect(await space()).toBe('pre-wrap')
  await page.getByTitle('Wrap long lines').click()
  await expect.poll(space).toBe('pre')
})

test('a history is filtered by who, what and how it ended @both', async ({ page, berth }) => {
  berth.expectStatus(502)
  await berth.signIn(page)
  await choose(page, 'refuses-to-start', 'Start')
  await page.goto(berth.url)
  await row(page, 'refuses-to-start').getByRole('link', { name: 'refuses-to-start', exact: true }).click()
  await page.getByRole('link', { name: 'Operations' }).click()
  await expect(page.locator('#history li').first()).toContainText('Start failed')
  await berth.ready(page)
})

test('the page looks again for its own container, and for all the others only now and then', async ({ page, berth }) => {
  await stopBeats(page)
  const { say, asked } = await listen(page)
  await open(page, berth, 'db')
  const id = page.url().split('/').pop()!
  const before = await asked()
  // what a busy cluster says in a few seconds
  await say(...Array.from({ length: 50 }, () => ['list', `f${id.slice(1)}`]).flat())
  expect(await asked()).toBeLessThanOrEqual(before + 1)
  const then = await asked()
  await say(id)
  await expect.poll(asked).toBeGreaterThan(then)
})

test('the page of an operation looks again for what stands on it, and for all the others only now and then', async ({ page, berth }) => {
  await stopBeats(page)
  await berth.signIn(page)
  await choose(page, 'web', 'Start')
  await expect(row(page, 'web')).toContainText('Running')
  await row(page, 'web').getByRole('link', { name: 'web', exact: true }).click()
  await page.getByRole('link', { name: 'Started', exact: true }).first().click()
  const { say, asked } = await listen(page)
  await page.reload()
  await berth.ready(page)
  const id = await page.getByRole('link', { name: 'Go to web' }).getAttribute('href').then((href) => href!.split('/').pop()!)
  for (let turn = 0; turn < 5; turn++) {
    await say(...Array.from({ length: 10 }, (_, digit) => `${digit}${id.slice(1)}`).filter((other) => other !== id))
    // so long an answer takes
    await page.request.get(page.url())
  }
  const before = await asked()
  expect(before).toBeLessThanOrEqual(1)
  await say(id)
  await expect.poll(asked).toBe(before + 1)
})
