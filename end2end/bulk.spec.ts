/* One verb for many: selected by mouse and by keyboard, asked about once, and followed to the end of each. */
import type { Page } from '@playwright/test'
import { expect, hasJavaScript, listen, row, test } from './fixtures'

const box = (page: Page, name: string) => row(page, name).getByRole('checkbox', { name: `Select ${name}`, exact: true })
const bar = (page: Page) => page.getByRole('form', { name: 'Selected containers' })

async function choose(page: Page, ...names: string[]) {
  for (const name of names) await box(page, name).check()
}

/* The line of a container on the page of a batch. */
const line = (page: Page, name: string) => page.locator('#items li').filter({ has: page.getByRole('link', { name, exact: true }) })

test('many are shut down at once, and the page says what became of each @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await choose(page, 'pihole', 'grafana', 'web')
  await bar(page).getByRole('button', { name: /^Shut down/ }).click()
  await expect(page.getByRole('heading', { name: 'Shut down 2 containers?' })).toBeVisible()
  await expect(page.getByText('grafana, pihole')).toBeVisible()
  await expect(page.getByRole('heading', { name: '1 is left out' })).toBeVisible()
  await expect(page.getByText('1: Not running.')).toBeVisible()
  await page.getByRole('button', { name: 'Shut down 2 containers' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Shut down 2 containers' })).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: '2 of 2 done' })).toBeVisible({ timeout: 20_000 })
  await expect(line(page, 'pihole')).toContainText('Done')
  expect((await berth.cluster.writes()).sort()).toEqual(['POST /nodes/pve1/lxc/101/status/shutdown', 'POST /nodes/pve2/lxc/201/status/shutdown'])
  await line(page, 'pihole').getByRole('link', { name: 'Done: the operation on pihole' }).click()
  await expect(page.getByRole('heading', { name: 'Shut down pihole' })).toBeVisible()
})

test('one that fails has its reason and is retried alone @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await choose(page, 'web', 'refuses-to-start')
  await bar(page).getByRole('button', { name: /^Start/ }).click()
  await page.getByRole('button', { name: 'Start 2 containers' }).click()
  await expect(page.getByRole('status').filter({ hasText: '1 of 2 done, 1 failed' })).toBeVisible({ timeout: 20_000 })
  await expect(line(page, 'refuses-to-start')).toContainText(/Proxmox tried, and the task for CT 115 failed. Reference [0-9A-Z]{4}-[0-9A-Z]{2}/)
  await page.getByRole('link', { name: 'Retry the failed (1)' }).click()
  await expect(page.getByRole('heading', { name: 'Start 1 container?' })).toBeVisible()
  await page.getByRole('link', { name: 'Cancel' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Start 2 containers' })).toBeVisible()
})

test('a deletion of many wants their number, and refuses another @both', async ({ page, berth }) => {
  berth.expectStatus(422)
  await berth.signIn(page)
  await choose(page, 'web', 'worker')
  await bar(page).getByRole('button', { name: /^Delete…/ }).click()
  await expect(page.getByRole('heading', { name: 'Delete 2 containers?' })).toBeVisible()
  await expect(page.getByText('This cannot be undone.')).toBeVisible()
  await berth.ready(page)
  const field = page.getByLabel('Type delete 2 to confirm')
  await expect(field).toBeFocused()
  await field.fill('delete 3')
  await page.getByRole('button', { name: 'Delete 2 containers' }).click()
  await expect(page.locator('#confirm-said')).not.toBeEmpty()
  expect(await berth.cluster.writes()).toEqual([])
  await page.getByLabel('Type delete 2 to confirm').fill('delete 2')
  await page.getByRole('button', { name: 'Delete 2 containers' }).click()
  await expect(page.getByRole('status').filter({ hasText: '2 of 2 done' })).toBeVisible({ timeout: 20_000 })
  await page.goto(berth.url)
  await expect(row(page, 'web')).toHaveCount(0)
  await expect(row(page, 'worker')).toHaveCount(0)
})

test('a stop of many is warned of and begins on the second press, from the keyboard too', async ({ page, berth }) => {
  await berth.signIn(page)
  await row(page, 'grafana').getByRole('link', { name: 'grafana', exact: true }).focus()
  await page.keyboard.press('x')
  await expect(box(page, 'grafana')).toBeChecked()
  await page.keyboard.press('j')
  await page.keyboard.press('x')
  await expect(bar(page)).toContainText('2 selected')
  const stop = bar(page).getByRole('button', { name: /^Stop/ })
  await stop.focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { name: /^Stop \d containers?\?/ })).toBeVisible()
  await expect(page.getByText('like pulling the plug')).toBeVisible()
  expect(await berth.cluster.writes()).toEqual([])
  // what can lose data is not what Enter does by itself
  await expect(page.getByRole('link', { name: 'Cancel' })).toBeFocused()
})

test('the bar is there while something is selected, counts, and goes with Escape', async ({ page, berth }) => {
  await berth.signIn(page)
  await expect(bar(page)).toBeHidden()
  await choose(page, 'grafana', 'web', 'locked-by-backup')
  await expect(bar(page)).toContainText('3 selected')
  await expect(bar(page).getByRole('button', { name: 'Shut down 1', exact: true })).toBeVisible()
  await expect(bar(page).getByRole('button', { name: 'Start 1', exact: true })).toBeVisible()
  await expect(row(page, 'grafana')).toHaveAttribute('aria-selected', 'true')
  await expect(page.locator('[aria-live=polite]')).toContainText('3 selected')
  await box(page, 'web').uncheck()
  await expect(bar(page).getByRole('button', { name: 'Start 0', exact: true })).toHaveAttribute('aria-disabled', 'true')
  await page.keyboard.press('Escape')
  await expect(bar(page)).toBeHidden()
  await expect(box(page, 'grafana')).not.toBeChecked()
})

test('a selection outlives what the list does meanwhile', async ({ page, berth }) => {
  await berth.signIn(page)
  await choose(page, 'grafana', 'web')
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(row(page, 'web')).toContainText('Running')
  await expect(box(page, 'web')).toBeChecked()
  await expect(bar(page).getByRole('button', { name: 'Shut down 2', exact: true })).toBeVisible()
  // sorted another way it is the same
  await page.getByRole('link', { name: 'CT', exact: true }).click()
  await expect(page).toHaveURL(/sort=vmid/)
  await expect(box(page, 'grafana')).toBeChecked()
  await expect(bar(page)).toContainText('2 selected')
})

test('Shift takes a range, and the head takes all that fit', async ({ page, berth }) => {
  await berth.signIn(page)
  const names = await page.locator('#rows .name').allTextContents()
  await box(page, names[2]).check()
  await box(page, names[6]).click({ modifiers: ['Shift'] })
  await expect(page.locator('#rows tr[aria-selected=true]')).toHaveCount(5)
  await expect(bar(page)).toContainText('5 selected')
  const all = page.getByRole('checkbox', { name: 'Select all that fit' })
  await page.getByRole('searchbox').fill('node:pve2')
  await expect(page.getByText('14 fit')).toBeVisible()
  await all.click()
  await expect(bar(page)).toContainText('14 selected')
  await box(page, 'grafana').uncheck()
  await expect(bar(page)).toContainText('13 selected')
  await bar(page).getByRole('button', { name: /^Restart/ }).click()
  await expect(page).toHaveURL(/\/bulk\?verb=restart&all&q=node(:|%3A)pve2&not=[0-9a-f]{32}$/)
  await expect(page.getByRole('heading', { name: /^Restart \d+ containers\?/ })).toBeVisible()
  await expect(page.getByText('grafana', { exact: true })).toHaveCount(0)
})

test('who may only look is told that nothing can be done @both', async ({ page, berth }) => {
  await berth.signIn(page, { user: 'auditor' })
  await choose(page, 'web')
  if (hasJavaScript()) {
    await expect(bar(page).getByRole('button', { name: 'Start 0', exact: true })).toHaveAttribute('aria-disabled', 'true')
    return
  }
  await bar(page).getByRole('button', { name: /^Start/ }).click()
  await expect(page.getByRole('heading', { name: 'Nothing to start' })).toBeVisible()
  await expect(page.getByText('needs VM.PowerMgmt')).toBeVisible()
})

test('a question about many stands still under who reads it', async ({ page, berth }) => {
  await page.clock.install()
  const { say, asked } = await listen(page)
  await berth.signIn(page)
  await page.goto(`${berth.url}/bulk?verb=start&all&q=status:stopped`)
  await berth.ready(page)
  await say('*', 'list', '0190163d8694739baea5966c26f8ad91')
  expect(await asked()).toBe(0)
  await page.clock.runFor(60_000)
  expect(await asked()).toBe(0)
})

test('the page of a batch looks once a second, however many of its containers have news', async ({ page, berth }) => {
  const { say, asked } = await listen(page)
  await page.clock.install()
  await berth.signIn(page)
  await choose(page, 'pihole', 'grafana')
  await bar(page).getByRole('button', { name: /^Shut down/ }).click()
  await page.getByRole('button', { name: 'Shut down 2 containers' }).click()
  await expect(page.getByRole('status').filter({ hasText: '2 of 2 done' })).toBeVisible({ timeout: 20_000 })
  const containers = await page.locator('#items li a').evaluateAll((links) => links.map((link) => /[0-9a-f]{32}/.exec((link as HTMLAnchorElement).href)![0]))
  const news = Array.from({ length: 20 }, (_, turn) => containers[turn % containers.length])
  // time stands still from here, two seconds after whatever was asked for
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 2000))
  const before = await asked()
  await say(...news)
  await say(...news)
  await expect.poll(asked).toBe(before + 1)
  await page.clock.runFor(1100)
  await say(...news)
  await say(...news)
  await expect.poll(asked).toBe(before + 2)
})
