/* The five verbs as people use them: pressed, left, come back to, watched by others, and told in the history. */
import type { Browser, Page } from '@playwright/test'
import { choose, expect, hasJavaScript, openMenu, row, test, type Berth } from './fixtures'

/* Another browser of another user who may see everything, watched like the first. */
async function another(browser: Browser, berth: Berth): Promise<Page> {
  const page = await (await browser.newContext({ javaScriptEnabled: hasJavaScript() })).newPage()
  berth.watch(page)
  await berth.signIn(page, { user: 'root', realm: 'pam' })
  return page
}

async function openPage(page: Page, berth: Berth, name: string) {
  await row(page, name).getByRole('link', { name, exact: true }).click()
  await expect(page.getByRole('heading', { level: 1, name, exact: true })).toBeVisible()
  await berth.ready(page)
}

test('start, restart, shut down and stop each bring web to where they should @both', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  const web = row(page, 'web')
  await choose(page, 'web', 'Start')
  await expect(web).toContainText('Running')
  await choose(page, 'web', 'Restart')
  await expect(web).toContainText('Running')
  await expect(web).not.toContainText('Restarting')
  await web.getByRole('button', { name: 'Shut down web', exact: true }).click()
  await expect(web).toContainText('Stopped')
  await choose(page, 'web', 'Start')
  await expect(web).toContainText('Running')
  const menu = await openMenu(page, 'web')
  await menu.getByText('Stop…').click()
  await menu.getByRole('button', { name: 'Stop web' }).click()
  await expect(web).toContainText('Stopped')
  const verbs = (await berth.cluster.writes()).map((write) => write.split('/').pop())
  expect(verbs).toEqual(['start', 'shutdown', 'start', 'shutdown', 'start', 'stop'])
})

test('a deletion wants the name, refuses a wrong one, and the container is gone afterwards @both', async ({ page, berth }) => {
  berth.expectStatus(422)
  await berth.signIn(page)
  await (await openMenu(page, 'web')).getByRole('link', { name: 'Delete…' }).click()
  await expect(page.getByRole('heading', { name: 'Delete web?' })).toBeVisible()
  await berth.ready(page)
  await expect(page.locator('.losses')).toContainText(/Root disk, .* on /)
  await page.getByLabel('Type web to confirm').fill('wbe')
  await page.getByRole('button', { name: 'Delete container' }).click()
  await expect(page.locator('#confirm-said')).not.toBeEmpty()
  expect(await berth.cluster.writes()).toEqual([])
  await page.getByLabel('Type web to confirm').fill('web')
  await page.getByRole('button', { name: 'Delete container' }).click()
  await expect(page.locator('.banner')).toContainText('web is deleted')
  await expect(row(page, 'web')).toHaveCount(0)
  await page.locator('.banner').click()
  await expect(page.getByRole('heading', { name: 'Delete web' })).toBeVisible()
  // what was done to it outlives it
  await page.getByRole('link', { name: 'web', exact: true }).click()
  await expect(page.locator('#history')).toContainText('Deleted')
  await expect(page.locator('#history')).toContainText('alice@pve')
})

test('a deletion whose task fails says so with its reference, and not beside the name', async ({ page, berth }) => {
  berth.expectStatus(422, 502)
  await berth.signIn(page)
  await (await openMenu(page, 'web')).getByRole('link', { name: 'Delete…' }).click()
  await expect(page.getByRole('heading', { name: 'Delete web?' })).toBeVisible()
  await berth.ready(page)
  const [field, press] = [page.getByLabel('Type web to confirm'), page.getByRole('button', { name: 'Delete container' })]
  await field.fill('wbe')
  await press.click()
  await expect(page.locator('#confirm-said')).not.toBeEmpty()
  await berth.cluster.fault({ method: 'DELETE', action: { kind: 'fail_task', text: 'disk is busy' } })
  await field.fill('web')
  await press.click()
  const toast = page.locator('.toasts section')
  await expect(toast).toContainText('Delete failed for web.')
  await expect(toast).toContainText(/Proxmox tried, and the task for CT 103 failed.\s*Reference [0-9A-Z]{4}-[0-9A-Z]{2}/)
  // what was wrong with the name before is right now
  await expect(page.locator('#confirm-said')).toBeEmpty()
  await expect(field).toHaveAttribute('aria-invalid', 'false')
  await toast.getByRole('link', { name: 'Show operation' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Delete web' })).toBeVisible()
})

test('a verb goes on when its page is left, and its end is there on return @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await row(page, 'slow-to-start').getByRole('button', { name: 'Start slow-to-start', exact: true }).click()
  if (hasJavaScript()) await expect(row(page, 'slow-to-start')).toContainText('Starting…')
  await page.goto('about:blank')
  await page.goto(berth.url)
  await expect(row(page, 'slow-to-start')).toContainText('Running', { timeout: 20_000 })
  await openPage(page, berth, 'slow-to-start')
  await expect(page.locator('#history li').first()).toContainText(/Started.*alice@pve/)
})

test.describe('while a shutdown lasts', () => {
  test.use({ speed: 5 })

  test('a second tab and a second user see it without a reload', async ({ page, berth, browser }) => {
    test.slow()
    await berth.signIn(page)
    const tab = await page.context().newPage()
    berth.watch(tab)
    await tab.goto(berth.url)
    await berth.ready(tab)
    const admin = await another(browser, berth)
    await row(page, 'ignores-shutdown').getByRole('button', { name: 'Shut down ignores-shutdown', exact: true }).click()
    for (const other of [tab, admin]) {
      await expect(row(other, 'ignores-shutdown')).toContainText('Shutting down…', { timeout: 3000 })
      await expect(row(other, 'ignores-shutdown')).toContainText('alice@pve')
      const start = row(other, 'ignores-shutdown').getByRole('button', { name: 'Start ignores-shutdown', exact: true })
      await expect(start).toHaveAttribute('title', /By alice@pve, since/)
    }
    for (const other of [tab, admin]) await expect(row(other, 'ignores-shutdown')).toContainText('Stopped', { timeout: 40_000 })
    await admin.context().close()
  })
})

test('who comes second hears who is at it and since when', async ({ page, berth, browser }) => {
  berth.expectStatus(409)
  await berth.signIn(page)
  const admin = await another(browser, berth)
  // the list that admin looks at stays as it was
  await admin.route('**/api/get_page*', (route) => route.abort())
  berth.expectConsole(/ERR_FAILED/)
  await row(page, 'ignores-shutdown').getByRole('button', { name: 'Shut down ignores-shutdown', exact: true }).click()
  await expect(row(page, 'ignores-shutdown')).toContainText('alice@pve')
  await row(admin, 'ignores-shutdown').getByRole('button', { name: 'Restart ignores-shutdown', exact: true }).click()
  await expect(admin.locator('.toasts')).toContainText(/is busy: shut ?down by alice@pve, since \d+ s/i)
  await admin.context().close()
})

test('a failing start says so in its row, on its page and in the history @both', async ({ page, berth }) => {
  berth.expectStatus(502)
  await berth.signIn(page)
  const failing = row(page, 'refuses-to-start')
  await failing.getByRole('button', { name: 'Start refuses-to-start', exact: true }).click()
  await failing.getByRole('link', { name: /Start failed · [0-9A-Z]{4}-[0-9A-Z]{2}/ }).click()
  await expect(page.getByRole('heading', { name: 'Start refuses-to-start' })).toBeVisible()
  await expect(page.getByRole('alert')).toContainText('Proxmox tried, and the task for CT 115 failed.')
  await page.getByRole('link', { name: 'Go to refuses-to-start' }).click()
  await expect(page.locator('#history li').first()).toContainText(/Start failed.*alice@pve/)
  await expect(page.locator('.banner')).toContainText('Start failed')
})

test('the history tells who did what and how, the newest first @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await openPage(page, berth, 'grafana')
  await expect(page.locator('#history')).toContainText('Nothing was done to it through Berth yet.')
  await page.getByRole('button', { name: 'Shut down', exact: true }).locator('visible=true').first().click()
  await expect(page.locator('#history li').first()).toContainText(/Shut down.*by itself.*alice@pve/)
  await page.getByRole('button', { name: 'Start', exact: true }).locator('visible=true').first().click()
  await expect(page.locator('#history li').first()).toContainText(/Started.*alice@pve/)
  await expect(page.locator('#history li')).toHaveCount(2)
  await expect(page.getByRole('heading', { level: 1 }).locator('..').getByRole('status')).toContainText('Running')
})

test('a history longer than a page is read page by page @both', async ({ page, berth }) => {
  test.slow()
  await berth.signIn(page)
  await openPage(page, berth, 'locked-by-backup')
  const id = page.url().split('/').pop()!
  for (let attempt = 0; attempt < 27; attempt++) {
    await page.request.post(`${berth.url}/api/start_container`, { form: { id }, headers: { origin: berth.url, accept: 'application/json' } })
  }
  await page.reload()
  await page.getByRole('link', { name: 'Show all' }).click()
  await expect(page.locator('#history li')).toHaveCount(25)
  await page.getByRole('link', { name: 'Older' }).click()
  await expect(page.locator('#history li')).toHaveCount(2)
  await page.getByRole('link', { name: 'Newest' }).click()
  await expect(page.locator('#history li')).toHaveCount(25)
})

test('a shutdown that must not be forced leaves it running and says so', async ({ page, berth }) => {
  test.slow()
  berth.expectStatus(502)
  await berth.signIn(page)
  await choose(page, 'ignores-shutdown', 'Shut down, never stop hard')
  await expect(row(page, 'ignores-shutdown')).toContainText('Shut down failed', { timeout: 30_000 })
  await expect(row(page, 'ignores-shutdown')).toContainText('Running')
})

test('a container has an address by its number too, and a stranger sees neither @both', async ({ page, berth, browser }) => {
  berth.expectStatus(404)
  await berth.signIn(page)
  await openPage(page, berth, 'db')
  const address = page.url()
  const vmid = (await page.getByText(/^CT \d+$/).first().textContent())!.replace('CT ', '')
  await page.goto(`${berth.url}/clusters/homelab/${vmid}`)
  await expect(page.getByRole('heading', { level: 1, name: 'db', exact: true })).toBeVisible()
  const nobody = await (await browser.newContext({ javaScriptEnabled: hasJavaScript() })).newPage()
  berth.watch(nobody)
  await nobody.goto(`${berth.url}/login`)
  await berth.fillIn(nobody, { user: 'nobody' })
  await expect(nobody.getByRole('heading', { name: 'No containers that you may see' })).toBeVisible()
  for (const path of [address, `${address}/delete`, `${berth.url}/clusters/homelab/${vmid}`]) {
    await nobody.goto(path)
    await expect(nobody.getByRole('heading', { name: 'There is no such container' })).toBeVisible()
    await expect(nobody.locator('body')).not.toContainText('db')
  }
  await nobody.context().close()
})

test('with the stream blocked a verb still shows its end from its own answer', async ({ page, berth }) => {
  berth.expectConsole(/ERR_FAILED/)
  await page.route('**/api/live', (route) => route.abort())
  await berth.signIn(page)
  await row(page, 'web').getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(row(page, 'web')).toContainText('Running', { timeout: 5000 })
})

test('what cannot be deleted now says why beside the button @both', async ({ page, berth }) => {
  await berth.signIn(page)
  await openPage(page, berth, 'protected')
  await page.getByRole('button', { name: 'More actions' }).click()
  await page.locator('[popover]:popover-open').getByRole('link', { name: 'Delete…' }).click()
  await expect(page.getByRole('button', { name: 'Delete container' })).toHaveAttribute('aria-disabled', 'true')
  await expect(page.locator('#why')).toContainText('It is protected.')
})

test.describe('where a shutdown takes longer than an answer', () => {
  test.use({ speed: 4 })

  test('without JavaScript a long verb leads back to a list that refreshes itself until the end @nojs', async ({ page, berth }) => {
    test.slow()
    await berth.signIn(page)
    await row(page, 'ignores-shutdown').getByRole('button', { name: 'Shut down ignores-shutdown', exact: true }).click()
    await expect(page).toHaveURL(/\?op=[0-9a-f]{32}$/)
    await expect(page.locator('.banner')).toContainText('was stopped hard, because it did not shut down in time', { timeout: 40_000 })
    await expect(page.locator('noscript meta')).toHaveCount(0)
    await expect(row(page, 'ignores-shutdown')).toContainText('Stopped')
  })

  test('an operation has a page that follows it to its end @both', async ({ page, berth }) => {
    test.slow()
    await berth.signIn(page)
    await row(page, 'ignores-shutdown').getByRole('button', { name: 'Shut down ignores-shutdown', exact: true }).click()
    await row(page, 'ignores-shutdown').getByRole('link', { name: 'alice@pve' }).click({ timeout: 20_000 })
    await expect(page.getByRole('heading', { name: 'Shut down ignores-shutdown' })).toBeVisible()
    await expect(page.locator('.phases')).toContainText('waiting for it to shut down by itself')
    await expect(page.locator('.note')).toContainText('was stopped hard', { timeout: 40_000 })
    await expect(page.locator('.log-foot').first()).toContainText('UPID:')
  })
})
