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
  const log = page.getByRole('region', { name: 'Task log' })
  await expect(log).toContainText('Nothing yet.')
  await page.evaluate(() => ((window as any).same = true))
  const lines = ['mounting /dev/pve/vm-216-disk-0', 'waiting for the network']
  for (const [place, line] of lines.entries()) {
    await berth.cluster.change((state) => state.tasks.at(-1).log.push(line))
    await expect(log.locator('pre > span')).toHaveText(lines.slice(0, place + 1), { timeout: 15_000 })
  }
  await expect(log).not.toContainText('Nothing yet.')
  if (hasJavaScript()) expect(await page.evaluate(() => (window as any).same)).toBe(true)
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
  await choose(page, 'web', 'Start')
  await expect(row(page, 'web')).toContainText('Running')
  await page.goto(berth.url)
  await berth.ready(page)
  await berth.cluster.fault({ path_contains: '/status/shutdown', action: { kind: 'fail_task', text: 'init does not listen' } })
  await choose(page, 'web', 'Shut down')
  await expect(page.getByText('the task for CT 103 failed').first()).toBeVisible()
  await berth.cluster.act('/nodes/pve1/lxc/103/status/stop')
  await page.goto(berth.url)
  await row(page, 'web').getByRole('link', { name: 'web', exact: true }).click()
  await page.getByRole('link', { name: 'Operations' }).click()
  await berth.ready(page)
  const done = page.locator('#history li .tl-what')
  const all = ['Stop hard', 'Shut down failed', 'Started']
  await expect(done).toHaveText(all)
  const filter = page.getByRole('form', { name: 'What is shown' })
  const only = async (choice: string, option: string, left: string[]) => {
    await filter.getByLabel(choice).selectOption(option)
    await filter.getByRole('button', { name: 'Filter' }).click()
    await expect(done).toHaveText(left)
    await expect(filter.getByLabel(choice).locator('option:checked')).toHaveText(option)
  }
  await only('User', 'root@pam', ['Stop hard'])
  await only('User', 'alice@pve (you)', ['Shut down failed', 'Started'])
  await only('Result', 'Done', ['Started'])
  await only('Type', 'Shut down', [])
  await expect(page.locator('#history')).toContainText('Nothing of this kind is here.')
  await only('Result', 'Failed', ['Shut down failed'])
  // the address has it, for whoever it is given to
  await page.reload()
  await expect(done).toHaveText(['Shut down failed'])
  await filter.getByRole('link', { name: 'Show all' }).click()
  await expect(done).toHaveText(all)
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
